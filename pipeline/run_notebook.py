"""Run a notebook headless with a profile's parameters: `python -m pipeline.run_notebook part1_mnist --profile full`."""

from __future__ import annotations

import argparse
import datetime
import functools
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from coursework import files
from coursework.session import HEADLESS_VARIABLE
from coursework.text import format_duration
from pipeline.errors import UserError, run_command
from pipeline.parameters import NOTEBOOKS_FOLDER, REPORTED_NOTEBOOKS, check_parameters, read_handin, read_profile
from pipeline.record import last_duration

KERNEL_ARGUMENTS = ["--log-level=50", "--IPKernelApp.capture_fd_output=False"]
"""Silences the kernel's messages about its shutdown, and turns off its thread for output of C libraries, which may
outlive the event loop and print a traceback (github.com/ipython/ipykernel/issues/1155)."""
PYTHONPATH = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "application/pdf")
"""Outputs in base 64, which contain no paths."""
KERNEL_DIED = "the kernel died, most likely for lack of memory. Close other programs, or try a smaller batch size."
BY_HAND_TAG = "by-hand"
"""Tag of cells about running by hand, which executed copies leave out."""
TABLE_NAME = re.compile(r"\bT_[0-9a-f]{5}(?=[_\" {#])")
"""The random name that pandas gives to a styled table."""
ADDRESS = re.compile(r" at 0x[0-9a-f]+(?=>)")
"""The memory address in the default text of an object."""
CELL_FILE = re.compile(r"(?<![\w.-])/[^\s:'\"]{0,300}?/ipykernel_\d+/\d+\.py")
"""The temporary file of a cell, which warnings name with a folder of this machine."""


def _require_no_exit(execute_reply: dict[str, Any], **_: Any) -> None:
    """Raise a UserError if a cell called `sys.exit(0)` or `exit()`, after which papermill reports a finished run."""
    content = execute_reply["content"]
    is_system_exit = content.get("ename") == "SystemExit" and content["evalue"] in ("", "0")
    if is_system_exit or any(part["source"] == "ask_exit" for part in content.get("payload", [])):
        raise UserError(
            f"code cell {content['execution_count']} calls `exit()` or raises SystemExit: expected a notebook that "
            "runs to its last cell, so remove that line"
        )


def run_notebook(notebook: str, profile: str, output: str | None = None) -> Path:
    """Execute a part of the hand-in; return its executed copy in the output folder, by default the profile's."""
    began = time.time()
    source = NOTEBOOKS_FOLDER / f"{notebook}.ipynb"
    output = profile if output is None else output
    target = files.output_folder(output) / f"{notebook}.ipynb"
    handin = read_handin()
    group = {name: value for name, value in handin.items() if name.startswith("group_")}
    parameters = read_profile(profile, notebook) | group | {"profile": output}
    title = {
        "Course": handin["course"],
        "Group": f"{handin['group_number']}, {handin['group_name']}",
        "Members": ", ".join(handin["group_members"]),
        "Run": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, profile {profile}",
    }
    if (seed := check_parameters(source, parameters).get("seed")) is not None:
        title["Seed"] = str(seed)
    metadata = {"title_block": title, "authors": [{"name": name} for name in handin["group_members"]]}
    earlier = last_duration(output, notebook)
    took = f", {format_duration(earlier)} last time" if earlier is not None else ""
    print(f"== {notebook}, profile {profile}: running{took} ==", flush=True)
    execute_notebook(source, target, parameters, metadata)
    print(f"== {notebook}: {time.time() - began:.0f} s, {files.display_path(target)} ==", flush=True)
    return target


def execute_notebook(
    source: Path, target: Path, parameters: dict[str, Any], metadata: Mapping[str, Any] | None = None, show: bool = True
) -> None:
    """Execute a notebook; its executed copy replaces `target` once all its cells have run.

    If a cell fails, or the kernel dies, a UserError says so; `<notebook>.failed.ipynb` keeps the cells run so far.

    Args:
        parameters: values that replace the notebook's own.
        metadata: of the executed copy: the lines of the PDF's title block, and the authors in its properties.
        show: print the output of the cells while they run.
    """
    failed = target.with_suffix(".failed.ipynb")
    began = time.time()
    _set_environment_of_kernels(show)
    with files.replace_when_complete(target) as temporary:
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
                on_cell_executed=_require_no_exit,
                config=Config({"KernelManager": {"transport_encryption": "auto"}}),
            )
        except (PapermillExecutionError, UserError, DeadKernelError) as error:
            if isinstance(error, PapermillExecutionError):
                problem = f"code cell {error.exec_count} failed: {error.ename}: {error.evalue}"
            else:
                problem = KERNEL_DIED if isinstance(error, DeadKernelError) else error
            temporary.replace(failed)
            kept = f"The notebook with its output so far: {files.display_path(failed)}"
            raise UserError(f"{source.stem}, {problem}\n{kept}") from error
        except KeyboardInterrupt:
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it would print tracebacks of the interruption
            raise
        except RuntimeError as error:
            if not str(error).startswith(("Kernel died", "Kernel didn't respond")):  # at its start
                raise
            raise UserError(f"{source.stem}: {KERNEL_DIED} It died while it started ({error}).") from error
        executed = nbformat.read(temporary, as_version=4)
        nbformat.write(tidy(executed, parameters, metadata or {}), temporary)
        os.utime(temporary, (began, began))  # edits during the run are newer, so make sees them
    failed.unlink(missing_ok=True)


def _set_environment_of_kernels(show: bool) -> None:
    """Set the environment variables of kernels: headless, with this checkout's code, and with empty settings of Keras,
    Matplotlib and IPython, so that the settings in a user's home folder change no result."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(files.ROOT), *PYTHONPATH])
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ[HEADLESS_VARIABLE] = "terminal" if show else "silent"
    for name in ("MATPLOTLIBRC", *(name for name in os.environ if name.startswith("OPENBLAS_"))):
        os.environ.pop(name, None)  # such as the processor type that NumPy's sums are compiled for
    for variable, name in (("KERAS_HOME", "keras"), ("MPLCONFIGDIR", "matplotlib"), ("IPYTHONDIR", "ipython")):
        os.environ[variable] = str(_settings_folder() / name)


@functools.cache
def _settings_folder() -> Path:
    """A folder in the environment, or a temporary one if the environment is read-only, as a shared one may be."""
    folder = Path(sys.prefix) / "settings"
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="settings."))


def tidy(
    executed: nbformat.NotebookNode, parameters: dict[str, Any], metadata: Mapping[str, Any]
) -> nbformat.NotebookNode:
    """Join the pieces of each output stream, remove cells about running by hand and paths of this machine, replace
    random names by numbers, and add metadata."""
    executed, _ = CoalesceStreamsPreprocessor().preprocess(executed, {})
    executed.cells = [cell for cell in executed.cells if BY_HAND_TAG not in cell.metadata.get("tags", [])]
    started = executed.metadata["papermill"]["start_time"]
    executed.metadata["papermill"] = {"parameters": parameters, "start_time": started}
    executed.metadata.update(metadata)
    for number, cell in enumerate(executed.cells):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
        for place, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            for fields in (output, data):
                texts = {name: value for name, value in fields.items() if name != "data" and name not in PICTURES}
                fields.update({name: redact_paths(value) for name, value in texts.items()})
            if "text/html" in data:
                data["text/html"] = TABLE_NAME.sub(f"T_{number}_{place}", data["text/html"])
            if "text/plain" in data:
                data["text/plain"] = ADDRESS.sub("", data["text/plain"])
    return executed


def redact_paths(value: Any) -> Any:
    """Make paths in a text, or in nested texts, relative to the project's root or the user's home."""
    if isinstance(value, list):
        return [redact_paths(part) for part in value]
    if isinstance(value, dict):
        return {name: redact_paths(part) for name, part in value.items()}
    if not isinstance(value, str):
        return value
    value = CELL_FILE.sub("a cell", value)
    home = os.path.expanduser("~")  # noqa: PTH111, Path.home raises without a home folder
    for folder, replacement in ((str(files.ROOT), ""), (home, "~/")):
        if len(folder) > 1:
            value = re.sub(rf"(?<![\w.-]){re.escape(folder)}(?:/|(?![\w.-]))", replacement, value)
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a notebook headless with a profile's parameters.")
    parser.add_argument("notebook", choices=REPORTED_NOTEBOOKS)
    parser.add_argument("--profile", default="full", help="a parameter set of notebooks/profiles (default: full)")
    arguments = parser.parse_args()
    run_notebook(arguments.notebook, arguments.profile)


if __name__ == "__main__":
    run_command(main)
