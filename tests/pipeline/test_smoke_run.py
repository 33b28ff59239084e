"""What `make report submit score` makes with the smoke profile: notebooks, PDFs, metrics, submission, score."""

import base64
import io
import json
import re
import sys

import nbformat
import numpy as np
import pypdfium2
import pytest
from PIL import Image

from coursework import course_split, files, models
from coursework.submission import read_submission
from notebook_pdf import lossless
from pipeline.parameters import REPORTED_NOTEBOOKS, TRAINING_NOTEBOOKS, read_handin

TEST_IMAGES = 10_500
each_notebook = pytest.mark.parametrize("name", REPORTED_NOTEBOOKS)
each_training_notebook = pytest.mark.parametrize("name", TRAINING_NOTEBOOKS)


@pytest.fixture
def executed(smoke_run, name):
    return nbformat.read(smoke_run.output / f"{name}.ipynb", as_version=4)


@pytest.fixture
def metrics(smoke_run, name):
    return json.loads((smoke_run.output / "metrics" / f"{name}.json").read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def drawings(notebook):
    return [output for output in outputs(notebook) if "image/svg+xml" in output.get("data", {})]


def images_in_svg(svg):
    """The width of each image in a drawing, in pixels and in points."""
    images = re.findall(r'xlink:href="data:image/png;base64,([^"]+)"[^>]* width="([\d.]+)"', svg)
    return [(Image.open(io.BytesIO(base64.b64decode(content))).width, float(points)) for content, points in images]


# --- The terminal ---------------------------------------------------------------------------------


def test_make_report_prints_the_progress_of_trainings_and_what_it_has_made(smoke_run):
    assert re.search(r"epoch 1/1 \.{10} loss", smoke_run.stdout)
    assert "reports/smoke/part2_fashion_mnist.pdf" in smoke_run.stdout


def test_no_step_prints_a_warning_or_a_log_of_a_library(smoke_run):
    assert smoke_run.stderr == ""


# --- The notebooks --------------------------------------------------------------------------------


@each_notebook
def test_all_cells_of_the_executed_notebook_ran_in_order_without_an_error(executed):
    nbformat.validate(executed)
    code = code_cells(executed)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [one for one in outputs(executed) if one.output_type == "error" or one.get("name") == "stderr"]


@each_notebook
def test_the_executed_notebook_names_no_folder_of_this_machine(smoke_run, name):
    text = (smoke_run.output / f"{name}.ipynb").read_text(encoding="utf-8")
    for folder in (smoke_run.project, files.ROOT, sys.prefix):
        assert str(folder) not in text


@each_training_notebook
def test_a_training_leaves_one_figure_and_one_table(executed):
    trainings = [cell for cell in code_cells(executed) if re.search(r"\butilities\.train\(", cell.source)]
    assert trainings
    for cell in trainings:
        kinds = [sorted(output.data) for output in cell.outputs]
        assert kinds == [["image/svg+xml", "text/plain"], ["text/html", "text/plain"]]


@each_notebook
def test_the_executed_notebook_has_no_hint_about_running_by_hand(executed):
    assert not [cell for cell in executed.cells if "by-hand" in cell.metadata.get("tags", [])]


@each_notebook
def test_the_executed_notebook_has_static_figures_in_place_of_widgets(executed):
    assert len(drawings(executed)) >= 3
    assert "application/vnd.jupyter.widget-view+json" not in str(outputs(executed))


@each_notebook
def test_every_figure_has_a_caption_and_an_alternative_text(executed):
    for output in drawings(executed):
        assert f"<dc:title>{output.metadata['caption']}</dc:title>" in output.data["image/svg+xml"]
        assert len(output.metadata["alt"]) > 80


@each_notebook
def test_every_table_has_a_caption(executed):
    tables = [html for output in outputs(executed) if "<table" in (html := output.get("data", {}).get("text/html", ""))]
    assert tables
    assert all("<caption>" in html for html in tables)


@each_training_notebook
def test_images_in_figures_have_at_least_200_dots_an_inch(executed):
    images = [image for output in drawings(executed) for image in images_in_svg(output.data["image/svg+xml"])]
    assert len(images) >= 100
    assert all(pixels / (points / 72) >= 200 for pixels, points in images)


# --- The PDFs -------------------------------------------------------------------------------------


@each_notebook
def test_the_first_page_of_the_pdf_names_the_course_the_group_and_the_run(smoke_run, name):
    first_page = pypdfium2.PdfDocument(smoke_run.output / f"{name}.pdf")[0].get_textpage().get_text_bounded()
    handin = read_handin()
    for part in (handin["course"], handin["group_name"], *handin["group_members"], "profile smoke"):
        assert part in first_page
    assert ("Seed: 1" in first_page) == (name in TRAINING_NOTEBOOKS)


@each_notebook
def test_the_pdf_holds_the_text_of_every_cell(smoke_run, name, executed):
    assert lossless.lost(executed, (smoke_run.output / f"{name}.pdf").read_bytes()) == []


@each_notebook
def test_the_pdf_numbers_every_printed_figure(smoke_run, name, executed):
    text = lossless.pdf_text((smoke_run.output / f"{name}.pdf").read_bytes())
    printed = [cell for cell in code_cells(executed) if "remove-cell" not in cell.metadata.get("tags", [])]
    figures = sum("image/svg+xml" in output.get("data", {}) for cell in printed for output in cell.outputs)
    assert f"Figure{figures}:" in text
    assert f"Figure{figures + 1}:" not in text
    assert "Outputofcell" not in text  # the caption of an output without one of its own


# --- The metrics ----------------------------------------------------------------------------------


@each_notebook
def test_the_metrics_file_records_the_parameters_the_data_and_the_versions(metrics):
    assert metrics["profile"] == "smoke"
    assert metrics["parameters"].get("training_images", 600) == 600
    assert re.fullmatch(r"[0-9a-f]{64}", metrics["data_sha256"])
    assert {"python", "tensorflow", "keras"} <= set(metrics["versions"])


@each_notebook
def test_the_metrics_file_records_the_duration_and_the_memory_of_the_run(metrics):
    assert metrics["duration_seconds"] > 0
    assert 0 < metrics["peak_memory_gib"] < 1.5


@each_training_notebook
def test_the_metrics_file_records_the_history_of_each_training(metrics):
    assert metrics["trainings"]
    assert all(len(training["history"]["val_f1"]) == 1 for training in metrics["trainings"].values())


# --- Submission and score -------------------------------------------------------------------------


def test_the_submission_is_what_the_saved_model_predicts(smoke_run, fashion_mnist):
    model = models.load_model(smoke_run.output / "models" / "part2_best.keras")
    every_tenth = fashion_mnist["X_test"][::10, ..., np.newaxis]
    expected = model.predict(every_tenth, 125, verbose=0).argmax(axis=1)
    submitted = read_submission(smoke_run.output / "submission.csv", TEST_IMAGES)
    np.testing.assert_array_equal(submitted[::10], expected)


def test_make_submit_prints_that_the_submission_is_valid(smoke_run):
    assert "reports/smoke/submission.csv is valid: 10,500 rows" in smoke_run.stdout


def test_the_score_is_that_of_the_held_out_labels(smoke_run):
    labels = course_split.load_fashion_mnist_test_labels()
    accuracy = (read_submission(smoke_run.output / "submission.csv", TEST_IMAGES) == labels).mean()
    written = json.loads((smoke_run.output / "metrics" / "score.json").read_text(encoding="utf-8"))
    assert written["held_out"]["accuracy"] == pytest.approx(accuracy)
    assert f"accuracy  {accuracy:.4f}" in smoke_run.stdout


def test_a_low_score_does_not_beat_the_line(smoke_run):
    assert "does not beat the line" in smoke_run.stdout
