"""Fuzz what reads files that others made: `make fuzz`, half an hour. Its results go into `robustness.json`.

atheris, guided by the coverage of our code, feeds the readers of IDX and HDF5 files and the front of the notebook exporter, which makes
Typst of a notebook, with damaged and made-up files. A case ends well with a right result or with our own error; all else is a
finding: another exception, a hang of 10 s, more than 2 GiB of memory, a crash of a library in C. Then the property tests run with
many cases. atheris and coverage are needed for this alone: `make fuzz` adds them to the environment for as long as it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np

from coursework import course_split, data, files
from pipeline import read_hdf5

IDX_NAME = "t10k-labels-idx1-ubyte"
IDX_CONTENT = bytes([0, 0, 8, 1, 0, 0, 0, 4, 7, 2, 1, 0])
H5_SHAPES = {"images": (3, 4, 4), "labels": (3,)}


# --- What is fuzzed: each takes the bytes of a file and a place for it ----------------------------


def read_idx(data: bytes, folder: Path) -> None:
    path = folder / (f"{IDX_NAME}.gz" if data.startswith(b"\x1f\x8b") else IDX_NAME)
    path.write_bytes(data)
    data.IDX_SIZES = {IDX_NAME: len(IDX_CONTENT)}
    data.IDX_SHA256 = {"mnist": {IDX_NAME: hashlib.sha256(IDX_CONTENT).hexdigest()}}
    found, problems = data.files_in_folder("mnist", [IDX_NAME], folder)
    path.unlink()
    assert found in ({}, {IDX_NAME: IDX_CONTENT})
    assert bool(found) != bool(problems)


def read_h5(data: bytes, folder: Path) -> None:
    path = folder / "file.h5"
    path.write_bytes(data)
    try:
        content, _ = read_hdf5.read(str(path), H5_SHAPES)
    except Exception:  # each is told in a sentence by the process that reads
        return
    assert content["images"].shape == (3, 4, 4)
    assert content["labels"].max() <= 9


def read_notebook(data: bytes, folder: Path) -> None:
    from pipeline.handin_pdf import document, errors, notebook

    try:
        content = notebook.read_notebook(data.decode("utf-8-sig"))
        document.Document(content, "file.ipynb", folder, document.Settings(), {})
    except errors.UnforeseenError:
        raise
    except (errors.ExportError, UnicodeDecodeError):
        pass


# --- Where it begins ------------------------------------------------------------------------------


def idx_seeds() -> Iterator[bytes]:
    yield from (IDX_CONTENT, gzip.compress(IDX_CONTENT), IDX_CONTENT[:-1], gzip.compress(bytes(10**6)))


def h5_seeds() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        for options in ({}, {"chunks": True, "compression": "gzip", "fletcher32": True, "shuffle": True}):
            path = Path(folder) / "seed.h5"
            with h5py.File(path, "w", libver="latest" if options else None) as file:
                file.create_dataset("images", data=np.arange(48, dtype=np.uint8).reshape(3, 4, 4), **options)
                file.create_dataset("labels", data=np.array([1, 2, 3], np.int16), **options)
                file.attrs["sha256"] = "0" * 64
            yield path.read_bytes()


def notebook_seeds() -> Iterator[bytes]:
    """Small notebooks with all kinds of cells and outputs: the cells of our own parts, one by one."""
    for path in (
        *sorted((files.ROOT / "notebooks").glob("*.ipynb")),
        *sorted(files.REPORTS_FOLDER.glob("*.ipynb")),
    ):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            seed = json.dumps(notebook | {"cells": [cell]}).encode()
            if len(seed) < 6000:
                yield seed


WORDS = ["cells", "cell_type", "markdown", "code", "raw", "source", "outputs", "output_type", "stream", "display_data", "execute_result", "error", "text/html", "text/latex", "text/markdown", "image/svg+xml", "image/png", "metadata", "tags", "attachments", "nbformat", "<table>", "<td rowspan=9>", "<svg>", "$$", "\\\\frac{", "\\\\begin{aligned}", "![](", "[^1]", "```", "| a |", "\\u001b[31m", "\\\\phantom{", "\\\\text{#panic(1)}", "rgb(1e400%,", "&#xfdd0;", "```console"]  # fmt: skip
TARGETS: dict[str, tuple[Callable[[bytes, Path], None], Callable[[], Iterator[bytes]], int]] = {
    "IDX files": (read_idx, idx_seeds, 4096),
    "HDF5 files": (read_h5, h5_seeds, 8192),
    "notebooks": (read_notebook, notebook_seeds, 8192),
}


PROPERTIES = "property tests"


def read_code(name: str) -> list[tuple[ModuleType, tuple[int, int]]]:
    """The code that a target is about: modules, and the first and last of their lines that count."""
    if name == "notebooks":
        from pipeline.handin_pdf import document, html_tree, markdown, markup, mathematics, notebook, tables, typst_text

        modules = (document, html_tree, markdown, markup, mathematics, notebook, tables, typst_text)
        return [(module, (1, 10**6)) for module in modules]
    readers = (
        (data.files_in_folder, data.read_idx, data.check_idx)
        if name == "IDX files"
        else (read_hdf5.read, read_hdf5._require)
    )
    ranges = []
    for reader in readers:
        lines, first = inspect.getsourcelines(reader)
        ranges.append((inspect.getmodule(reader), (first, first + len(lines) - 1)))
    return ranges


# --- In processes of their own --------------------------------------------------------------------


def fuzz(name: str, corpus: Path, seconds: int) -> None:
    """Feed a target until the time is up, a case fails, or the process dies."""
    import atheris

    with atheris.instrument_imports(include=["pipeline.handin_pdf"]):
        import pipeline.handin_pdf.document  # noqa: F401
    for reader in (
        data.files_in_folder,
        data.read_idx,
        data.check_idx,
        read_hdf5.read,
        read_hdf5._require,
    ):
        setattr(inspect.getmodule(reader), reader.__name__, atheris.instrument_func(reader))
    target, _, longest = TARGETS[name]
    dictionary = corpus.with_name("dictionary")
    dictionary.write_text("\n".join(json.dumps(word) for word in WORDS), encoding="utf-8")
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={longest}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    options += [f"-artifact_prefix={corpus.parent}/finding-", f"-dict={dictionary}"]
    folder = corpus.with_name("work")
    folder.mkdir(exist_ok=True)
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: target(data, folder))
    atheris.Fuzz()


def cover(name: str, corpus: Path) -> None:
    """Print how many of the lines of the code in question the corpus reaches."""
    import coverage

    target, _, _ = TARGETS[name]
    watcher = coverage.Coverage(data_file=None, config_file=False)
    places = read_code(name)
    with tempfile.TemporaryDirectory() as folder:
        watcher.start()
        for path in corpus.iterdir():
            with contextlib.suppress(Exception):
                target(path.read_bytes(), Path(folder))
        watcher.stop()
    lines = reached = 0
    for module, (first, last) in places:
        _, statements, _, missing, _ = watcher.analysis2(module.__file__)
        within = {line for line in statements if first < line <= last}
        lines, reached = lines + len(within), reached + len(within - set(missing))
    print(json.dumps({"lines": lines, "reached": reached}))


def ourselves(*arguments: Any) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "benchmarks.fuzz", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        command, cwd=files.ROOT, env=environment, capture_output=True, text=True, errors="replace"
    )


def fuzz_target(name: str, seconds: int, findings: Path) -> dict[str, Any]:
    """Fuzz a target in processes of its own until the time is up, and keep what made it fail.

    HDF5's library, which is written in C, does hang and crash. `utilities.py` reads such files in a process of its own, so each that is
    found is given to it: what ends there in our own error is counted as survived.
    """
    executed = survived = 0
    found = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(TARGETS[name][1]()):
            (corpus / f"seed-{number}").write_bytes(seed)
        began = time.perf_counter()
        while (left := seconds - int(time.perf_counter() - began)) > 0:
            result = ourselves("--fuzz", name, corpus, left)
            if not (count := re.search(r"stat::number_of_executed_units:\s*(\d+)", result.stderr)):
                raise RuntimeError(f"the fuzzer did not run: {result.stderr[-2000:]}")
            executed += int(count[1])
            for path in Path(folder).glob("finding-*"):
                if name == "HDF5 files" and survives(path):
                    survived += 1
                elif not path.name.startswith("finding-slow"):
                    found.append(path.name)
                    findings.mkdir(parents=True, exist_ok=True)
                    (findings / path.name).write_bytes(path.read_bytes())
                    print(f"{name}: {path.name}\n{result.stderr[-3000:]}", flush=True)
                path.unlink()
        covered = json.loads(ourselves("--cover", name, corpus).stdout.splitlines()[-1])
        took = time.perf_counter() - began
    return {"cases": executed, "seconds": took, "survived": survived, "findings": len(found), **covered}


def survives(path: Path) -> bool:
    """Whether our reader ends with its own error where the library hangs or crashes."""
    course_split.READING_TIMEOUT = 30
    try:
        course_split.read_h5(path, H5_SHAPES)
    except data.DataError:
        return True
    return False


def try_properties(cases: int) -> dict[str, Any]:
    """Run the property tests with so many cases of each."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/test_properties.py",
        "tests/test_f1.py",
        "--hypothesis-show-statistics",
    ]
    began = time.perf_counter()
    result = subprocess.run(
        command, cwd=files.ROOT, env=os.environ | {"FUZZ_CASES": str(cases)}, capture_output=True, text=True
    )
    if result.returncode:
        print(result.stdout[-3000:], flush=True)
    tried = re.findall(r"(\d+) passing, (\d+) failing", result.stdout)
    if not tried:
        raise RuntimeError(f"Hypothesis says in other words how many cases it tried: {result.stdout[-2000:]}")
    return {
        "cases": sum(int(passing) for passing, _ in tried),
        "properties": len(re.findall(r"during generate phase", result.stdout)),
        "findings": sum(int(failing) for _, failing in tried),
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Fuzz the readers of files, and try the property tests with many cases."
    )
    parser.add_argument("--seconds", type=int, default=300, help="for each reader (default: 300)")
    parser.add_argument("--cases", type=int, default=12_000, help="of each property (default: 12000)")
    parser.add_argument(
        "--only", action="append", choices=(*TARGETS, PROPERTIES), help="one of them, and keep the others' results"
    )
    parser.add_argument("--fuzz", nargs=3, metavar=("TARGET", "CORPUS", "SECONDS"), help="only one, in this process")
    parser.add_argument("--cover", nargs=2, metavar=("TARGET", "CORPUS"), help="only what a corpus reaches")
    arguments = parser.parse_args()
    if arguments.fuzz:
        fuzz(arguments.fuzz[0], Path(arguments.fuzz[1]), int(arguments.fuzz[2]))
        return
    if arguments.cover:
        cover(arguments.cover[0], Path(arguments.cover[1]))
        return
    from benchmarks import robustness

    results: dict[str, Any] = {}
    if robustness.RESULTS.exists():
        results = json.loads(robustness.RESULTS.read_text(encoding="utf-8")).get("fuzzing", {})
    for name in arguments.only or (*TARGETS, PROPERTIES):
        if name == PROPERTIES:
            results[name] = try_properties(arguments.cases)
        else:
            results[name] = fuzz_target(name, arguments.seconds, files.REPORTS_FOLDER / "findings")
        print(name, results[name], flush=True)
        robustness.record("fuzzing", results)


if __name__ == "__main__":
    main()
