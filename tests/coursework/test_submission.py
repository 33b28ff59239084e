import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursework.submission import SubmissionError, read_submission, write_submission
from tests.coursework.damage import cut, cuts, many


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
def test_invalid_predictions_are_rejected_and_the_previous_file_stays(tmp_path, predictions, words):
    path = tmp_path / "submission.csv"
    write_submission(path, np.array([7, 8, 9]), 3)
    before = path.read_bytes()
    with pytest.raises(SubmissionError, match=words):
        write_submission(path, predictions, 3)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("ID,Prediction\n9,0,5\n9,1,6\n", "line 2 is '9,0,5': expected two values and a comma"),
        ("id,Prediction\n0,1\n1,2\n", "the header is 'id,Prediction', expected 'ID,Prediction'"),
        ("ID,Prediction\n0,1\n", "1 rows for 2"),
        ("ID,Prediction\n1,1\n2,2\n", "ID is 1 in row 0"),
        ("ID,Prediction\n0,1\n1,\n", "Prediction is missing in row 1"),
        ("ID,Prediction\n0,1\n1,shirt\n", "values that are not integers"),
        ("ID,Prediction\n0,1\n1,99\n", "Prediction is 99 in row 1"),
        ("ID,Prediction\n0,+1\n1,2\n", r"line 2 is '0,\+1': expected '0,1'"),
        ("ID,Prediction\n0,1\n01,2\n", "line 3 is '01,2': expected '1,2'"),
        ("ID,Prediction\n0,1\u20281,2\n", "line 2"),
        (b"ID,Prediction\n0,\xff\xfe\n", "is not valid UTF-8 text"),
    ],
)
def test_an_invalid_file_is_rejected(tmp_path, text, words):
    path = tmp_path / "submission.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SubmissionError, match=words):
        read_submission(path, 2)


def test_a_file_that_excel_has_saved_is_read(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_bytes(b"\xef\xbb\xbfID,Prediction\r\n0,1\r\n1,2\r\n")
    assert read_submission(path, 2).tolist() == [1, 2]


PIECES = st.sampled_from(["", ",", "\n", "\r", '"', "1", "nan", "1e3", " ", "\x00", "é", "0x1", "ID"])


@many
@given(
    rows=st.none() | st.lists(st.tuples(st.integers(-1, 12), st.integers(-1, 12)), max_size=8),
    images=st.integers(0, 8),
    cuts=cuts(PIECES, min_size=0),
)
def test_a_submission_is_written_and_any_text_is_read_exactly_or_rejected(tmp_path, rows, images, cuts):
    """The rows of a valid submission, or any numbers, with pieces of the text removed, duplicated or replaced."""
    valid = [(row, row % 10) for row in range(images)]
    valid, text = (
        "ID,Prediction\n" + "".join(f"{a},{b}\n" for a, b in (valid if lines is None else lines))
        for lines in (None, rows)
    )
    text = cut(text, cuts)
    path = tmp_path / "submission.csv"
    write_submission(path, np.arange(images) % 10, images)
    assert path.read_bytes() == valid.encode()
    path.write_bytes(text.encode())
    try:
        predictions = read_submission(path, images)
    except SubmissionError:
        assert text != valid or images == 0
    else:
        assert text.splitlines()[1:] == [f"{row},{value}" for row, value in enumerate(predictions)]
        assert len(predictions) == images
