"""Run a notebook headless with a profile's parameters: `python -m pipeline.run_notebook part1_mnist --profile full`."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import papermill
import zmq
from nbclient.exceptions import DeadKernelError
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

import utilities
from pipeline.errors import UserError, run_command
from pipeline.parameters import (
    NOTEBOOKS_FOLDER,
    REPORTED_NOTEBOOKS,
    check_parameters,
    read_handin,
    read_profile,
)
from pipeline.state import last_duration

KERNEL_ARGUMENTS = ["--log-level=50", "--IPKernelApp.capture_fd_output=False"]
"""Not the kernel's own remarks about being shut down. And no thread of its own for what libraries print past Python: it outlives the
event loop now and then, and tells so in a traceback (github.com/ipython/ipykernel/issues/1155)."""
PYTHONPATH = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "application/pdf")
"""Outputs in base 64, in which no file is named."""
KERNEL_DIED = "the kernel died, most likely because the machine ran out of memory. Close other programs, or try a smaller batch size."
BY_HAND_TAG = "by-hand"
"""Cells that are no part of an executed copy: they tell how to run the notebook by hand."""
TABLE_NAME = re.compile(r"\bT_[0-9a-f]{5}(?=[_\" {#])")
"""What pandas calls a styled table, at random."""
ADDRESS = re.compile(r" at 0x[0-9a-f]+(?=>)")
"""Where in memory an object was that has no better text than that."""
CELL_FILE = re.compile(r"(?<![\w.-])/[^\s:'\"]{0,300}?/ipykernel_\d+/\d+\.py")
"""The temporary file that a cell is to Python: a warning names it, and with it where this machine has such files."""


def run_notebook(notebook: str, profile: str, output: str | None = None) -> Path:
    """Execute a part of the hand-in and put the executed copy into the profile's output folder, complete or not at all.

    Args:
        output: another folder in `reports/` than the profile's.

    Returns:
        The path of the executed notebook.

    Raises:
        UserError: as `execute_notebook`.
    """
    began = time.time()
    source = NOTEBOOKS_FOLDER / f"{notebook}.ipynb"
    output = profile if output is None else output
    target = utilities.output_folder(output) / f"{notebook}.ipynb"
    handin = read_handin()
    group = {name: value for name, value in handin.items() if name.startswith("group_")}
    parameters = read_profile(profile, notebook) | group | {"profile": output}
    seed = check_parameters(source, parameters).get("seed")
    title = {
        "Course": handin["course"],
        "Group": f"{handin['group_number']}, {handin['group_name']}",
        "Members": ", ".join(handin["group_members"]),
        "Run": f"{{date}}, profile {profile}",
    } | ({"Seed": str(seed)} if seed is not None else {})
    earlier = last_duration(target.parent, notebook)
    took = f", {utilities.duration(earlier)} where it was made last" if earlier is not None else ""
    print(f"== {notebook}, profile {profile}: running{took} ==", flush=True)
    execute_notebook(source, target, parameters, title=title, authors=handin["group_members"], began=began)
    print(f"== {notebook}: {time.time() - began:.0f} s, {target.relative_to(utilities.ROOT)} ==", flush=True)
    return target


def execute_notebook(
    source: Path,
    target: Path,
    parameters: dict[str, Any],
    *,
    title: dict[str, str] | None = None,
    authors: Iterable[str] = (),
    began: float | None = None,
    show: bool = True,
) -> None:
    """Execute a notebook; its executed copy stands at `target` when all its cells have run, and not before.

    Args:
        parameters: what the notebook's own values are replaced by.
        title: lines of the PDF's title block; `{date}` in one is the day of the run.
        authors: names in the PDF's properties.
        began: when the parameters were read, for what is edited from then on is newer than the executed copy.
        show: print what the cells print while they run.

    Raises:
        UserError: a cell failed, or the kernel died. What was run until then is kept beside the target, as
            `<notebook>.failed.ipynb`.
    """
    failed = target.with_suffix(".failed.ipynb")
    kept = f"The notebook up to there is kept for reading: {failed.relative_to(utilities.ROOT)}"
    began = time.time() if began is None else began
    _set_environment_of_kernels(show)
    with utilities.replace_when_complete(target) as temporary:
        try:
            papermill.execute_notebook(
                source,
                temporary,
                parameters,
                cwd=NOTEBOOKS_FOLDER,
                kernel_name="python3",
                progress_bar=False,
                stdout_file=sys.stdout if show else None,
                stderr_file=sys.stderr if show else None,
                extra_arguments=KERNEL_ARGUMENTS,
                config=Config({"KernelManager": {"transport_encryption": "auto" if zmq.has("curve") else "disabled"}}),
            )
        except PapermillExecutionError as error:
            temporary.replace(failed)
            raise UserError(
                f"{source.stem}, code cell {error.exec_count} failed: {error.ename}: {error.evalue}\n{kept}"
            ) from error
        except KeyboardInterrupt:
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it would tell how what was interrupted died
            raise
        except DeadKernelError as error:
            temporary.replace(failed)
            raise UserError(f"{source.stem}: {KERNEL_DIED}\n{kept}") from error
        except RuntimeError as error:
            if not str(error).startswith(("Kernel died", "Kernel didn't respond")):  # while it started
                raise
            raise UserError(f"{source.stem}: {KERNEL_DIED} It did so while it started ({error}).") from error
        executed = nbformat.read(temporary, as_version=4)
        nbformat.write(_tidy(executed, parameters, title, authors), temporary)
        os.utime(temporary, (began, began))  # what was edited while this ran is newer, and make sees it
    failed.unlink(missing_ok=True)


def _set_environment_of_kernels(show: bool) -> None:
    """What kernels find from now on: that nobody looks at them, this checkout's code, and settings of Keras, Matplotlib and IPython that are nobody's, so that what
    a user has in the home folder changes no result."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(utilities.ROOT), *PYTHONPATH])
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ[utilities.HEADLESS_VARIABLE] = "terminal" if show else "silent"
    for name in ("MATPLOTLIBRC", *(name for name in os.environ if name.startswith("OPENBLAS_"))):
        os.environ.pop(name, None)  # such as the kind of processor that NumPy's sums are made for
    for variable, name in (("KERAS_HOME", "keras"), ("MPLCONFIGDIR", "matplotlib"), ("IPYTHONDIR", "ipython")):
        os.environ[variable] = str(_settings_folder() / name)


@functools.cache
def _settings_folder() -> Path:
    """A folder in the environment's, or a temporary one if that can't be written."""
    folder = Path(sys.prefix) / "settings"
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="settings."))


def _tidy(
    executed: nbformat.NotebookNode, parameters: dict[str, Any], title: dict[str, str] | None, authors: Iterable[str]
) -> nbformat.NotebookNode:
    """Join the pieces of each output stream, take out what is said to who runs it by hand and what names this machine, put numbers in
    the place of random names, and add what the PDF's title block tells."""
    executed, _ = CoalesceStreamsPreprocessor().preprocess(executed, {})
    executed.cells = [cell for cell in executed.cells if BY_HAND_TAG not in cell.metadata.get("tags", [])]
    started = executed.metadata["papermill"]["start_time"]
    executed.metadata["papermill"] = {"parameters": parameters, "start_time": started}
    if title is not None:
        executed.metadata["handin"] = {name: line.replace("{date}", started[:10]) for name, line in title.items()}
        executed.metadata["authors"] = [{"name": name} for name in authors]
    for number, cell in enumerate(executed.cells):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
        for place, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            for fields in (output, data):
                texts = {name: value for name, value in fields.items() if name != "data" and name not in PICTURES}
                fields.update({name: _without_places(value) for name, value in texts.items()})
            if "text/html" in data:
                data["text/html"] = TABLE_NAME.sub(f"T_{number}_{place}", data["text/html"])
            if "text/plain" in data:
                data["text/plain"] = ADDRESS.sub("", data["text/plain"])
    return executed


def _without_places(value: Any) -> Any:
    """A text, or what texts are nested in, that names files from the project's root or the user's home, never by their whole path."""
    if isinstance(value, list):
        return [_without_places(part) for part in value]
    if isinstance(value, dict):
        return {name: _without_places(part) for name, part in value.items()}
    if not isinstance(value, str):
        return value
    value = CELL_FILE.sub("a cell", value)
    home = os.path.expanduser("~")  # noqa: PTH111, Path's raises where a user has none
    for folder, instead in ((str(utilities.ROOT), ""), (home, "~/")):
        if len(folder) > 1:
            value = re.sub(rf"(?<![\w.-]){re.escape(folder)}(?:/|(?![\w.-]))", instead, value)
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a notebook headless with a profile's parameters.")
    parser.add_argument("notebook", choices=REPORTED_NOTEBOOKS)
    parser.add_argument("--profile", default="full", help="a parameter set of notebooks/profiles (default: full)")
    arguments = parser.parse_args()
    run_notebook(arguments.notebook, arguments.profile)


if __name__ == "__main__":
    run_command(main)
