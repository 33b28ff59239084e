"""The submission of a run is checked against the data and the run that it belongs to."""

import numpy as np
import pytest

from coursework import course_split, files, models
from coursework.submission import SubmissionError
from pipeline import submission
from pipeline.errors import UserError


@pytest.fixture
def output(own_run, enter, fashion_mnist, monkeypatch):
    """The output folder of a smoke run that the test may change; this process works in its project."""
    enter(own_run.project)
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda split: fashion_mnist)
    return own_run.output


@pytest.mark.parametrize("action", [submission.check, submission.score])
def test_a_submission_with_too_few_rows_is_an_error(output, action):
    (output / "submission.csv").write_text("ID,Prediction\n0,1\n")
    with pytest.raises(SubmissionError, match="1 rows for 10500 test images"):
        action("smoke")


def test_a_submission_that_excel_has_saved_is_sent_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path)
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda split: {"X_test": np.zeros((2, 28, 28), np.uint8)})
    path = tmp_path / "submission.csv"
    path.write_bytes(b"\xef\xbb\xbfID,Prediction\r\n0,1\r\n1,2\r\n")
    submission.check("full")
    assert path.read_bytes() == b"ID,Prediction\n0,1\n1,2\n"


@pytest.mark.fault("data that changed between training and submission")
@pytest.mark.parametrize("action", [submission.write, submission.check, submission.score])
def test_a_submission_made_from_other_data_is_an_error(output, fashion_mnist, monkeypatch, action):
    other = fashion_mnist | {"X_test": fashion_mnist["X_test"][::-1]}
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda split: other)
    with pytest.raises(UserError, match="is not the file that part 2 was run on"):
        action("smoke")


@pytest.mark.fault("a model of a run that was killed before its end")
def test_a_model_of_another_run_writes_no_submission(output, monkeypatch):
    before = (output / "submission.csv").read_bytes()

    def always_class_0(model, images):
        return np.eye(10)[np.zeros(len(images), int)]

    monkeypatch.setattr(models, "predict_probabilities", always_class_0)
    with pytest.raises(UserError, match=r"part2_best\.keras is not the model of the last finished run"):
        submission.write("smoke")
    assert (output / "submission.csv").read_bytes() == before


@pytest.mark.fault("a damaged model")
def test_a_damaged_model_is_an_error_that_says_what_to_delete(output):
    path = output / "models" / "part2_best.keras"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"part2_best\.keras can't be loaded .*: delete it and run `make submit"):
        submission.write("smoke")


def test_without_a_model_the_error_names_the_command_that_trains_it(new_project, enter):
    enter(new_project)
    with pytest.raises(UserError, match=r"part2_best\.keras does not exist: train .* `make report PROFILE=smoke`"):
        submission.write("smoke")


def test_without_held_out_labels_no_score_is_given(new_project, enter, fashion_mnist, monkeypatch, capsys):
    enter(new_project)
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda split: fashion_mnist)
    monkeypatch.setattr(course_split, "load_fashion_mnist_test_labels", lambda: None)
    submission.score("smoke")
    assert "No score: data/Fashion_MNIST.h5 is the course's own file" in capsys.readouterr().out
    assert not (new_project / "reports" / "smoke" / "metrics" / "score.json").exists()
