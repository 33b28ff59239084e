"""The PDF export against nbconvert's own exporters, LaTeX (`--to pdf`) and a browser (`--to webpdf`).

`python -m benchmarks.pdf_export` exports the committed reports with each exporter in turn, each export in a separate
process, and writes the figures to `benchmarks/pdf_export.json` and a table to `benchmarks/pdf_export.md`. Exporters
whose software is not installed are left out. LaTeX needs Debian's texlive-xetex, texlive-fonts-recommended,
texlive-plain-generic, pandoc and inkscape; the browser needs chromium and the package playwright.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pypdf

from benchmarks import page
from coursework import files
from notebook_pdf import lossless

NOTEBOOKS = ("part1_mnist", "part2_fashion_mnist")
DEBIANS_CHROMIUM = (  # nbconvert starts the browser that playwright downloads; here it is Debian's
    "import sys, playwright.async_api as api; launch = api.BrowserType.launch;"
    "api.BrowserType.launch = lambda self, **options: launch(self, executable_path='/usr/bin/chromium', **options);"
    "from nbconvert.nbconvertapp import main; main(sys.argv[1:])"
)


def commands(notebook: Path, folder: Path) -> dict[str, list[str]]:
    """The command of each exporter that is installed on this machine."""
    python, output = sys.executable, ["--output-dir", str(folder), "--log-level=ERROR"]
    ways = {"ours": [python, "-m", "notebook_pdf", str(notebook), str(folder / f"{notebook.stem}.pdf")]}
    ways["ours, by nbconvert"] = [python, "-m", "nbconvert", "--to", "notebook_pdf", str(notebook), *output]
    if shutil.which("xelatex") and shutil.which("inkscape"):
        ways["LaTeX"] = [python, "-m", "nbconvert", "--to", "pdf", str(notebook), *output]
    if shutil.which("chromium") and importlib.util.find_spec("playwright"):
        browser = ["--to", "webpdf", "--disable-chromium-sandbox", str(notebook), *output]
        ways["browser"] = [python, "-c", DEBIANS_CHROMIUM, *browser]
    return ways


def run(command: list[str]) -> dict[str, float]:
    """Duration in seconds, and the peak memory of the process and all its children in MiB."""
    began, peak = time.perf_counter(), 0
    process = psutil.Popen(command, cwd=files.ROOT, stdout=subprocess.DEVNULL)
    while True:
        try:
            returned = process.wait(timeout=0.05)
            break
        except psutil.TimeoutExpired:
            peak = max(peak, memory_of_family(process))
    if returned:
        raise SystemExit(f"error: {' '.join(command)} failed, see its message above")
    return {"seconds": round(time.perf_counter() - began, 2), "peak_memory_mib": round(peak / 2**20)}


def memory_of_family(process: psutil.Process) -> int:
    memory = 0
    with contextlib.suppress(psutil.Error):
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # it has ended
                memory += member.memory_info().rss
    return memory


def inspect(notebook: Path, pdf: Path) -> dict[str, Any]:
    """Properties of a PDF: size, pages, the notebook's passages and words that it lacks, and whether it is tagged."""
    content, cells = pdf.read_bytes(), nbformat.read(notebook, as_version=4)
    lost = min((lossless.lost(cells, content, margin) for margin in (0, lossless.BODY_MARGIN)), key=len)
    reader = pypdf.PdfReader(pdf)
    return {
        "kilobytes": round(len(content) / 1000),
        "pages": len(reader.pages),
        "lost": len(lost),
        "lost_first": [f"cell {cell}, {kind}: {text}" for cell, kind, text in lost[:5]],
        "tagged": bool(reader.root_object.get("/MarkInfo", {}).get("/Marked", False)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the PDF export against nbconvert's LaTeX and browser exports.")
    parser.add_argument("--rounds", type=int, default=5, help="exports of each report with each exporter (default: 5)")
    rounds = parser.parse_args().rounds
    reports: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in NOTEBOOKS:
            notebook = files.REPORTS_FOLDER / f"{name}.ipynb"
            timings: dict[str, list[dict[str, float]]] = {}
            for number in range(1, rounds + 1):
                for way in commands(notebook, Path(temporary)):
                    folder = Path(temporary) / way
                    folder.mkdir(exist_ok=True)
                    timings.setdefault(way, []).append(run(commands(notebook, folder)[way]))
                    print(f"{name}, round {number}, {way}: {timings[way][-1]['seconds']} s", flush=True)
            reports[name] = {
                way: {
                    "seconds_median": statistics.median(one["seconds"] for one in of_way),
                    "ratio_median": round(
                        statistics.median(
                            one["seconds"] / ours["seconds"] for one, ours in zip(of_way, timings["ours"], strict=True)
                        ),
                        2,
                    ),
                    "peak_memory_mib": max(one["peak_memory_mib"] for one in of_way),
                    "rounds": of_way,
                }
                | inspect(notebook, Path(temporary) / way / f"{name}.pdf")
                for way, of_way in timings.items()
            }
    about = {"ways": list(timings), "rounds": rounds, "cores": os.cpu_count()}
    page.write("pdf_export", about | {"reports": reports})


if __name__ == "__main__":
    main()
