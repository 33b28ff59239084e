import numpy as np
import pytest

from coursework.submission import SubmissionError, read_submission, write_submission


@pytest.fixture
def path(tmp_path):
    return tmp_path / "submission.csv"


@pytest.mark.parametrize(
    ("predictions", "words"),
    [
        (np.array([1, 2]), "2 rows for 3 test images"),
        (np.array([1, 2, 10]), "Prediction is 10 in row 2: expected 0 to 9"),
        (np.array([1.0, 2.0, 3.0]), "values that are not integers"),
        (np.array([1.0, np.nan, 3.0]), "Prediction is missing in row 1"),
        (np.eye(3), r"shape \(3, 3\): expected one class index"),
    ],
)
def test_invalid_predictions_are_rejected_and_the_previous_file_stays(path, predictions, words):
    write_submission(path, np.array([7, 8, 9]), 3)
    with pytest.raises(SubmissionError, match=words):
        write_submission(path, predictions, 3)
    assert read_submission(path, 3).tolist() == [7, 8, 9]
    assert path.read_bytes() == b"ID,Prediction\n0,7\n1,8\n2,9\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the header is '', expected 'ID,Prediction'"),
        ("ID,Prediction\n9,0,5\n9,1,6\n", "line 2 is '9,0,5': expected two values and a comma"),
        ("id,Prediction\n0,1\n1,2\n", "the header is 'id,Prediction', expected 'ID,Prediction'"),
        ("ID,Prediction\n0,1\n", "1 rows for 2"),
        ("ID,Prediction\n1,1\n2,2\n", "ID is 1 in row 0"),
        ("ID,Prediction\n0,1\n1,\n", "Prediction is missing in row 1"),
        ("ID,Prediction\n0,1\n1,shirt\n", "values that are not integers"),
        ("ID,Prediction\n0,1\n1,99\n", "Prediction is 99 in row 1"),
        ("ID,Prediction\n0,+1\n1,2\n", r"line 2 is '0,\+1': expected '0,1'"),
        (b"ID,Prediction\n0,\xff\xfe\n", "is not valid UTF-8 text"),
    ],
)
def test_an_invalid_file_is_rejected(path, text, words):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SubmissionError, match=words):
        read_submission(path, 2)


def test_a_file_that_excel_has_saved_is_read(path):
    path.write_bytes(b"\xef\xbb\xbfID,Prediction\r\n0,1\r\n1,2\r\n")
    assert read_submission(path, 2).tolist() == [1, 2]
