"""One run of the experiments: its identity, its result, and its execution, exactly once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from typing import Annotated, Any

import filelock
import nbformat
import pandas as pd
import pydantic

from coursework import checkpoint, files
from pipeline.errors import UserError, is_full
from pipeline.experiments.grid import EXPERIMENT, Run
from pipeline.run_notebook import execute_notebook
from pipeline.settings import describe

RUNS_FOLDER = files.REPORTS_FOLDER / "experiments"
LOCK_FILE = files.ROOT / "requirements.txt"
COMPUTING_PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "numpy", "h5py")
"""The packages that a run computes with. A result depends on their entries in the lock and their requirements'."""

Result = dict[str, Any]
"""The `row` of a run in the table, and its `epochs`, one row each."""


class DiskFullError(UserError):
    """The disk is full, which stops all runs."""


class DamagedResultError(Exception):
    """A file of a finished run is damaged."""


# --- Identity -------------------------------------------------------------------------------------


def identity(run: Run, data_sha256: str, software: dict[str, str] | None = None) -> str:
    """The identity of a run as 16 hexadecimal digits: hash of its parameters, its data, and `software_sha256()`."""
    parts = {"parameters": run.parameters, "data": data_sha256} | (software or software_sha256())
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def software_sha256() -> dict[str, str]:
    """Hashes of the `code` and the packages (`lock`) that a run computes with, as they are on disk now."""
    return {"code": code_sha256(), "lock": lock_sha256()}


def code_sha256() -> str:
    """Hash of the code that computes a run: the notebook's cells and the modules of `checkpoint.COMPUTING_MODULES`."""
    cells = [cell for cell in nbformat.read(EXPERIMENT, as_version=4).cells if cell.cell_type == "code"]
    sources = [cell.source for cell in cells if "parameters" not in cell.metadata.get("tags", [])]
    return hashlib.sha256("\n".join([*sources, checkpoint.training_code_sha256()]).encode()).hexdigest()


def lock_sha256() -> str:
    """Hash of the lock's entries, with versions and hashes, for the computing packages and their requirements."""
    entries = re.split(r"\n(?=\S)", LOCK_FILE.read_text(encoding="utf-8"))
    named = [(re.split(r"[=\[]", entry, maxsplit=1)[0], entry) for entry in entries if "==" in entry]
    needed = set(COMPUTING_PACKAGES)
    while True:
        more = {name for name, entry in named if needed & set(re.findall(r"# +(?:via )?([\w.-]+)", entry))}
        if more <= needed:
            break
        needed |= more
    kept = [re.sub(r"\n +#.*", "", entry) for name, entry in named if name in needed]
    return hashlib.sha256("\n".join(sorted(kept)).encode()).hexdigest()


def locked_versions(package: str) -> list[str]:
    """The versions of a package in the lock as it is on disk now; several if platforms differ."""
    return re.findall(rf"\n{package}==([\w.]+)", LOCK_FILE.read_text(encoding="utf-8"))


# --- Results --------------------------------------------------------------------------------------

Score = Annotated[float, pydantic.Field(ge=0, le=1)]
Amount = Annotated[pydantic.FiniteFloat, pydantic.Field(ge=0)]


def _in_metrics(*path: str) -> Any:
    """A field whose value is at this place in the metrics file of a run."""
    return pydantic.Field(validation_alias=pydantic.AliasPath(*path))


class Figures(pydantic.BaseModel, populate_by_name=True):
    """The figures of a finished run in the table, by their names there or from the run's metrics."""

    validation_f1: Score = _in_metrics("scores", "validation", "f1")
    validation_accuracy: Score = _in_metrics("scores", "validation", "accuracy")
    training_f1: Score = _in_metrics("scores", "training", "f1")
    best_epoch: pydantic.NonNegativeInt = _in_metrics("trainings", "variant", "best_epoch")
    model_parameters: pydantic.NonNegativeInt = _in_metrics("scores", "parameters")
    multiply_adds: pydantic.NonNegativeInt = _in_metrics("scores", "multiply_adds")
    seconds: Amount = _in_metrics("duration_seconds")
    processor_seconds: float | None = _in_metrics("scores", "processor_seconds")
    peak_memory_gib: Amount
    weights_sha256: str = _in_metrics("scores", "weights_sha256")
    processor: str = _in_metrics("hardware", "processor")
    tensorflow: str = _in_metrics("versions", "tensorflow")


class Epoch(pydantic.BaseModel):
    """The figures of an epoch in the table of learning curves."""

    epoch: int
    loss: Amount
    f1: Score
    val_loss: Amount
    val_f1: Score


def is_executed(run_identity: str) -> bool:
    """Whether the folder of a run holds its executed notebook, which is written last."""
    return (RUNS_FOLDER / run_identity / "experiment.ipynb").exists()


def read_result(run: Run, run_identity: str, data_sha256: str) -> Result | None:
    """The result of a finished run in its folder, None for an unfinished one; a DamagedResultError if it is not valid.

    The processor time of a run that was interrupted is None, because only the last process measured it.
    """
    if not is_executed(run_identity):
        return None
    path = RUNS_FOLDER / run_identity / "metrics" / "experiment.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        if metrics["parameters"] != run.parameters:
            raise ValueError("the parameters are another run's")
        if metrics["data_sha256"] != data_sha256:
            raise ValueError("it was trained on other data")
        _require_locked(metrics["versions"])
        training = metrics["trainings"]["variant"]
        if training["restored_seconds"]:
            metrics["scores"]["processor_seconds"] = None
        epochs = pd.DataFrame(training["history"])
        epochs["epoch"] = epochs.index + 1
        return check_result(run, metrics, epochs.to_dict("records"))
    except Exception as error:  # each way in which a file can be damaged raises another kind
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise DamagedResultError(f"{files.display_path(path)}: {what}") from error


def check_result(run: Run, figures: dict[str, Any], epochs: list[dict[str, Any]]) -> Result:
    """A result from its figures, in a row or in metrics, and its epochs; a DamagedResultError if it is not valid."""
    if len(epochs) != run.parameters["epochs"]:
        raise DamagedResultError("epochs are missing")
    try:
        return {"row": Figures(**figures).model_dump(), "epochs": [Epoch(**epoch).model_dump() for epoch in epochs]}
    except pydantic.ValidationError as error:
        raise DamagedResultError(describe(error)[1]) from error


def _require_locked(versions: dict[str, str]) -> None:
    """Raise a ValueError for a result that was computed with other packages than the lock's."""
    for name in versions.keys() & set(COMPUTING_PACKAGES):
        if versions[name] not in locked_versions(name):
            raise ValueError(f"{name} was {versions[name]}, and the lock has {' or '.join(locked_versions(name))}")


# --- Execution ------------------------------------------------------------------------------------


def execute(run: Run, run_identity: str, data_sha256: str) -> Result:
    """Execute a run unless it is finished, and return its result; this is a worker's task.

    If two workers execute the same run, the second waits for the first. An interrupted run resumes.
    """
    # Dask sets this for its workers; a kernel that inherits it releases memory at once and takes twice as long.
    os.environ.pop("MALLOC_TRIM_THRESHOLD_", None)
    if identity(run, data_sha256) != run_identity:
        raise UserError(
            "this worker has other code or another lock than the sweep: use the same project folder on all machines"
        )
    folder = RUNS_FOLDER / run_identity
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"):
            try:
                result = read_result(run, run_identity, data_sha256)
            except DamagedResultError:  # the sweep has reported it
                result = None
            if result is None:
                parameters = run.parameters | {"profile": f"{RUNS_FOLDER.name}/{run_identity}"}
                execute_notebook(EXPERIMENT, folder / "experiment.ipynb", parameters, show=False)
                if identity(run, data_sha256) != run_identity:
                    (folder / "experiment.ipynb").unlink()
                    raise UserError(
                        "the code or the lock was changed during the run, so the result is not valid: run it again"
                    )
                result = read_result(run, run_identity, data_sha256)
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    except (OSError, UserError, DamagedResultError) as error:
        if is_full(error):
            raise DiskFullError(f"the disk is full: {error}") from error
        raise UserError(str(error)) from error
    return result
