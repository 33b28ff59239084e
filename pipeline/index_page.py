"""One page about a hand-in: `python -m pipeline.index_page --profile full` writes `reports/index.html`.

Results, main figures and links to notebooks and PDFs in one file that needs no network.
"""

from __future__ import annotations

import argparse
import base64
import math
from pathlib import Path
from typing import Any

import jinja2
import nbformat

from coursework import files, study
from coursework.data import DataError
from coursework.text import signed
from pipeline import record, submission
from pipeline.errors import UserError, run_command
from pipeline.parameters import PICTURE_TAG, PROFILES_FOLDER, REPORTED_NOTEBOOKS, TRAINING_NOTEBOOKS, read_handin

TAGS = {PICTURE_TAG, "index"}
"""Tags of the cells whose first figure is shown."""


def write_index(profile: str) -> Path:
    """Write the page into a profile's output folder, from the executed notebooks and metrics there."""
    folder = files.output_folder(profile)
    try:
        notebooks = [nbformat.read(folder / f"{name}.ipynb", as_version=4) for name in REPORTED_NOTEBOOKS]
        parts = [
            {"name": name, "label": f"Part {number}", "title": _title(notebook), "figures": _figures(notebook)}
            for number, (name, notebook) in enumerate(zip(REPORTED_NOTEBOOKS, notebooks, strict=True), start=1)
        ]
        handin = notebooks[0].metadata["title_block"]
        results = _results(profile)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        option = "" if profile == "full" else f" PROFILE={profile}"
        raise UserError(
            f"{files.display_path(folder)} lacks a part of a finished run, or one is damaged ({type(error).__name__}: "
            f"{error}): delete its .ipynb and run `make report{option}`"
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True
    )
    page = environment.get_template("index.html.j2").render(
        title=f"{handin['Course']}: convolutional neural networks",
        about=f"Group {handin['Group']}: {handin['Members']}. Run {handin['Run']}. {_about_profile(profile)}",
        has_submission=submission.path_of(profile).exists(),
        parts=parts,
        results=results,
        claims=_claims(notebooks[-1].metadata["papermill"]["parameters"].get("grid")),
    )
    target = folder / "index.html"
    with files.replace_when_complete(target) as temporary:
        temporary.write_text(page + "\n", encoding="utf-8")
    return target


def _title(notebook: nbformat.NotebookNode) -> str:
    """The first heading, from the colon on if there is one."""
    heading = notebook.cells[0].source.partition("\n")[0].lstrip("# ")
    title = heading.partition(": ")[2] or heading
    return title[:1].upper() + title[1:]


def _about_profile(profile: str) -> str:
    """The description of a profile in the first line of its file."""
    first = (PROFILES_FOLDER / f"{profile}.yaml").read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else ""


def _figures(notebook: nbformat.NotebookNode) -> list[dict[str, str]]:
    """The first figure of each tagged cell, in base 64, with its caption and its alternative text (`alt`)."""
    found = []
    for cell in notebook.cells:
        if TAGS & set(cell.metadata.get("tags", [])):
            drawn = [one for one in cell.get("outputs", []) if "image/svg+xml" in one.get("data", {})]
            for output in drawn[:1]:
                source = base64.b64encode(output.data["image/svg+xml"].encode()).decode()
                found.append({"source": source, "caption": output.metadata["caption"], "alt": output.metadata["alt"]})
    return found


def _results(profile: str) -> dict[str, Any]:
    first, second = (record.read(profile, name) for name in TRAINING_NOTEBOOKS)
    rows = [["LeNet-5 on MNIST, test", *_scores(first["scores"]["test"])]]
    for name, scores in second["scores"]["validation"].items():
        rows.append([f"{name[0].upper()}{name[1:]}, validation", *_scores(scores)])
    seed, best = second["parameters"]["seed"], second["scores"]["best"]
    note = f"One run, seed {seed}; the intervals are 95 %. The best model is {best}."
    if score := record.read_score(profile):
        rows.append(["Best model, held-out test images", *_scores(score["held_out"])])
        line = read_handin()["leaderboard_line"]
        verdict = "beats" if score["held_out"]["accuracy"] > line else "does not beat"
        note += f" It {verdict} the leaderboard's line of {line:.4f}."
    else:
        note += " Run make score to add its score on the held-out test images."
    return {"columns": ["model and images", "accuracy", "macro F1", "images"], "rows": rows, "note": note}


def _scores(scores: dict[str, Any]) -> list[str]:
    accuracy, f1 = (
        "{:.4f} ({:.4f} to {:.4f})".format(scores[name], *scores[f"{name}_interval"]) for name in ("accuracy", "f1")
    )
    return [accuracy, f1, f"{scores['images']:,}"]


def _claims(grid: str | None) -> dict[str, Any]:
    """The claims of a grid with their verdicts; by default of the project's own grid."""
    runs, _, claims = study.load_experiments(files.ROOT / (grid or study.EXPERIMENTS_FILE.name))
    effects = study.claim_effects(runs, claims)
    texts = {claim["name"]: claim["claim"] for claim in claims}
    rows = []
    for _, row in effects.iterrows():
        interval = "–" if math.isnan(row["low"]) else f"{signed(row['low'])} to {signed(row['high'])}"
        change = "–" if math.isnan(row["mean"]) else f"{signed(row['mean'])} ({interval})"
        p_value = "–" if math.isnan(row["p_corrected"]) else f"{row['p_corrected']:.2g}"
        rows.append([texts[row["claim"]], study.EXPERIMENT_METRICS[row["metric"]], change, p_value, row["verdict"]])
    note = (
        f"From {(runs['status'] == 'finished').sum()} of {len(runs)} runs, all but {(runs['budget'] == 'full').sum()} "
        "at the reduced budget: each variant against the unchanged network with the same seed, p after Holm's "
        "correction. Part 3 has the details."
    )
    return {"columns": ["claim", "metric", "change (95 % interval)", "p", "verdict"], "rows": rows, "note": note}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write one page about a hand-in: results, figures, links.")
    parser.add_argument("--profile", default="full", help="whose (default: full)")
    path = write_index(parser.parse_args().profile)
    print(f"== {files.display_path(path)}: {path.stat().st_size / 1e6:.1f} MB ==")


if __name__ == "__main__":
    run_command(main, DataError)
