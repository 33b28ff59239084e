import numpy as np
import pytest

from coursework import course_split, files, models
from pipeline import submission
from pipeline.errors import UserError


@pytest.fixture
def output(own_run, enter, fashion_mnist, monkeypatch):
    """The output folder of a smoke run that the test may change; this process works in its project."""
    enter(own_run.project)
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda split: fashion_mnist)
    return own_run.output


def test_a_submission_that_excel_has_saved_is_sent_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path)
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda split: {"X_test": np.zeros((2, 28, 28), np.uint8)})
    path = tmp_path / "submission.csv"
    path.write_bytes(b"\xef\xbb\xbfID,Prediction\r\n0,1\r\n1,2\r\n")
    submission.check("full")
    assert path.read_bytes() == b"ID,Prediction\n0,1\n1,2\n"


def test_a_submission_made_from_other_data_is_an_error(output, fashion_mnist, monkeypatch):
    other = fashion_mnist | {"X_test": fashion_mnist["X_test"][::-1]}
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda split: other)
    for action in (submission.write, submission.check, submission.score):
        with pytest.raises(UserError, match="is not the file that part 2 was run on"):
            action("smoke")


def test_a_damaged_model_or_one_of_another_run_writes_no_submission(output, monkeypatch):
    def always_class_0(model, images):
        return np.eye(10)[np.zeros(len(images), int)]

    path, before = output / "models" / "part2_best.keras", (output / "submission.csv").read_bytes()
    monkeypatch.setattr(models, "predict_probabilities", always_class_0)
    with pytest.raises(UserError, match=r"part2_best\.keras is not the model of the last finished run"):
        submission.write("smoke")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"part2_best\.keras can't be loaded .*: delete it and run `make submit"):
        submission.write("smoke")
    assert (output / "submission.csv").read_bytes() == before


def test_a_missing_model_or_held_out_labels_are_reported(new_project, enter, fashion_mnist, monkeypatch, capsys):
    enter(new_project)
    with pytest.raises(UserError, match=r"part2_best\.keras does not exist: train .* `make report PROFILE=smoke`"):
        submission.write("smoke")
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda split: fashion_mnist)
    monkeypatch.setattr(course_split, "load_fashion_mnist_test_labels", lambda: None)
    submission.score("smoke")
    assert "No score: data/Fashion_MNIST.h5 is the course's own file" in capsys.readouterr().out
