"""The whole way, from notebooks to PDFs, submission and score, with the smoke profile."""

import json
import os
import re
from pathlib import Path

from notebook_pdf import lossless
import nbformat
import numpy as np
import pypdf
import pytest
from tests.running import make
from tests.coursework.test_figures import images_in_svg

import utilities
from coursework import course_split, files, models, submission, training
from pipeline import run_notebook, submission
from pipeline.errors import UserError
from pipeline.parameters import REPORTED_NOTEBOOKS, TRAINING_NOTEBOOKS, read_handin

OUTPUT = files.REPORTS_FOLDER / "smoke"


pytestmark = pytest.mark.slow


def test_make_report_prints_progress_and_no_log_spam(smoke_run):
    assert re.search(r"epoch 1/1 \.{10} loss", smoke_run.stdout)
    assert "reports/smoke/part2_fashion_mnist.pdf" in smoke_run.stdout
    assert smoke_run.stderr == ""


@pytest.mark.parametrize("name", REPORTED_NOTEBOOKS)
def test_the_executed_notebook_is_complete_and_names_no_machine(smoke_run, name):
    text = (OUTPUT / f"{name}.ipynb").read_text(encoding="utf-8")
    executed = nbformat.reads(text, as_version=4)
    nbformat.validate(executed)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert str(files.ROOT) not in text
    assert sum("image/svg+xml" in output.get("data", {}) for output in outputs) >= 3


def test_a_training_leaves_one_figure_and_one_table_and_nothing_is_said_to_who_runs_it_by_hand(smoke_run):
    for name in TRAINING_NOTEBOOKS:
        cells = nbformat.read(OUTPUT / f"{name}.ipynb", as_version=4).cells
        for cell in (cell for cell in cells if "training.train(" in cell.source and cell.cell_type == "code"):
            kinds = [sorted(output.data) for output in cell.outputs]
            assert kinds == [["image/svg+xml", "text/plain"], ["text/html", "text/plain"]]
        assert not [cell for cell in cells if "by-hand" in cell.metadata.get("tags", [])]
        assert not [
            cell for cell in cells if "application/vnd.jupyter.widget-view+json" in str(cell.get("outputs", []))
        ]


@pytest.mark.parametrize("name", REPORTED_NOTEBOOKS)
def test_the_pdf_holds_every_cell_and_tells_who_handed_in_on_its_first_page(smoke_run, name):
    pdf = OUTPUT / f"{name}.pdf"
    executed = nbformat.read(OUTPUT / f"{name}.ipynb", as_version=4)
    assert lossless.lost(executed, pdf.read_bytes()) == []
    first_page = pypdf.PdfReader(pdf).pages[0].extract_text()
    handin = read_handin()
    for part in (handin["course"], handin["group_name"], *handin["group_members"], "profile smoke"):
        assert part in first_page
    assert ("Seed: 1" in first_page) == (name in TRAINING_NOTEBOOKS)


@pytest.mark.parametrize("name", REPORTED_NOTEBOOKS)
def test_every_figure_and_table_has_a_caption_and_every_figure_a_description(smoke_run, name):
    executed = nbformat.read(OUTPUT / f"{name}.ipynb", as_version=4)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    drawings = [output for output in outputs if "image/svg+xml" in output.get("data", {})]
    tables = [output for output in outputs if "<table" in output.get("data", {}).get("text/html", "")]
    assert all(output.metadata["caption"] and len(output.metadata["alt"]) > 80 for output in drawings)
    assert all(
        f"<dc:title>{output.metadata['caption']}</dc:title>" in output.data["image/svg+xml"] for output in drawings
    )
    assert all("<caption>" in output.data["text/html"] for output in tables)
    raster = [image for output in drawings for image in images_in_svg(output.data["image/svg+xml"])]
    assert len(raster) >= 100 or name not in TRAINING_NOTEBOOKS
    assert all(pixels / (points / 72) >= 200 for pixels, points in raster)
    text = lossless.pdf_text((OUTPUT / f"{name}.pdf").read_bytes())
    printed = [cell for cell in executed.cells if "remove-cell" not in cell.metadata.get("tags", [])]
    figures = sum("image/svg+xml" in output.get("data", {}) for cell in printed for output in cell.get("outputs", []))
    assert f"Figure{figures}:" in text and f"Figure{figures + 1}:" not in text
    assert "Outputofcell" not in text


@pytest.mark.parametrize("name", REPORTED_NOTEBOOKS)
def test_the_metrics_file_tells_what_was_run_and_where(smoke_run, name):
    metrics = json.loads((OUTPUT / "metrics" / f"{name}.json").read_text(encoding="utf-8"))
    assert metrics["profile"] == "smoke"
    assert metrics["parameters"].get("training_images", 600) == 600
    assert metrics["peak_memory_gib"] < 1.5
    assert metrics["duration_seconds"] > 0
    assert len(metrics["data_sha256"]) == 64
    assert {"python", "tensorflow", "keras"} <= set(metrics["versions"])
    assert all(len(training["history"]["val_f1"]) == 1 for training in metrics["trainings"].values())


def test_the_submission_is_what_the_saved_model_predicts(smoke_run):
    images = course_split.load_fashion_mnist()["X_test"][..., np.newaxis]
    model = models.load_model(OUTPUT / "models" / "part2_best.keras")
    expected = models.predict_probabilities(model, images).argmax(axis=1)
    np.testing.assert_array_equal(submission.read_submission(OUTPUT / "submission.csv", 10_500), expected)
    assert "reports/smoke/submission.csv is valid: 10,500 rows" in smoke_run.stdout


def test_the_score_is_that_of_the_held_out_labels(smoke_run):
    labels = course_split.load_fashion_mnist_test_labels()
    accuracy = (submission.read_submission(OUTPUT / "submission.csv", 10_500) == labels).mean()
    written = json.loads((OUTPUT / "metrics" / "score.json").read_text(encoding="utf-8"))
    assert written["held_out"]["accuracy"] == pytest.approx(accuracy)
    assert f"accuracy  {accuracy:.4f}" in smoke_run.stdout
    assert "does not beat the line" in smoke_run.stdout


def test_a_second_make_report_does_nothing(smoke_run):
    def times():
        return {path: path.stat().st_mtime_ns for path in OUTPUT.rglob("[!.]*") if path.is_file()}

    before = times()
    result = make("report", "submit")
    assert result.returncode == 0
    assert "running" not in result.stdout
    assert before == times()


def planned_after_a_change_of(path):
    """What `make report` would do if the file were changed."""
    times = path.stat()
    os.utime(path)
    try:
        return make("--dry-run", "report").stdout
    finally:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_changed_part_2_rebuilds_only_part_2(smoke_run):
    planned = planned_after_a_change_of(files.ROOT / "notebooks" / "part2_fashion_mnist.ipynb")
    assert "run_notebook part2_fashion_mnist" in planned
    assert "make_pdf reports/smoke/part2_fashion_mnist.ipynb" in planned
    assert "run_notebook part1_mnist" not in planned
    assert "make_pdf reports/smoke/part1_mnist.ipynb" not in planned


def test_changed_experiments_rebuild_the_parts_that_quote_them(smoke_run):
    planned = planned_after_a_change_of(files.REPORTS_FOLDER / "experiments.csv")
    rebuilt = [name for name in REPORTED_NOTEBOOKS if f"run_notebook {name}" in planned]
    assert rebuilt == ["part2_fashion_mnist", "part3_experiments"]


def test_an_unknown_profile_is_refused_with_a_sentence():
    result = make("PROFILE=fast", "report")
    assert result.returncode != 0
    assert "there is no profile 'fast': expected one of best full original quick smoke" in result.stderr
    assert not (files.REPORTS_FOLDER / "fast").exists()


def test_a_wrong_submission_is_refused_with_a_sentence(smoke_run, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(submission, "path_of", lambda profile: tmp_path / "submission.csv")
    (tmp_path / "submission.csv").write_text("ID,Prediction\n0,1\n")
    for action in (submission.check, submission.score):
        with pytest.raises(submission.SubmissionError, match="1 rows for 10500 test images"):
            action("smoke")


def test_without_labels_the_score_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(course_split, "load_fashion_mnist_test_labels", lambda: None)
    submission.score("smoke")
    assert "the course's own file" in capsys.readouterr().out


def runs_of_part_2(result):
    assert result.returncode == 0, result.stderr
    return result.stdout.count("== part2_fashion_mnist, profile smoke: running")


def test_make_submit_alone_trains_part_2_once(smoke_run):
    for name in ("part2_fashion_mnist.ipynb", "models/part2_best.keras", "submission.csv"):
        (OUTPUT / name).unlink()
    assert runs_of_part_2(make("submit")) == 1


@pytest.mark.fault("a model that was deleted")
def test_a_lost_model_is_trained_again_by_make_submit_once(smoke_run):
    (OUTPUT / "models" / "part2_best.keras").unlink()
    assert runs_of_part_2(make("submit")) == 1
    assert runs_of_part_2(make("submit")) == 0


@pytest.mark.fault("data that changed between training and submission")
def test_a_submission_made_from_other_data_is_refused(smoke_run, monkeypatch):
    data = course_split.load_fashion_mnist()
    other = data | {"X_test": data["X_test"][::-1]}
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda split: other)
    for action in (submission.write, submission.check, submission.score):
        with pytest.raises(UserError, match="is not the file that part 2 was run on"):
            action("smoke")


@pytest.mark.fault("a model of a run that was killed before its end")
def test_a_model_of_another_run_makes_no_submission(smoke_run, monkeypatch):
    before = (OUTPUT / "submission.csv").read_bytes()
    monkeypatch.setattr(
        models, "predict_probabilities", lambda model, images: np.eye(10)[np.zeros(len(images), int)]
    )
    with pytest.raises(UserError, match=r"part2_best.keras is not the model of the last run that was finished"):
        submission.write("smoke")
    assert (OUTPUT / "submission.csv").read_bytes() == before


@pytest.fixture
def one_cell_notebook(tmp_path, monkeypatch):
    """Run a notebook of the given cell as if it were part 1, in folders of its own."""
    parameters = (files.ROOT / "notebooks" / "part1_mnist.ipynb").read_text(encoding="utf-8")
    notebook = nbformat.reads(parameters, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    monkeypatch.setattr(run_notebook, "NOTEBOOKS_FOLDER", tmp_path)
    monkeypatch.setattr(files, "output_folder", lambda profile: files.REPORTS_FOLDER / "smoke" / "one_cell")

    def run(source):
        notebook.cells.append(nbformat.v4.new_code_cell(source))
        nbformat.write(notebook, tmp_path / "part1_mnist.ipynb")
        return run_notebook.run_notebook("part1_mnist", "smoke")

    yield run
    for path in (files.REPORTS_FOLDER / "smoke" / "one_cell").glob("*"):
        path.unlink()


@pytest.mark.fault("a notebook's cell that raises")
def test_a_failing_cell_is_named_and_leaves_no_finished_notebook(one_cell_notebook):
    with pytest.raises(
        UserError, match=r"part1_mnist, code cell 3 failed: ZeroDivisionError: division by zero"
    ) as error:
        one_cell_notebook("1 / 0")
    assert "reports/smoke/one_cell/part1_mnist.failed.ipynb" in str(error.value)
    assert [path.name for path in (OUTPUT / "one_cell").iterdir()] == ["part1_mnist.failed.ipynb"]


def test_the_pieces_of_a_stream_are_joined(one_cell_notebook):
    target = one_cell_notebook("import time\nfor i in range(3):\n    print(i, flush=True)\n    time.sleep(0.4)")
    outputs = nbformat.read(target, as_version=4).cells[-1].outputs
    assert [output.text for output in outputs] == ["0\n1\n2\n"]


@pytest.mark.fault("a kernel killed, as for lack of memory")
def test_a_killed_kernel_is_explained_and_leaves_no_finished_notebook(one_cell_notebook):
    with pytest.raises(UserError, match="the kernel died, most likely because the machine ran out of memory") as error:
        one_cell_notebook("print('before')\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert "is kept for reading: reports/smoke/one_cell/part1_mnist.failed.ipynb" in str(error.value)
    assert [path.name for path in (OUTPUT / "one_cell").iterdir()] == ["part1_mnist.failed.ipynb"]


def test_a_kernel_that_dies_while_it_starts_is_explained(one_cell_notebook, monkeypatch):
    def die(*arguments, **options):
        raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(run_notebook.papermill, "execute_notebook", die)
    with pytest.raises(UserError, match=r"part1_mnist: the kernel died, .* while it started \(Kernel died before"):
        one_cell_notebook("1")


def test_a_kernel_finds_this_checkout_and_nobodys_settings(one_cell_notebook, monkeypatch, tmp_path):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"floatx": "float64", "backend": "jax"}')
    startup = tmp_path / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "0.py").write_text("seed = 'mine'")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "utilities.py").write_text("ROOT = 'another checkout'")
    for variable, value in (("HOME", tmp_path), ("PYTHONPATH", tmp_path / "other"), ("KERAS_BACKEND", "jax")):
        monkeypatch.setenv(variable, str(value))
    lines = ["import keras, matplotlib, utilities", "print(keras.config.floatx(), keras.config.backend(), seed)"]
    lines += ["print(matplotlib.get_configdir(), files.ROOT)"]
    outputs = nbformat.read(one_cell_notebook("\n".join(lines)), as_version=4).cells[-1].outputs
    assert outputs[0].text == "float32 tensorflow 1\n.venv/settings/matplotlib \n"


def test_an_executed_notebook_names_files_from_the_project_or_the_home(one_cell_notebook):
    lines = ["import sys, warnings", "from pathlib import Path", "warnings.warn('careful')"]
    lines += ["print(Path.cwd().parent / 'data', sys.path)", "Path.home() / 'secret', [sys.executable]"]
    outputs = nbformat.read(one_cell_notebook("\n".join(lines)), as_version=4).cells[-1].outputs
    told = json.dumps(outputs)
    assert "a cell:3: UserWarning: careful" in told
    assert "~/secret" in told
    for place in (files.ROOT, Path.home(), "ipykernel_"):
        assert f"{place}/" not in told
