"""How long the PDF takes, against nbconvert's own two ways: LaTeX (`--to pdf`) and a browser (`--to webpdf`).

`python -m benchmarks.pdf_export` exports the committed reports in turn with each, every export in a process of its own, and
writes the figures to `benchmarks/pdf_export.json` and a table of them to `benchmarks/pdf_export.md`. What a rival needs must be there:
Debian's texlive-xetex, texlive-fonts-recommended, texlive-plain-generic, pandoc and inkscape; chromium and the package playwright.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pypdf

import utilities
from notebook_pdf import lossless

RESULT = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
NOTEBOOKS = ("part1_mnist", "part2_fashion_mnist")
PACKAGES = (
    "typst", "pypandoc_binary", "selectolax", "markdown-it-py", "mdit-py-plugins", "linkify-it-py", "manimgx-fonts",
    "noto-cjk-sans-jp-regular",
)  # fmt: skip
DEBIAN = {
    "LaTeX": ("texlive-xetex", "texlive-fonts-recommended", "texlive-plain-generic", "pandoc", "inkscape"),
    "browser": ("chromium",),
}
DEBIANS_CHROMIUM = (  # nbconvert starts the browser that playwright downloads; here it is Debian's
    "import sys, playwright.async_api as api; launch = api.BrowserType.launch;"
    "api.BrowserType.launch = lambda self, **options: launch(self, executable_path='/usr/bin/chromium', **options);"
    "from nbconvert.nbconvertapp import main; main(sys.argv[1:])"
)


def commands(notebook: Path, folder: Path) -> dict[str, list[str]]:
    """The command of each way that this machine can go."""
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
    """Seconds, and the highest sum of the memory of the process and all its children, in MiB."""
    began, peaks = time.perf_counter(), [0]
    process = subprocess.Popen(
        command, cwd=utilities.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    watcher = threading.Thread(target=_watch_memory, args=(process.pid, peaks), daemon=True)
    watcher.start()
    errors = process.stderr.read()
    returned = process.wait()
    seconds = time.perf_counter() - began
    watcher.join()
    if returned:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors[-2000:]}")
    return {"seconds": round(seconds, 2), "peak_memory_mib": round(max(peaks) / 2**20)}


def _watch_memory(identifier: int, peaks: list[int]) -> None:
    while family := _family(identifier):
        memory = 0
        for member in family:
            try:
                memory += member.memory_info().rss
            except psutil.Error:  # it ended just now
                continue
        peaks.append(memory)
        time.sleep(0.05)


def _family(identifier: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(identifier)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def inspect(notebook: Path, pdf: Path) -> dict[str, Any]:
    """What the PDF is like: size, pages, passages and words of the notebook that its text lacks, standards it claims."""
    content, cells = pdf.read_bytes(), nbformat.read(notebook, as_version=4)
    lost = min((lossless.lost(cells, content, margin) for margin in (0, lossless.BODY_MARGIN)), key=len)
    reader = pypdf.PdfReader(pdf)
    metadata = reader.root_object["/Metadata"].get_data().decode() if "/Metadata" in reader.root_object else ""
    return {
        "kilobytes": round(len(content) / 1000),
        "pages": len(reader.pages),
        "lost": len(lost),
        "lost_first": [f"cell {cell}, {kind}: {text}" for cell, kind, text in lost[:5]],
        "tagged": bool(reader.root_object.get("/MarkInfo", {}).get("/Marked", False)),
        "claims": [name for name in ("pdfuaid:part", "pdfaid:part") if name in metadata],
    }


def megabytes_to_install() -> dict[str, int]:
    """What each way adds to nbconvert: our packages' files, and what Debian says of its packages on an empty system."""
    sizes = {"ours": sum(map(_package_size, PACKAGES)) // 10**6}
    for way, packages in DEBIAN.items():
        command = ["apt-get", "install", "--print-uris", "-y", "-o", "Dir::State::status=/dev/null"]
        done = subprocess.run(
            [*command, "--no-install-recommends", *packages],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"LC_ALL": "C"},
        )
        if match := re.search(r"After this operation, ([\d,.]+) (MB|GB)", done.stdout):
            sizes[way] = round(float(match[1].replace(",", "")) * {"MB": 1, "GB": 1000}[match[2]])
    return sizes


def _package_size(name: str) -> int:
    distribution = importlib.metadata.distribution(name)
    return sum(
        path.stat().st_size
        for file in distribution.files or []
        if (path := Path(distribution.locate_file(file))).exists()
    )


def table(result: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    ways = result["ways"]
    rows = [["", *ways]]
    for notebook in NOTEBOOKS:
        of = {way: result["reports"][notebook][way] for way in ways}
        rows.append([f"**{notebook}**", *("" for _ in ways)])
        rows.append(["seconds, median", *(f"{of[way]['seconds_median']:.1f}" for way in ways)])
        rows.append(["times as long as ours", *(f"{of[way]['ratio_median']:.1f}" for way in ways)])
        rows.append(["peak memory, MiB", *(str(of[way]["peak_memory_mib"]) for way in ways)])
        rows.append(["pages", *(str(of[way]["pages"]) for way in ways)])
        rows.append(["file, kB", *(str(of[way]["kilobytes"]) for way in ways)])
        rows.append(["passages or words lost or altered", *(str(of[way]["lost"]) for way in ways)])
        rows.append(["tagged", *("yes" if of[way]["tagged"] else "no" for way in ways)])
    sizes = result["megabytes_to_install"]
    rows.append(["**to install besides nbconvert, MB**", *(str(sizes.get(way.partition(",")[0], "?")) for way in ways)])
    rule = ["---", *("--:" for _ in ways)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the PDF export against nbconvert's LaTeX and browser exports.")
    parser.add_argument("--rounds", type=int, default=5, help="exports of each report by each way (default: 5)")
    rounds = parser.parse_args().rounds
    reports: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in NOTEBOOKS:
            notebook = utilities.REPORTS_FOLDER / f"{name}.ipynb"
            timings: dict[str, list[dict[str, float]]] = {}
            for number in range(1, rounds + 1):
                for way in commands(notebook, Path(temporary)):
                    folder = Path(temporary) / way
                    folder.mkdir(exist_ok=True)
                    timings.setdefault(way, []).append(run(commands(notebook, folder)[way]))
                    print(f"{name}, round {number}, {way}: {timings[way][-1]['seconds']} s", flush=True)
            ours = [timing["seconds"] for timing in timings["ours"]]
            reports[name] = {
                way: {
                    "seconds_median": statistics.median(timing["seconds"] for timing in of_way),
                    "ratio_median": round(
                        statistics.median(t["seconds"] / o for t, o in zip(of_way, ours, strict=True)), 2
                    ),
                    "peak_memory_mib": max(timing["peak_memory_mib"] for timing in of_way),
                    "rounds": of_way,
                }
                | inspect(notebook, Path(temporary) / way / f"{name}.pdf")
                for way, of_way in timings.items()
            }
    result = {
        "ways": list(reports[NOTEBOOKS[0]]),
        "rounds": rounds,
        "cores": os.cpu_count(),
        "megabytes_to_install": megabytes_to_install(),
        "reports": reports,
    }
    for path, text in ((RESULT, json.dumps(result, indent=2)), (TABLE, _page(result))):
        with utilities.replace_when_complete(path) as file:
            file.write_text(text + "\n", encoding="utf-8")
    print(table(result))


def _page(result: dict[str, Any]) -> str:
    return (
        "# The PDF export beside nbconvert's own\n\nWritten by `python -m benchmarks.pdf_export`: each export is a process of its own, the ways "
        f"take turns, {result['rounds']} rounds, {result['cores']} cores.\n\n{table(result)}\n\n"
        "Lost or altered are passages of code and output, and words of Markdown, that the text layer of the PDF does not hold as they "
        "are in the notebook (`notebook_pdf/lossless.py`; which ones, is in `pdf_export.json`): cut lines, and marks or quotes that were not there. "
        "The browser's page loads MathJax from the network, which this machine did not reach."
    )


if __name__ == "__main__":
    main()
