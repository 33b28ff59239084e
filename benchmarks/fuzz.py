"""Fuzz the readers of files that others made: `make fuzz`, half an hour. The results go to `robustness.json`.

atheris feeds damaged and invented files to the readers of IDX and HDF5 files and to the PDF export, guided by the
coverage of our code. A case passes if it ends with a correct result or with our own error. Everything else is a
finding: another exception, a hang of 20 s, more than 2 GiB of memory, a crash of a C library. Then the property tests
run with many cases. Only this command needs atheris: `make fuzz` adds it to the environment while it runs.
"""

from __future__ import annotations

import argparse
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
from typing import Any

import h5py
import numpy as np

from benchmarks import page
from coursework import course_split, data, files, read_hdf5

IDX_NAME = "t10k-labels-idx1-ubyte"
IDX_CONTENT = bytes([0, 0, 8, 1, 0, 0, 0, 4, 7, 2, 1, 0])
H5_SHAPES = {"images": (3, 4, 4), "labels": (3,)}
WORDS = (
    "cells cell_type markdown code raw source outputs output_type stream display_data execute_result error text/html "
    "text/latex text/markdown image/svg+xml image/png metadata tags attachments nbformat <table> <svg> $$ \\\\frac{ "
    "\\\\begin{aligned} ![]( [^1] ``` \\u001b[31m \\\\phantom{ \\\\text{#panic(1)} rgb(1e400%, &#xfdd0; ```console"
)
"""What the fuzzer puts into notebooks, separated by spaces."""
PROPERTIES = "property tests"


# --- Targets: each reads the bytes of a file, which it writes to a folder -------------------------


def read_idx(content: bytes, folder: Path) -> None:
    path = folder / (f"{IDX_NAME}.gz" if content.startswith(b"\x1f\x8b") else IDX_NAME)
    path.write_bytes(content)
    data.IDX_SIZES = {IDX_NAME: len(IDX_CONTENT)}
    data.IDX_SHA256 = {"mnist": {IDX_NAME: hashlib.sha256(IDX_CONTENT).hexdigest()}}
    found, problems = data.files_in_folder("mnist", [IDX_NAME], folder)
    path.unlink()
    assert found in ({}, {IDX_NAME: IDX_CONTENT})
    assert bool(found) != bool(problems)


def read_h5(content: bytes, folder: Path) -> None:
    path = folder / "file.h5"
    path.write_bytes(content)
    try:
        arrays, _ = read_hdf5.read(str(path), H5_SHAPES)
    except Exception:  # the process that reads reports each in a sentence
        return
    assert arrays["images"].shape == (3, 4, 4)
    assert arrays["labels"].max() <= 9


def export_notebook(content: bytes, folder: Path) -> None:
    import notebook_pdf

    path = folder / "file.ipynb"
    path.write_bytes(content)
    try:
        notebook_pdf.export(path, folder / "file.pdf")
    except notebook_pdf.ExportError as error:
        if type(error) is not notebook_pdf.ExportError:  # its subclass reports a bug in the exporter
            raise


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
    """Notebooks with one cell each: the small cells of our own parts, with their outputs."""
    for path in sorted([*files.ROOT.glob("notebooks/*.ipynb"), *files.ROOT.glob("reports/*.ipynb")]):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            seed = json.dumps(notebook | {"cells": [cell]}).encode()
            if len(seed) < 6000:
                yield seed


TARGETS: dict[str, tuple[Callable[[bytes, Path], None], Callable[[], Iterator[bytes]], int, tuple[Callable, ...]]] = {
    "IDX files": (read_idx, idx_seeds, 4096, (data.files_in_folder, data.read_idx, data.check_idx)),
    "HDF5 files": (
        read_h5,
        h5_seeds,
        8192,
        tuple(
            one for _, one in inspect.getmembers(read_hdf5, inspect.isfunction) if one.__module__ == read_hdf5.__name__
        ),
    ),
    "notebooks": (export_notebook, notebook_seeds, 8192, ()),
}
"""Each target with its seeds, the maximum length of a case, and the functions whose coverage guides it."""


# --- Fuzzing --------------------------------------------------------------------------------------


def fuzz(name: str, corpus: Path, seconds: int) -> None:
    """Feed a target, in this process, until the time is up, a case fails, or the process dies."""
    import atheris

    target, _, longest, readers = TARGETS[name]
    if name == "notebooks":
        with atheris.instrument_imports(include=["notebook_pdf"]):
            import notebook_pdf  # noqa: F401
    for reader in readers:
        setattr(inspect.getmodule(reader), reader.__name__, atheris.instrument_func(reader))
    dictionary, folder = corpus.with_name("dictionary"), corpus.with_name("work")
    dictionary.write_text("\n".join(json.dumps(word) for word in WORDS.split()), encoding="utf-8")
    folder.mkdir(exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={longest}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        f"-artifact_prefix={corpus.parent}/finding-",
        f"-dict={dictionary}",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda content: target(content, folder))
    atheris.Fuzz()


def fuzz_target(name: str, seconds: int) -> dict[str, Any]:
    """Fuzz a target in separate processes until the time is up; `reports/findings/` gets the cases that made it fail.

    The HDF5 library is written in C and can hang or crash. `course_split` reads such files in a separate process, so
    each case that is found is given to it: if it ends there with our own error, it counts as survived.
    """
    executed = survived = found = 0
    findings = files.REPORTS_FOLDER / "findings"
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(TARGETS[name][1]()):
            (corpus / f"seed-{number}").write_bytes(seed)
        began = time.perf_counter()
        while (left := seconds - int(time.perf_counter() - began)) > 0:
            command = [sys.executable, "-m", "benchmarks.fuzz", "--fuzz", name, str(corpus), str(left)]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
            result = subprocess.run(
                command, cwd=files.ROOT, env=environment, capture_output=True, text=True, errors="replace"
            )
            if not (count := re.search(r"stat::number_of_executed_units:\s*(\d+)", result.stderr)):
                raise RuntimeError(f"the fuzzer did not run: {result.stderr[-2000:]}")
            executed += int(count[1])
            for path in Path(folder).glob("finding-*"):
                if name == "HDF5 files" and survives(path):
                    survived += 1
                elif not path.name.startswith("finding-slow"):
                    found += 1
                    findings.mkdir(parents=True, exist_ok=True)
                    (findings / path.name).write_bytes(path.read_bytes())
                    print(f"{name}: {path.name}\n{result.stderr[-3000:]}", flush=True)
                path.unlink()
        took = time.perf_counter() - began
    return {"cases": executed, "seconds": took, "survived": survived, "findings": found}


def survives(path: Path) -> bool:
    """Whether our reader ends with its own error for a file that makes the library hang or crash."""
    course_split.READING_TIMEOUT = 30
    try:
        course_split.read_h5(path, H5_SHAPES)
    except data.DataError:
        return True
    return False


def try_properties(cases: int) -> dict[str, Any]:
    """Run the property tests, whose number of cases FUZZ_CASES sets, with this number of cases each."""
    paths = [path for path in files.ROOT.glob("tests/*/test_*.py") if "FUZZ_CASES" in path.read_text(encoding="utf-8")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-show-statistics", *paths]
    began = time.perf_counter()
    environment = os.environ | {"FUZZ_CASES": str(cases)}
    result = subprocess.run(command, cwd=files.ROOT, env=environment, capture_output=True, text=True)
    if result.returncode:
        print(result.stdout[-3000:], flush=True)
    tried = re.findall(r"(\d+) passing, (\d+) failing", result.stdout)
    if not tried:
        raise RuntimeError(f"Hypothesis did not report its number of cases: {result.stdout[-2000:]}")
    return {
        "cases": sum(int(passing) for passing, _ in tried),
        "properties": result.stdout.count("during generate phase"),
        "findings": sum(int(failing) for _, failing in tried),
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the readers of files, and run the property tests.")
    parser.add_argument("--seconds", type=int, default=300, help="for each reader (default: 300)")
    parser.add_argument("--cases", type=int, default=12_000, help="of each property (default: 12000)")
    names = (*TARGETS, PROPERTIES)
    parser.add_argument("--only", action="append", choices=names, help="one of them; the others' results are kept")
    parser.add_argument("--fuzz", nargs=3, metavar=("TARGET", "CORPUS", "SECONDS"), help="one target, in this process")
    arguments = parser.parse_args()
    if arguments.fuzz:
        name, corpus, seconds = arguments.fuzz
        fuzz(name, Path(corpus), int(seconds))
        return
    from benchmarks import robustness  # it loads the exporter, which `fuzz` loads with instruments

    results = page.read("robustness")["fuzzing"]
    for name in arguments.only or names:
        of_properties = name == PROPERTIES
        results[name] = try_properties(arguments.cases) if of_properties else fuzz_target(name, arguments.seconds)
        print(name, results[name], flush=True)
        robustness.record("fuzzing", results)


if __name__ == "__main__":
    main()
