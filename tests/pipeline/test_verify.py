"""What counts as the same result, and what does not."""

import json
import shutil
import subprocess

import keras
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from coursework import files, text
from pipeline import verify
from pipeline.run_notebook import _tidy

ROW = '<tr>\n<th id="T_8_0_level0_row0" >seconds</th>\n<td id="a" >5</td>\n<td id="b" >9</td>\n</tr>'
CAPTION = "One, 2 epochs in 5 s: the weights are those of epoch 2"
TABLE = f'<table id="T_8_0"><caption>{CAPTION}</caption>{ROW}<tr><th>best epoch</th><td>5</td></tr></table>'


def executed(table=TABLE, duration="41 s, peak memory 0.84 GiB, abacus", start="2026-01-01T10:00:00"):
    outputs = [
        new_output("stream", text=duration + "\n"),
        new_output("display_data", data={"text/html": table, "text/plain": "a table"}),
    ]
    cells = [new_markdown_cell("# One", id="one"), new_code_cell("2", id="two", outputs=outputs, execution_count=1)]
    metadata = {"papermill": {"start_time": start, "parameters": {}}, "handin": {"Run": start[:10]}}
    return new_notebook(cells=cells, metadata=metadata)


@pytest.fixture
def folders(tmp_path):
    """Two output folders of the same run, at different speeds."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    for name, seconds, start in (("first", 5, "2026-01-01T10:00:00"), ("second", 17, "2027-02-03T11:00:00")):
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
            TABLE.replace(">9<", f">{seconds}<").replace("in 5 s", f"in {text.format_duration(17 * seconds)}"),
            f"{seconds} s, peak memory 0.{seconds} GiB, abacus",
            start,
        )
        nbformat.write(notebook, folder / "one.ipynb")
    return tmp_path / "first", tmp_path / "second"


def test_runs_that_took_another_time_are_the_same(folders):
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
    ("name", "change", "said"),
    [
        ("submission.csv", lambda path: change_text(path, "0,1", "0,2"), "submission.csv, submission: "),
        ("metrics/one.json", lambda path: change_text(path, "0.25", "0.26"), "/trainings/one/history/f1/1: '0.25' and"),
        ("models/one.keras", change_weight, "models/one.keras, weights: "),
        (
            "checkpoints/one.npz",
            change_state,
            "checkpoints/one.npz, state after the last epoch: /state/0: other values",
        ),
        (
            "one.ipynb",
            lambda path: change_text(path, "those of epoch 2", "those of epoch 1"),
            "one.ipynb, notebook: /cells/1/outputs/1",
        ),
        ("one.ipynb", lambda path: change_text(path, "<td>5</td>", "<td>6</td>"), "one.ipynb, PDF: "),
        ("metrics/one.json", lambda path: path.unlink(), "metrics/one.json is there only once"),
    ],
)
def test_anything_else_that_differs_is_named(folders, name, change, said):
    change(folders[1] / name)
    assert said in "\n".join(verify.differences(*folders))


def test_random_names_and_addresses_are_taken_out_of_executed_notebooks():
    def tidied(table, address, cell):
        outputs = [
            new_output(
                "execute_result",
                execution_count=1,
                data={
                    "text/html": f'<style>#T_{table} th {{}}</style><table id="T_{table}"><td id="T_{table}_row0_col0">',
                    "text/plain": f"<pandas.io.formats.style.Styler at {address}>",
                },
            )
        ]
        cells = [
            new_code_cell("x = 1", id=cell, metadata={"tags": ["injected-parameters"]}),
            new_code_cell("x", id="two", outputs=outputs),
        ]
        notebook = new_notebook(cells=cells, metadata={"papermill": {"start_time": "2026-01-01"}})
        return _tidy(notebook, {}, None, ())

    assert tidied("0a1b2", "0x7f66a775f210", "4c8e3d00") == tidied("c3d4e", "0x7f15e4852990", "b9430feb")


@pytest.fixture
def committed(monkeypatch, tmp_path):
    """A repository with committed metrics, and a way to change the file."""
    path = tmp_path / "reports" / "metrics" / "one.json"
    path.parent.mkdir(parents=True)
    metrics = {"scores": {"f1": 0.5}, "duration_seconds": 1, "hardware": {"processor": "abacus"}, "versions": {}}
    path.write_text(json.dumps(metrics))
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")
    return lambda **changes: path.write_text(json.dumps(metrics | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"duration_seconds": 2}, "the same to the last digit as the committed one"),
        (
            {"scores": {"f1": 0.6}},
            "first at /scores/f1: '0.6' and '0.5'; the machine and the packages are the same, so",
        ),
        (
            {"scores": {"f1": 0.6}, "hardware": {"processor": "slide rule"}},
            "it may, because sums are taken in another order there: hardware processor: slide rule, there abacus",
        ),
        ({"scores": {"f1": 0.5, "accuracy": 0.5}}, "first at /scores: accuracy only in one"),
    ],
)
def test_the_hand_in_is_compared_with_the_committed_one(committed, changes, said):
    committed(**changes)
    (sentence,) = verify.compare_with_committed()
    assert said in sentence


def test_a_score_differs_because_its_predictions_were_made_elsewhere(committed):
    metrics = files.REPORTS_FOLDER / "metrics"
    (metrics / "score.json").write_text(json.dumps({"f1": 0.5}))
    for command in (["add", "."], ["-c", "user.name=n", "-c", "user.email=n@example.org", "commit", "-q", "-m", "two"]):
        subprocess.run(["git", *command], cwd=files.ROOT, check=True)
    (metrics / "score.json").write_text(json.dumps({"f1": 0.6}))
    assert "the machine and the packages are the same" in verify.compare_with_committed()[1]
    committed(hardware={"processor": "slide rule"})
    one, score = verify.compare_with_committed()
    assert "the same to the last digit" in one
    assert "processor: slide rule, there abacus" in score


def test_without_git_nothing_is_compared(committed, monkeypatch):
    (files.ROOT / ".git").rename(files.ROOT / "not.git")
    assert verify.compare_with_committed() == [
        "reports/metrics/one.json: git has none to compare it with (fatal: not a git repository (or any of the parent directories): .git)"
    ]


@pytest.mark.slow
def test_everything_is_run_twice_and_compared(monkeypatch):
    monkeypatch.setattr(verify, "REPORTED_NOTEBOOKS", ("part3_experiments",))  # the one that trains nothing
    monkeypatch.setattr(verify.submission, "write", lambda profile: None)
    try:
        assert verify.run_twice("smoke") == []
        assert (files.output_folder(".verify-second") / "part3_experiments.pdf").exists()
    finally:
        for name in ("first", "second"):
            shutil.rmtree(files.output_folder(f".verify-{name}"))
