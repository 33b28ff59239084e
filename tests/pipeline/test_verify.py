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
from tests.running import copy_project, run_command

ROW = '<tr>\n<th id="T_8_0_level0_row0" >seconds</th>\n<td id="a" >5</td>\n<td id="b" >SECONDS</td>\n</tr>'
CAPTION = "One, 2 epochs in TOOK: the weights are those of epoch 2"
TABLE = f'<table id="T_8_0"><caption>{CAPTION}</caption>{ROW}<tr><th>best epoch</th><td>5</td></tr></table>'


def write_run(folder, model, seconds, took, start):
    """Write the output folder of a run that took so long."""
    for part in ("metrics", "models", "checkpoints"):
        (folder / part).mkdir(parents=True)
    (folder / "submission.csv").write_text("ID,Prediction\n0,1\n")
    history = {"f1": [0.5, 0.25], "seconds": [seconds, seconds]}
    metrics = {"scores": {"f1": 0.5}, "trainings": {"one": {"history": history}}, "duration_seconds": seconds}
    (folder / "metrics" / "one.json").write_text(json.dumps(metrics))
    model.save(folder / "models" / "one.keras")
    about = json.dumps({"history": [{"f1": 0.5, "seconds": seconds}], "content": str(seconds)})
    np.savez(folder / "checkpoints" / "one.npz", about=about, state_0=np.arange(3.0), best_0=np.arange(2.0))
    table = TABLE.replace("SECONDS", str(seconds)).replace("TOOK", took)
    outputs = [
        new_output("stream", text=f"{seconds} s, peak memory 0.{seconds} GiB, abacus\n"),
        new_output("display_data", data={"text/html": table, "text/plain": "a table"}),
    ]
    cells = [new_markdown_cell("# One", id="one"), new_code_cell("2", id="two", outputs=outputs, execution_count=1)]
    metadata = {"papermill": {"start_time": start, "parameters": {}}, "title_block": {"Run": start[:10]}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), folder / "one.ipynb")


@pytest.fixture
def folders(tmp_path):
    """Two output folders of the same run, at different speeds."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    write_run(tmp_path / "first", model, 5, "1 min 25 s", "2026-01-01T10:00:00")
    write_run(tmp_path / "second", model, 17, "4 min 49 s", "2027-02-03T11:00:00")
    return tmp_path / "first", tmp_path / "second"


def test_runs_of_different_duration_are_the_same(folders):
    assert verify.differences(*folders) == []


def replace(old, new):
    def change(path):
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


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
        ("submission.csv", replace("0,1", "0,2"), "submission.csv, submission: "),
        ("metrics/one.json", replace("0.25", "0.26"), "/trainings/one/history/f1/1: '0.25' and"),
        ("models/one.keras", change_weight, "models/one.keras, weights: "),
        ("checkpoints/one.npz", change_state, "one.npz, state after the last epoch: /state/0: 'array with SHA-256 "),
        ("one.ipynb", replace("those of epoch 2", "those of epoch 1"), "one.ipynb, notebook: /cells/1/outputs/1"),
        ("one.ipynb", replace("<td>5</td>", "<td>6</td>"), "one.ipynb, PDF: "),
        ("metrics/one.json", lambda path: path.unlink(), "metrics/one.json exists only once"),
    ],
)
def test_any_other_difference_is_reported(folders, name, change, reported):
    change(folders[1] / name)
    assert reported in "\n".join(verify.differences(*folders))


@pytest.fixture
def change(enter, tmp_path):
    """Changes a metrics file or the score, which are committed in a repository of their own."""
    enter(tmp_path)
    folder = tmp_path / "reports" / "metrics"
    folder.mkdir(parents=True)
    one = {"scores": {"f1": 0.5}, "duration_seconds": 1, "hardware": {"processor": "abacus"}, "versions": {}}
    committed = {"one": one, "score": {"f1": 0.5}}

    def write(name, **changes):
        (folder / f"{name}.json").write_text(json.dumps(committed[name] | changes))

    write("one")
    write("score")
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "metrics"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return write


SAME = "the same to the last digit as the committed one"
HERE = "the machine and the packages are the same, so"
ELSEWHERE = "this is expected, because the order of sums differs: hardware processor is slide rule, committed abacus"


@pytest.mark.parametrize(
    ("metrics", "score", "about_metrics", "about_score"),
    [
        ({"duration_seconds": 2}, {}, SAME, SAME),
        ({"scores": {"f1": 0.6}}, {"f1": 0.6}, f"first at /scores/f1: '0.6' and '0.5'; {HERE}", HERE),
        ({"hardware": {"processor": "slide rule"}}, {"f1": 0.6}, SAME, ELSEWHERE),  # its predictions are of that run
        ({"scores": {"f1": 0.6}, "hardware": {"processor": "slide rule"}}, {}, ELSEWHERE, SAME),
        ({"scores": {"f1": 0.5, "accuracy": 0.5}}, {}, "first at /scores/accuracy only in one", SAME),
    ],
)
def test_the_hand_in_is_compared_with_the_committed_one(change, metrics, score, about_metrics, about_score):
    change("one", **metrics)
    change("score", **score)
    first, second = verify.compare_with_committed()
    assert about_metrics in first and about_score in second


def test_without_git_nothing_is_compared(change):
    (files.ROOT / ".git").rename(files.ROOT / "not.git")
    words = "there is no committed file to compare with (fatal: not a git repository"
    assert all(words in sentence for sentence in verify.compare_with_committed())


RUN_PART_3_TWICE = """
from pipeline import verify
verify.REPORTED_NOTEBOOKS = ("part3_experiments",)  # the one that trains nothing
verify.submission.write = lambda profile: None
print("differences:", verify.run_twice("smoke"))
"""


@pytest.mark.slow
def test_everything_is_run_twice_and_compared(tmp_path):
    project = copy_project(tmp_path / "project")
    result = run_command(project, project / ".venv" / "bin" / "python", "-c", RUN_PART_3_TWICE)
    assert "differences: []" in result.stdout, result.stdout + result.stderr
    for folder in ("first", "second"):
        assert (project / "reports" / f".verify-{folder}" / "part3_experiments.pdf").exists()
