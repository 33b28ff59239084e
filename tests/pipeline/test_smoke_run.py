"""What `make report submit score` makes with the smoke profile: notebooks, PDFs, metrics, submission, score."""

import base64
import io
import json
import re

import nbformat
import numpy as np
import pypdfium2
import pytest
from PIL import Image

from coursework import course_split, models
from coursework.submission import read_submission
from notebook_pdf import lossless
from pipeline.parameters import REPORTED_NOTEBOOKS, TRAINING_NOTEBOOKS, read_handin

TEST_IMAGES = 10_500
each_notebook = pytest.mark.parametrize("name", REPORTED_NOTEBOOKS)
each_training_notebook = pytest.mark.parametrize("name", TRAINING_NOTEBOOKS)


@pytest.fixture
def executed(smoke_run, name):
    return nbformat.read(smoke_run.output / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def drawings(notebook):
    return [output for output in outputs(notebook) if "image/svg+xml" in output.get("data", {})]


def test_the_terminal_shows_progress_and_results_and_no_warning_or_log_of_a_library(smoke_run):
    assert smoke_run.stderr == ""
    assert re.search(r"epoch 1/1 \.{10} loss", smoke_run.stdout)
    for text in ("smoke/part2_fashion_mnist.pdf", "reports/smoke/submission.csv is valid: 10,500 rows"):
        assert text in smoke_run.stdout
    assert "does not beat the line" in smoke_run.stdout


# --- The notebooks --------------------------------------------------------------------------------


@each_notebook
def test_the_executed_notebook_ran_in_order_without_an_error_and_has_no_hint_about_running_by_hand(executed):
    nbformat.validate(executed)
    code = code_cells(executed)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [one for one in outputs(executed) if one.output_type == "error" or one.get("name") == "stderr"]
    assert not [cell for cell in executed.cells if "by-hand" in cell.metadata.get("tags", [])]


@each_training_notebook
def test_a_training_leaves_one_figure_and_one_table(executed):
    trainings = [cell for cell in code_cells(executed) if ".fit(" in cell.source]
    assert trainings
    for cell in trainings:
        kinds = [sorted(output.data) for output in cell.outputs]
        assert kinds == [["image/svg+xml", "text/plain"], ["text/html", "text/plain"]]


@each_notebook
def test_figures_are_static_and_have_captions_and_descriptions_and_tables_have_captions(executed):
    assert len(drawings(executed)) >= 3
    assert "application/vnd.jupyter.widget-view+json" not in str(outputs(executed))
    for output in drawings(executed):
        assert f"<dc:title>{output.metadata['caption']}</dc:title>" in output.data["image/svg+xml"]
        assert len(output.metadata["alt"]) > 80
    tables = [html for output in outputs(executed) if "<table" in (html := output.get("data", {}).get("text/html", ""))]
    assert tables
    assert all("<caption>" in html for html in tables)


@each_training_notebook
def test_images_in_figures_have_at_least_200_dots_an_inch(executed):
    svg = "".join(output.data["image/svg+xml"] for output in drawings(executed))
    images = re.findall(r'xlink:href="data:image/png;base64,([^"]+)"[^>]* width="([\d.]+)"', svg)
    assert len(images) >= 100
    for content, points in images:
        assert Image.open(io.BytesIO(base64.b64decode(content))).width / (float(points) / 72) >= 200


# --- The PDFs -------------------------------------------------------------------------------------


@each_notebook
def test_the_pdf_names_the_course_and_the_group_and_holds_every_cell_and_figure(smoke_run, name, executed):
    path = smoke_run.output / f"{name}.pdf"
    first_page = pypdfium2.PdfDocument(path)[0].get_textpage().get_text_bounded()
    handin = read_handin()
    for part in (handin["course"], handin["group_name"], *handin["group_members"], "profile smoke"):
        assert part in first_page
    assert ("Seed: 1" in first_page) == (name in TRAINING_NOTEBOOKS)
    assert lossless.lost(executed, path.read_bytes()) == []
    text = lossless.pdf_text(path.read_bytes())
    printed = [cell for cell in code_cells(executed) if "remove-cell" not in cell.metadata.get("tags", [])]
    figures = sum("image/svg+xml" in output.get("data", {}) for cell in printed for output in cell.outputs)
    assert f"Figure{figures}:" in text and f"Figure{figures + 1}:" not in text
    assert "Outputofcell" not in text  # the caption of an output without one of its own


# --- Metrics, submission and score ----------------------------------------------------------------


@each_notebook
def test_the_metrics_record_parameters_data_versions_resources_and_histories(smoke_run, name):
    metrics = json.loads((smoke_run.output / "metrics" / f"{name}.json").read_text(encoding="utf-8"))
    assert metrics["profile"] == "smoke"
    assert metrics["parameters"].get("training_images", 600) == 600
    assert re.fullmatch(r"[0-9a-f]{64}", metrics["data_sha256"])
    assert {"python", "tensorflow", "keras"} <= set(metrics["versions"])
    assert metrics["duration_seconds"] > 0 and 0 < metrics["peak_memory_gib"] < 1.5
    assert bool(metrics["trainings"]) == (name in TRAINING_NOTEBOOKS)
    assert all(len(training["history"]["val_f1"]) == 1 for training in metrics["trainings"].values())


def test_the_submission_is_what_the_saved_model_predicts(smoke_run, fashion_mnist):
    model = models.load_model(smoke_run.output / "models" / "part2_best.keras")
    expected = model.predict(fashion_mnist["X_test"][::10, ..., np.newaxis], 125, verbose=0).argmax(axis=1)
    submitted = read_submission(smoke_run.output / "submission.csv", TEST_IMAGES)
    np.testing.assert_array_equal(submitted[::10], expected)


def test_the_score_is_that_of_the_held_out_labels(smoke_run):
    labels = course_split.load_fashion_mnist_test_labels()
    accuracy = (read_submission(smoke_run.output / "submission.csv", TEST_IMAGES) == labels).mean()
    written = json.loads((smoke_run.output / "metrics" / "score.json").read_text(encoding="utf-8"))
    assert written["held_out"]["accuracy"] == pytest.approx(accuracy)
    assert f"accuracy  {accuracy:.4f}" in smoke_run.stdout
