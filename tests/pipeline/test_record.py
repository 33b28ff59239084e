"""What the pipeline reads of the metrics of a run."""

import json

import pytest

from coursework import files
from pipeline import record
from pipeline.errors import UserError

SCORES = {"accuracy": 0.9, "accuracy_interval": [0.8, 1.0], "f1": 0.7, "f1_interval": [0.6, 0.8], "images": 40}
RUN = {
    "parameters": {"seed": 1},
    "trainings": {"LeNet-5": {"epochs": 3, "best_epoch": 2}},
    "data_sha256": "0",
    "duration_seconds": 60.5,
    "peak_memory_gib": 0.5,
    "versions": {"python": "3.11.7"},
    "hardware": {"processor": "abacus", "system": "Linux", "cores": 2},
}
RECORDED = {
    record.PART_1: RUN | {"scores": {"validation_last": {"val_f1": 0.7}, "test": SCORES}},
    record.PART_2: RUN | {"scores": {"best": "one", "validation": {"one": SCORES}, "predictions_sha256": "1"}},
    "part3_experiments": RUN,
    record.SCORE: {"held_out": SCORES, "submission_sha256": "2"},
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file of the profile `quick` in a project of its own."""
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")
    (tmp_path / "reports" / "quick" / "metrics").mkdir(parents=True)

    def write_file(name, content):
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "reports" / "quick" / name).write_text(text, encoding="utf-8")

    return write_file


@pytest.mark.parametrize("name", RECORDED)
def test_a_missing_record_is_none_and_a_complete_one_is_read(write, name):
    assert record.read("quick", name) is None
    write(f"metrics/{name}.json", RECORDED[name] | {"more": "is ignored"})
    assert json.loads(json.dumps(record.read("quick", name))) == RECORDED[name]


def test_the_last_duration_is_none_without_a_run(write):
    assert record.last_duration("quick", record.PART_1) is None
    write(f"metrics/{record.PART_1}.json", RECORDED[record.PART_1])
    assert record.last_duration("quick", record.PART_1) == 60.5


@pytest.mark.fault("damaged metrics")
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (record.PART_2, '{"data_sha256": 1', "Invalid JSON"),
        (record.PART_2, [], "it should be lines of `name: value`"),
        (record.PART_1, RECORDED[record.PART_1] | {"scores": {}}, "scores.validation_last is missing"),
        (record.PART_2, RECORDED[record.PART_2] | {"scores": {"best": 3}}, "scores.validation is missing"),
        (record.PART_2, RECORDED[record.PART_2] | {"duration_seconds": "long"}, "duration_seconds is 'long'"),
        (record.SCORE, {"submission_sha256": "0"}, "held_out is missing"),
    ],
)
def test_a_damaged_record_is_an_error_that_says_what_to_delete(write, name, content, words):
    remedy = "metrics/score.json and run `make score" if name == record.SCORE else f"{name}.ipynb and run `make report"
    write(f"metrics/{name}.json", content)
    with pytest.raises(UserError, match=rf"^reports/quick/metrics/{name}\.json is damaged") as error:
        record.read("quick", name)
    assert words in str(error.value)
    assert f"delete reports/quick/{remedy} PROFILE=quick`" in str(error.value)
    assert record.last_duration("quick", name) is None


def test_a_score_counts_for_the_submission_that_it_is_of(write):
    write("metrics/score.json", RECORDED[record.SCORE])
    assert record.read_score("quick")["held_out"]["accuracy"] == 0.9
    write("submission.csv", "ID,Prediction\n0,1\n")
    assert record.read_score("quick") is None
