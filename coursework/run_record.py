"""The metrics file of a run: scores, parameters, histories, versions, hardware."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from coursework import session
from coursework.files import output_folder, replace_when_complete

if TYPE_CHECKING:
    import pandas as pd

CALIBRATION_FILE = Path(sys.prefix) / "calibration.json"
"""How fast this machine computes, as `make report` measured it last."""


def declared_parameters(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in a notebook's `globals()`, when only its cell of parameters, which annotates them, has run."""
    return {name: namespace[name] for name in namespace["__annotations__"]}


def write_metrics(
    notebook: str,
    profile: str,
    *,
    parameters: Mapping[str, Any],
    scores: Mapping[str, Any],
    histories: Mapping[str, pd.DataFrame],
    data_sha256: str,
) -> dict[str, Any]:
    """Write `metrics/<notebook>.json` to the profile's output folder and return its content.

    Args:
        parameters: from `declared_parameters`; the file names the profile, but not the group.
        scores: the figures that the README, the tests and the leaderboard read.
        histories: the history of each training, from `TrainingMonitor`.
        data_sha256: hash of the data, from `content_hash`.

    The file also holds what a reader needs to judge the figures: the seconds in which cells ran, with the training
    that came from checkpoints; peak memory; versions and hardware. It never names the machine or its user.
    """
    restored = sum(history.attrs.get("restored_seconds", 0.0) for history in histories.values())
    content = {
        "notebook": notebook,
        "profile": profile,
        "parameters": {
            name: value for name, value in parameters.items() if name != "profile" and not name.startswith("group_")
        },
        "scores": dict(scores),
        "trainings": {
            name: {
                "epochs": len(history),
                "best_epoch": int(history["val_f1"].idxmax()),
                "seconds": round(float(history["seconds"].sum()), 1),
                "restored_seconds": round(history.attrs.get("restored_seconds", 0.0), 1),
                "history": {column: history[column].tolist() for column in history},
            }
            for name, history in histories.items()
        },
        "data_sha256": data_sha256,
        "duration_seconds": round(session.running_seconds() + restored, 1),
        "peak_memory_gib": round(peak_memory(), 2),
        **environment(),
    }
    with replace_when_complete(output_folder(profile) / "metrics" / f"{notebook}.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return content


def environment() -> dict[str, dict[str, Any]]:
    """The `versions` and `hardware` of this process, without the name of the machine or its user."""
    from coursework.backend import tf

    packages = ("keras", "numpy", "scikit-learn", "h5py")
    versions = {name: importlib.metadata.version(name) for name in packages}
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    gpus = [gpu.get("device_name", "unknown") for gpu in details]
    measured = json.loads(CALIBRATION_FILE.read_text(encoding="utf-8")) if CALIBRATION_FILE.exists() else None
    return {
        "versions": {"python": platform.python_version(), "tensorflow": tf.__version__, **versions},
        "hardware": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            **({"gpus": gpus} if gpus else {}),
            **({"calibration": measured} if measured else {}),
        },
    }


def peak_memory() -> float:
    """Peak resident memory of this process in GiB."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**30
    # On Linux, getrusage includes the memory of the parent process at the start; the kernel's own account does not.
    status = Path("/proc/self/status")
    if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(peak[1]) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**30


def _processor() -> str:
    """Name and widest vector instructions of the processor; TensorFlow's order of sums depends on the latter."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    about = dict(line.split(":", 1) for line in lines if ":" in line)
    about = {name.strip(): value.strip() for name, value in about.items()}
    name = about.get("model name") or platform.processor() or platform.machine()
    instructions = next((words for flag, words in VECTORS.items() if flag in about.get("flags", "").split()), None)
    return f"{name}, {instructions}" if instructions else name


VECTORS = {"amx_tile": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}
"""Processor flags and the names of their instructions, the widest first."""
