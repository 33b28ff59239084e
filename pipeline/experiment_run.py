"""One run of the experiments: what identifies it, what it leaves behind, and how it is executed once and only once."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import math
import os
import re
import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import filelock
import nbformat

import utilities
from pipeline.errors import UserError, is_full
from pipeline.grid import EXPERIMENT, Run
from pipeline.run_notebook import execute_notebook

RUNS_FOLDER = utilities.REPORTS_FOLDER / "experiments"
LOCK_FILE = utilities.ROOT / "requirements.txt"
COMPUTING_PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "numpy", "h5py")
"""What a run computes with. They and what they need are the part of the lock that makes a result what it is."""

WITHOUT_EFFECT = re.compile(
    r"plot_\w+|_figure_class|score_table|_TrainingView|_epoch_line|_relative"  # what draws and prints
    r"|load_\w+|content_hash"  # what fetches the data, which have a hash of their own
    r"|replace_when_complete|_(write|restore)_checkpoint|_training_identity|write_metrics|environment"  # what keeps files
)
"""Functions of `utilities.py` that a run calls and whose code is no part of what it computes."""

Result = dict[str, Any]
"""The `row` of a run in the table, and its `epochs`, one row each."""


class DiskFullError(UserError):
    """There is no room left for a result. Nothing else can go on."""


class DamagedResultError(Exception):
    """A file of a finished run doesn't hold what it should."""


# --- Identity -------------------------------------------------------------------------------------


def identity(run: Run, data_sha256: str) -> str:
    """What makes a run the one it is, as 16 hexadecimal digits: its parameters, the code it executes, data and lock."""
    parts = {"parameters": run.parameters, "code": code_sha256(), "data": data_sha256, "lock": lock_sha256()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def code_sha256() -> str:
    """Hash of the code that a run executes: the notebook's cells, and of `utilities.py` what they reach.

    Comments, docstrings, layout, and what `WITHOUT_EFFECT` names can change without making a run another one.
    """
    cells = [cell for cell in nbformat.read(EXPERIMENT, as_version=4).cells if cell.cell_type == "code"]
    trees = [ast.parse(cell.source) for cell in cells if "parameters" not in cell.metadata.get("tags", [])]
    module = ast.parse(Path(utilities.__file__).read_text(encoding="utf-8"))
    definitions = dict(_definitions(module.body))
    waiting = [name for tree in trees for name in _names(tree)]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in reached or name not in definitions or WITHOUT_EFFECT.fullmatch(name):
            continue
        reached.add(name)
        waiting += _names(definitions[name])
    executed = [*trees, *(definitions[name] for name in sorted(reached))]
    return hashlib.sha256(repr([_plain(tree) for tree in executed]).encode()).hexdigest()


def _definitions(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """The functions, classes and constants of a module by name; what `__getattr__` makes is found under it."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield statement.name, statement
            if statement.name == "__getattr__":
                for node in ast.walk(statement):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                        yield node.value, statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, statement


def _names(tree: ast.AST) -> list[str]:
    """All names that a piece of code could mean, attributes included."""
    return [
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
    ]


def _plain(node: Any) -> Any:
    """A syntax tree as nested lists, without docstrings and empty fields: the same in every version of Python."""
    if isinstance(node, list):
        return [_plain(part) for part in node]
    if not isinstance(node, ast.AST):
        return node
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
        fields["body"] = fields["body"][1:]
    return [type(node).__name__, *([name, _plain(part)] for name, part in fields.items() if part not in (None, []))]


@functools.cache
def lock_sha256() -> str:
    """Hash of the lock's entries, with their versions and hashes, of the computing packages and all they need."""
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


@functools.cache
def locked_versions(package: str) -> list[str]:
    """The versions of a package that the lock allows; there is more than one if platforms differ."""
    return re.findall(rf"^{package}==([\w.]+)", LOCK_FILE.read_text(encoding="utf-8"), re.MULTILINE)


# --- Results --------------------------------------------------------------------------------------

EPOCH_COLUMNS = ("loss", "f1", "val_loss", "val_f1")


def read_result(run: Run, run_identity: str, data_sha256: str) -> Result | None:
    """What a finished run left in its folder, or None if it is not finished.

    The processor's seconds are None if the run went on after it was interrupted: only the last process counted its own.

    Raises:
        DamagedResultError: its metrics file is no complete result of this run with these data.
    """
    folder = RUNS_FOLDER / run_identity
    if not (folder / "experiment.ipynb").exists():  # which is written last
        return None
    path = folder / "metrics" / "experiment.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        if metrics["parameters"] != run.parameters:
            raise ValueError("the parameters are another run's")
        if metrics["data_sha256"] != data_sha256:
            raise ValueError("it was trained on other data")
        _require_locked(metrics["versions"])
        training, scores = metrics["trainings"]["variant"], metrics["scores"]
        history = training["history"]
        if {len(history[column]) for column in EPOCH_COLUMNS} != {run.parameters["epochs"]}:
            raise ValueError("epochs are missing")
        row = {
            "validation_f1": scores["validation"]["f1"],
            "validation_accuracy": scores["validation"]["accuracy"],
            "training_f1": scores["training"]["f1"],
            "best_epoch": training["best_epoch"],
            "model_parameters": scores["parameters"],
            "multiply_adds": scores["multiply_adds"],
            "seconds": metrics["duration_seconds"],
            "processor_seconds": None if training["restored_seconds"] else scores["processor_seconds"],
            "peak_memory_gib": metrics["peak_memory_gib"],
            "weights_sha256": scores["weights_sha256"],
            "processor": metrics["hardware"]["processor"],
            "tensorflow": metrics["versions"]["tensorflow"],
        }
        require_scores(row)
        for name in ("best_epoch", "model_parameters", "multiply_adds", "seconds", "peak_memory_gib"):
            if not 0 <= row[name] < math.inf:
                raise ValueError(f"{name} is {row[name]}")
        for column in EPOCH_COLUMNS:
            if not all(0 <= value <= (1 if "f1" in column else math.inf) for value in history[column]):
                raise ValueError(f"the history's {column} holds what it can't")
        epochs = [
            {"epoch": number + 1} | {column: history[column][number] for column in EPOCH_COLUMNS}
            for number in range(run.parameters["epochs"])
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise DamagedResultError(f"{path.relative_to(utilities.ROOT)}: {what}") from error
    return {"row": row, "epochs": epochs}


def require_scores(row: dict[str, Any]) -> None:
    """Refuse a row of the table whose scores can't be any, with a ValueError or, if they are no numbers, a TypeError."""
    for name in ("validation_f1", "validation_accuracy", "training_f1"):
        if not 0 <= row[name] <= 1:
            raise ValueError(f"{name} is {row[name]}")


def _require_locked(versions: dict[str, str]) -> None:
    """Refuse a result that was computed with other packages than the lock names."""
    for name in versions.keys() & set(COMPUTING_PACKAGES):
        if versions[name] not in locked_versions(name):
            raise ValueError(f"{name} was {versions[name]}, and the lock has {' or '.join(locked_versions(name))}")


# --- Execution ------------------------------------------------------------------------------------


def execute(run: Run, run_identity: str, data_sha256: str) -> Result:
    """Execute a run if it is not finished yet, and return its result; this is what a worker does.

    Two workers that are given the same run at once do not get into each other's way: the second waits for the first. A run
    that was interrupted goes on after its last epoch.

    Raises:
        UserError: the run failed, or this worker's project is not the one that the sweep was started from.
        DiskFullError: there is no room for the result.
    """
    # Dask sets this for its workers; a kernel that inherits it gives all memory back at once and takes twice as long.
    os.environ.pop("MALLOC_TRIM_THRESHOLD_", None)
    if _identity_anew(run, data_sha256) != run_identity:
        raise UserError("this worker has other code or another lock than the sweep: give all machines the same project")
    folder = RUNS_FOLDER / run_identity
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"):
            try:
                result = read_result(run, run_identity, data_sha256)
            except DamagedResultError:  # the sweep has said so
                result = None
            if result is None:
                profile = f"{RUNS_FOLDER.name}/{run_identity}"
                execute_notebook(
                    EXPERIMENT, folder / "experiment.ipynb", run.parameters | {"profile": profile}, show=False
                )
                if _identity_anew(run, data_sha256) != run_identity:
                    (folder / "experiment.ipynb").unlink()
                    raise UserError(
                        "the code or the lock was changed while this ran, so the result is nobody's: run it again"
                    )
                result = read_result(run, run_identity, data_sha256)
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    except (OSError, UserError, DamagedResultError) as error:
        if is_full(error):
            raise DiskFullError(f"the disk is full: {error}") from error
        raise UserError(str(error)) from error
    return result


_PARSING = threading.Lock()
"""Python's parser fails now and then if two threads of a worker use it at once."""


def _identity_anew(run: Run, data_sha256: str) -> str:
    """The identity by the files as they are now."""
    with _PARSING:
        code_sha256.cache_clear()
        lock_sha256.cache_clear()
        locked_versions.cache_clear()
        return identity(run, data_sha256)
