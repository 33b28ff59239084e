"""Which differences between two runs are reported, and with which reason."""

import json
import subprocess

import keras
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from coursework import files
from pipeline import verify
from tests.running import copy_project, environment

ROW = '<tr>\n<th id="T_8_0_level0_row0" >seconds</th>\n<td id="a" >5</td>\n<td id="b" >9</td>\n</tr>'
CAPTION = "One, 2 epochs in 5 s: the weights are those of epoch 2"
TABLE = f'<table id="T_8_0"><caption>{CAPTION}</caption>{ROW}<tr><th>best epoch</th><td>5</td></tr></table>'


def executed(table=TABLE, duration="41 s, peak memory 0.84 GiB, abacus", start="2026-01-01T10:00:00"):
    outputs = [
        new_output("stream", text=duration + "\n"),
        new_output("display_data", data={"text/html": table, "text/plain": "a table"}),
    ]
    cells = [new_markdown_cell("# One", id="one"), new_code_cell("2", id="two", outputs=outputs, execution_count=1)]
    metadata = {"papermill": {"start_time": start, "parameters": {}}, "title_block": {"Run": start[:10]}}
    return new_notebook(cells=cells, metadata=metadata)


@pytest.fixture
def folders(tmp_path):
    """Two output folders of the same run, at different speeds."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    for name, seconds, took, start in (
        ("first", 5, "in 1 min 25 s", "2026-01-01T10:00:00"),
        ("second", 17, "in 4 min 49 s", "2027-02-03T11:00:00"),
    ):
        folder = tmp_path / name
        for part in ("metrics", "models", "checkpoints"):
            (folder / part).mkdir(parents=True)
        (folder / "submission.csv").write_text("ID,Prediction\n0,1\n")
        history = {"f1": [0.5, 0.25], "seconds": [seconds, seconds]}
        metrics = {"scores": {"f1": 0.5}, "trainings": {"one": {"history": history}}, "duration_seconds": seconds}
        (folder / "metrics" / "one.json").write_text(json.dumps(metrics))
        model.save(folder / "models" / "one.keras")
        about = json.dumps({"history": [{"f1": 0.5, "seconds": seconds}], "content": str(seconds)})
        np.savez(folder / "checkpoints" / "one.npz", about=about, state_0=np.arange(3.0), best_0=np.arange(2.0))
        notebook = executed(
            TABLE.replace(">9<", f">{seconds}<").replace("in 5 s", took),
            f"{seconds} s, peak memory 0.{seconds} GiB, abacus",
            start,
        )
        nbformat.write(notebook, folder / "one.ipynb")
    return tmp_path / "first", tmp_path / "second"


def test_runs_of_different_duration_are_the_same(folders):
    assert verify.differences(*folders) == []


def change_text(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def change_weight(path):
    model = keras.saving.load_model(path)
    kernel = model.layers[0].kernel.numpy()
    kernel[0, 0] = np.nextafter(kernel[0, 0], np.float32(9))
    model.layers[0].kernel.assign(kernel)
    model.save(path)


def change_state(path):
    with np.load(path) as file:
        arrays = dict(file)
    arrays["state_0"][0] = -0.0  # which is equal to 0, but other bits
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("name", "change", "reported"),
    [
        ("submission.csv", lambda path: change_text(path, "0,1", "0,2"), "submission.csv, submission: "),
        ("metrics/one.json", lambda path: change_text(path, "0.25", "0.26"), "/trainings/one/history/f1/1: '0.25' and"),
        ("models/one.keras", change_weight, "models/one.keras, weights: "),
        (
            "checkpoints/one.npz",
            change_state,
            "checkpoints/one.npz, state after the last epoch: /state/0: 'array with SHA-256 ",
        ),
        (
            "one.ipynb",
            lambda path: change_text(path, "those of epoch 2", "those of epoch 1"),
            "one.ipynb, notebook: /cells/1/outputs/1",
        ),
        ("one.ipynb", lambda path: change_text(path, "<td>5</td>", "<td>6</td>"), "one.ipynb, PDF: "),
        ("metrics/one.json", lambda path: path.unlink(), "metrics/one.json exists only once"),
    ],
)
def test_any_other_difference_is_reported(folders, name, change, reported):
    change(folders[1] / name)
    assert reported in "\n".join(verify.differences(*folders))


def commit(folder):
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for command in (["add", "."], [*identity, "commit", "-q", "-m", "metrics"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


@pytest.fixture
def committed(monkeypatch, tmp_path):
    """A repository with committed metrics, and a way to change the file."""
    path = tmp_path / "reports" / "metrics" / "one.json"
    path.parent.mkdir(parents=True)
    metrics = {"scores": {"f1": 0.5}, "duration_seconds": 1, "hardware": {"processor": "abacus"}, "versions": {}}
    path.write_text(json.dumps(metrics))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    commit(tmp_path)
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")
    return lambda **changes: path.write_text(json.dumps(metrics | changes))


@pytest.mark.parametrize(
    ("changes", "reported"),
    [
        ({"duration_seconds": 2}, "the same to the last digit as the committed one"),
        (
            {"scores": {"f1": 0.6}},
            "first at /scores/f1: '0.6' and '0.5'; the machine and the packages are the same, so",
        ),
        (
            {"scores": {"f1": 0.6}, "hardware": {"processor": "slide rule"}},
            "this is expected, because the order of sums differs: hardware processor is slide rule, committed abacus",
        ),
        ({"scores": {"f1": 0.5, "accuracy": 0.5}}, "first at /scores/accuracy only in one"),
    ],
)
def test_the_hand_in_is_compared_with_the_committed_one(committed, changes, reported):
    committed(**changes)
    (sentence,) = verify.compare_with_committed()
    assert reported in sentence


@pytest.fixture
def changed_score(committed):
    """A committed score, and another one in the hand-in."""
    path = files.REPORTS_FOLDER / "metrics" / "score.json"
    path.write_text(json.dumps({"f1": 0.5}))
    commit(files.ROOT)
    path.write_text(json.dumps({"f1": 0.6}))


def test_a_score_that_differs_on_the_same_machine_points_to_a_change(changed_score):
    _, sentence = verify.compare_with_committed()
    assert "the machine and the packages are the same" in sentence


def test_a_score_may_differ_because_its_predictions_come_from_another_machine(changed_score, committed):
    committed(hardware={"processor": "slide rule"})
    one, score = verify.compare_with_committed()
    assert "the same to the last digit" in one
    assert "processor is slide rule, committed abacus" in score


def test_without_git_nothing_is_compared(committed):
    (files.ROOT / ".git").rename(files.ROOT / "not.git")
    (sentence,) = verify.compare_with_committed()
    assert sentence.startswith(
        "reports/metrics/one.json: there is no committed file to compare with (fatal: not a git repository"
    )


RUN_PART_3_TWICE = """
from pipeline import verify
verify.REPORTED_NOTEBOOKS = ("part3_experiments",)  # the one that trains nothing
verify.submission.write = lambda profile: None
print("differences:", verify.run_twice("smoke"))
"""


@pytest.mark.slow
def test_everything_is_run_twice_and_compared(tmp_path):
    project = copy_project(tmp_path / "project")
    command = [project / ".venv" / "bin" / "python", "-c", RUN_PART_3_TWICE]
    result = subprocess.run(command, cwd=project, env=environment(project), capture_output=True, text=True)
    assert "differences: []" in result.stdout, result.stdout + result.stderr
    for folder in ("first", "second"):
        assert (project / "reports" / f".verify-{folder}" / "part3_experiments.pdf").exists()
