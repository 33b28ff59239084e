"""Scores with other settings of TensorFlow, which sum in another order as another machine would."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from coursework import files
from pipeline import verify
from pipeline.parameters import TRAINING_NOTEBOOKS

MACHINES = {
    "as here": {},
    "one thread": {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}
RUN = "import sys; from pipeline.run_notebook import run_notebook; run_notebook(*sys.argv[1:])"


def compare_machines(profile: str) -> dict[str, Any]:
    """Run the training notebooks with the settings of each machine; returns all scores."""
    found: dict[str, Any] = {}
    for number, (name, settings) in enumerate(MACHINES.items()):
        output = f"machines/{number}"
        found[name] = {}
        for notebook in TRAINING_NOTEBOOKS:
            command = [sys.executable, "-c", RUN, notebook, profile, output]
            subprocess.run(command, cwd=files.ROOT, env=os.environ | settings, check=True)
            path = files.output_folder(output) / "metrics" / f"{notebook}.json"
            found[name] |= scores_by_place(verify.read_metrics(path)["scores"], notebook)
    return {"profile": profile, "scores": found}


def scores_by_place(metrics: Any, place: str) -> dict[str, float]:
    """The accuracies and F1 scores in nested metrics, by their place."""
    if not isinstance(metrics, dict):
        return {}
    flat = {f"{place}/{name}": metrics[name] for name in ("accuracy", "f1") if isinstance(metrics.get(name), float)}
    for name, part in metrics.items():
        flat |= scores_by_place(part, f"{place}/{name}")
    return flat
