"""Whether a run is reproducible: `python -m pipeline.verify`.

Runs all notebooks twice with the smoke profile, from scratch, and compares the results: weights, histories,
predictions, metrics and submission bit for bit; executed notebooks and PDFs except for what `DECLARED` and `MEASURED`
name. Then it compares the metrics of the hand-in with the committed ones.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np

import notebook_pdf
from coursework import checkpoint, files
from coursework.data import DataError
from coursework.text import pluralize
from pipeline import submission
from pipeline.errors import UserError, run_command
from pipeline.parameters import REPORTED_NOTEBOOKS
from pipeline.run_notebook import run_notebook

MEASURED = frozenset(
    {"seconds", "restored_seconds", "duration_seconds", "processor_seconds", "peak_memory_gib", "calibration"}
)
"""Fields of metrics and histories that describe the run, not its results."""
ADDRESSES = frozenset({"shared_object_id"})
"""Memory addresses that Keras writes into a saved model."""
ABOUT_THE_MACHINE = frozenset({"hardware", "versions"})
DECLARED = (
    (re.compile(r"(\d+ epochs? in )[\dhmins ]+(?=: )"), r"\1…"),  # the caption of a training's table
    (re.compile(r"\d+ s, peak memory [\d.]+ GiB"), "… s, peak memory … GiB"),  # the last line of a notebook
    (re.compile(r"(>seconds</th>\s*(?:<td [^>]*>)).*?(?=</tr>)", re.DOTALL), r"\1…"),  # a row of a table
)
"""The parts of an output that differ between runs: durations and memory."""
TOLERANCE = 0.01
"""Maximum difference of a score on another kind of processor, or with another number of threads."""


# --- The results of a run -------------------------------------------------------------------------


def differences(first: Path, second: Path) -> list[str]:
    """A sentence on each difference between two output folders, durations excepted."""
    found = []
    for kind, pattern, read in (
        ("submission", "submission.csv", Path.read_bytes),
        ("metrics", "metrics/*.json", read_metrics),
        ("weights", "models/*.keras", read_weights),
        ("state after the last epoch", "checkpoints/*.npz", read_checkpoint),
        ("notebook", "*.ipynb", read_notebook),
        ("PDF", "*.ipynb", read_pdf),
    ):
        names = {path.relative_to(folder) for folder in (first, second) for path in folder.glob(pattern)}
        for name in sorted(name for name in names if ".before" not in name.suffixes):  # the epoch before
            if not ((first / name).exists() and (second / name).exists()):
                found.append(f"{name} exists only once")
            elif (where := _first_difference(read(first / name), read(second / name))) is not None:
                found.append(f"{name}, {kind}: {where}")
    return found


def read_metrics(path: Path) -> Any:
    return without(json.loads(path.read_text(encoding="utf-8")), MEASURED)


def read_weights(path: Path) -> dict[str, Any]:
    """The configuration and the weights of a saved model; the rest of the file is date and version."""
    with zipfile.ZipFile(path) as archive:
        configuration = without(json.loads(archive.read("config.json")), ADDRESSES)
        weights = hashlib.sha256(archive.read("model.weights.h5")).hexdigest()
    return {"configuration": configuration, "SHA-256 of the weights": weights}


def read_checkpoint(path: Path) -> dict[str, Any]:
    about, state, best = checkpoint.read(path)
    about.pop("content", None)  # a hash that includes the seconds
    return without(about, MEASURED) | {"state": state, "best": best}


def read_notebook(path: Path) -> dict[str, Any]:
    """An executed notebook without the declared differences."""
    notebook = nbformat.read(path, as_version=4)
    del notebook.metadata["papermill"]["start_time"]
    notebook.metadata["title_block"]["Run"] = "…"
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = _masked(output.text)
            for kind in ("text/html", "text/plain"):
                if kind in output.get("data", {}):
                    output.data[kind] = _masked(output.data[kind])
    return notebook


def read_pdf(path: Path) -> bytes:
    """The PDF of a notebook without the declared differences."""
    with tempfile.TemporaryDirectory() as folder:
        masked = Path(folder) / path.name
        nbformat.write(read_notebook(path), masked)
        notebook_pdf.export(masked, masked.with_suffix(".pdf"))
        return masked.with_suffix(".pdf").read_bytes()


def without(value: Any, names: frozenset[str]) -> Any:
    """A nested value without the fields of these names."""
    if isinstance(value, dict):
        return {name: without(part, names) for name, part in value.items() if name not in names}
    return [without(part, names) for part in value] if isinstance(value, list) else value


def _masked(text: str) -> str:
    for pattern, replacement in DECLARED:
        text = pattern.sub(replacement, text)
    return text


def _first_difference(first: Any, second: Any) -> str | None:
    """The first place where two nested values differ, with both values; None if they are the same."""
    ours, others = dict(_leaves(first)), dict(_leaves(second))
    for place in ours | others:
        if place not in ours or place not in others:
            return f"{place} only in one"
        if ours[place] != others[place]:
            return f"{place}: {str(ours[place])[:60]!r} and {str(others[place])[:60]!r}"
    return None


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The values in nested dictionaries and lists, each with its place; an array by its hash."""
    if isinstance(value, dict | list) and value:
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(part, f"{place}/{name}")
    elif isinstance(value, np.ndarray | np.generic):
        yield place, f"array with SHA-256 {files.content_hash({place: value})}"
    else:
        yield place, value


# --- The two comparisons --------------------------------------------------------------------------


def run_twice(profile: str) -> list[str]:
    """Run everything twice from scratch, and list the differences of the results."""
    made = files.output_folder(".verify")  # not a valid name of a profile
    folders = [made.with_name(f"{made.name}-{name}") for name in ("first", "second")]
    for folder in folders:
        for old in (made, folder):
            shutil.rmtree(old, ignore_errors=True)
        for notebook in REPORTED_NOTEBOOKS:
            path = run_notebook(notebook, profile, made.name)
            notebook_pdf.export(path, path.with_suffix(".pdf"))
        submission.write(made.name)
        made.rename(folder)
    return differences(*folders)


def compare_with_committed() -> list[str]:
    """The differences between the metrics in `reports/` and the committed ones, with their likely reasons."""
    sentences, found = [], {}
    for path in sorted(files.REPORTS_FOLDER.glob("metrics/*.json")):
        name = path.relative_to(files.ROOT).as_posix()
        shown = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=files.ROOT, capture_output=True)
        if shown.returncode:
            reason = shown.stderr.decode(errors="replace").strip().split("\n")[0]
            sentences.append(f"{name}: there is no committed file to compare with ({reason})")
        else:
            found[name] = [without(json.loads(text), MEASURED) for text in (path.read_bytes(), shown.stdout)]
    machine = sorted({difference for both in found.values() for difference in _other_machine(*both)})
    why = "the machine and the packages are the same, so the code, the parameters or the data changed since"
    if machine:
        why = f"this is expected, because the order of sums differs: {'; '.join(machine)}. Scores should agree "
        why += f"within {TOLERANCE}"
    for name, both in found.items():
        where = _first_difference(*(without(one, ABOUT_THE_MACHINE) for one in both))
        if where is None:
            sentences.append(f"{name}: the same to the last digit as the committed one")
        else:
            sentences.append(f"{name} differs from the committed one, first at {where}; {why}")
    return sentences


def _other_machine(ours: dict[str, Any], committed: dict[str, Any]) -> list[str]:
    return [
        f"{kind} {key} is {ours[kind].get(key)}, committed {value}"
        for kind in ABOUT_THE_MACHINE & ours.keys() & committed.keys()
        for key, value in committed[kind].items()
        if ours[kind].get(key) != value
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a profile twice and compare; compare the hand-in with git.")
    parser.add_argument("--profile", default="smoke", help="what to run twice (default: smoke)")
    found = run_twice(parser.parse_args().profile)
    print("Two runs from scratch:", "the same" if not found else "NOT the same", flush=True)
    for sentence in (*found, "The hand-in in reports/:", *compare_with_committed()):
        print(f"  {sentence}")
    if found:
        raise UserError(f"two runs with the same seed have {pluralize(len(found), 'difference')}")


if __name__ == "__main__":
    run_command(main, DataError)
