import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursework import files, submission
from pipeline import submission
from pipeline.errors import UserError


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=50))
def test_what_is_written_is_read_back(tmp_path_factory, predictions):
    path = tmp_path_factory.mktemp("submission") / "submission.csv"
    submission.write_submission(path, np.array(predictions), len(predictions))
    lines = path.read_bytes().split(b"\n")
    assert lines[0] == b"ID,Prediction"
    assert lines[1:] == [f"{row},{value}".encode() for row, value in enumerate(predictions)] + [b""]
    assert submission.read_submission(path, len(predictions)).tolist() == predictions


@pytest.mark.parametrize(
    ("predictions", "words"),
    [
        (np.array([1, 2]), "2 rows for 3 test images"),
        (np.array([1, 2, 3, 4]), "4 rows for 3 test images"),
        (np.array([1, 2, 10]), "Prediction is 10 in row 2: expected 0 to 9"),
        (np.array([-1, 2, 3]), "Prediction is -1 in row 0"),
        (np.array([1.0, 2.0, 3.0]), "no integers"),
        (np.array([1.0, np.nan, 3.0]), "Prediction is missing in row 1"),
        (np.array([True, False, True]), "no integers"),
        (np.array(["1", "2", "3"]), "no integers"),
        (np.eye(3), r"shape \(3, 3\): expected one class index"),
    ],
)
def test_wrong_predictions_are_refused_and_the_file_that_was_there_stays(tmp_path, predictions, words):
    path = tmp_path / "submission.csv"
    submission.write_submission(path, np.array([7, 8, 9]), 3)
    before = path.read_bytes()
    with pytest.raises(submission.SubmissionError, match=words):
        submission.write_submission(path, predictions, 3)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["submission.csv"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("ID,Prediction\n9,0,5\n9,1,6\n", "line 2 is '9,0,5': expected two values and a comma"),
        ("\nID,Prediction\n0,1\n1,2\n", "the header is ''"),
        ("\ufeffID,Prediction\n0,1\n1,2\n", "the header is .*ID,Prediction"),
        ("ID,Prediction\n0,1 \n1,2\n", "line 2"),
        ("id,Prediction\n0,1\n1,2\n", "the header is 'id,Prediction', expected 'ID,Prediction'"),
        ("Prediction,ID\n1,0\n2,1\n", "the header is 'Prediction,ID'"),
        ("ID,Prediction\n0,1\n", "1 rows for 2"),
        ("ID,Prediction\n1,1\n2,2\n", "ID is 1 in row 0"),
        ("ID,Prediction\n0,1\n0,2\n", "ID is 0 in row 1"),
        ("ID,Prediction\n1,1\n0,2\n", "ID is 1 in row 0"),
        ("ID,Prediction\n0,1\n1,\n", "Prediction is missing in row 1"),
        ("ID,Prediction\n0,1\n1,2.5\n", "no integers"),
        ("ID,Prediction\n0,1\n1,shirt\n", "no integers"),
        ("ID,Prediction\n0,1\n1,99\n", "Prediction is 99 in row 1"),
        ('ID,Prediction\n0,"1\n1,2\n', "no integers"),
        ("ID,Prediction\n0,+1\n1,2\n", r"line 2 is '0,\+1': expected '0,1'"),
        ("ID,Prediction\n0,1\n1, 2\n", "line 3 is '1, 2': expected '1,2'"),
        ("ID,Prediction\n0,1\n01,2\n", "line 3 is '01,2': expected '1,2'"),
        ("ID,Prediction\n0,1\u20281,2\n", "line 2"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, words):
    path = tmp_path / "submission.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(submission.SubmissionError, match=words):
        submission.read_submission(path, 2)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_bytes(b"ID,Prediction\n0,\xff\xfe\n")
    with pytest.raises(submission.SubmissionError, match="is no text"):
        submission.read_submission(path, 1)


def test_an_interrupted_write_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "submission.csv"
    submission.write_submission(path, np.array([1]), 1)

    def full_disk(self, target, **options):
        target.write_text("half")
        raise OSError("No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full_disk)
    with pytest.raises(OSError, match="No space left"):
        submission.write_submission(path, np.array([2]), 1)
    assert path.read_text() == "ID,Prediction\n0,1\n"
    assert [file.name for file in tmp_path.iterdir()] == ["submission.csv"]


@pytest.mark.fault("a damaged file of metrics or a damaged model")
@pytest.mark.parametrize("content", ["{", "[]", "{}", "[" * 5000, '{"data_sha256": "0", "parameters": 1}'])
def test_damaged_metrics_of_a_run_are_told_in_a_sentence(tmp_path, monkeypatch, content):
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")
    path = tmp_path / "reports" / "smoke" / "metrics" / "part2_fashion_mnist.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(
        UserError, match=r"metrics/part2_fashion_mnist.json is damaged .*: delete reports/smoke/part2_f"
    ):
        submission.check("smoke")


@pytest.mark.fault("a damaged file of metrics or a damaged model")
def test_a_damaged_model_is_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")
    path = tmp_path / "reports" / "smoke" / "models" / "part2_best.keras"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK, but no zip")
    with pytest.raises(UserError, match=r"models/part2_best.keras can't be loaded .*: move it away, and `make submit"):
        submission.write("smoke")
