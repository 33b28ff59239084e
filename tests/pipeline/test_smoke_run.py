"""What `make report submit score` makes with the smoke profile: notebooks, PDFs, metrics, submission, score."""

import json
import re

import nbformat
import numpy as np
import pypdfium2
import pytest

from coursework import course_split, models
from coursework.submission import read_submission
from pipeline.parameters import (
    NOTEBOOKS_FOLDER,
    REPORTED_NOTEBOOKS,
    TRAINING_NOTEBOOKS,
    check_parameters,
    read_handin,
    read_profile,
)

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


def test_the_terminal_shows_progress_and_results_and_no_warning_or_log_of_a_library(smoke_run):
    assert smoke_run.stderr == ""
    assert re.search(r"epoch 1/1 \.{10} loss", smoke_run.stdout)
    for text in ("smoke/part2_fashion_mnist.pdf", "reports/smoke/submission.csv is valid: 10,500 rows"):
        assert text in smoke_run.stdout


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
def test_figures_are_static_and_tables_have_captions(executed):
    shown = [output.get("data", {}) for output in outputs(executed)]
    assert sum("image/svg+xml" in data for data in shown) >= 3
    assert "application/vnd.jupyter.widget-view+json" not in str(shown)
    tables = [data["text/html"] for data in shown if "<table" in data.get("text/html", "")]
    assert tables and all("<caption>" in html for html in tables)


@each_notebook
def test_the_pdf_names_the_course_the_group_the_profile_and_the_seed(smoke_run, name):
    first_page = pypdfium2.PdfDocument(smoke_run.output / f"{name}.pdf")[0].get_textpage().get_text_bounded()
    handin = read_handin()
    for part in (handin["course"], handin["group_name"], *handin["group_members"], "profile smoke"):
        assert part in first_page
    assert ("Seed: 1" in first_page) == (name in TRAINING_NOTEBOOKS)


@each_notebook
def test_the_metrics_record_every_parameter_with_its_value_in_the_profile(smoke_run, name):
    metrics = json.loads((smoke_run.output / "metrics" / f"{name}.json").read_text(encoding="utf-8"))
    expected = check_parameters(NOTEBOOKS_FOLDER / f"{name}.ipynb", read_profile("smoke", name))
    of_the_file = ("profile", "group_number", "group_name", "group_members")
    assert metrics["parameters"] == {key: value for key, value in expected.items() if key not in of_the_file}


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
