import json

import pytest

from pipeline import record
from pipeline.errors import UserError

RUN = {"parameters": {"seed": 1}, "scores": {"best": "one"}, "trainings": {}, "data_sha256": "0", "versions": {}}
RUN |= {"duration_seconds": 60.5, "peak_memory_gib": 0.5, "hardware": {"cores": 2}}


@pytest.fixture
def write(tmp_path, enter):
    """Writes a metrics file of the profile `quick` in a project of its own."""
    enter(tmp_path)
    folder = tmp_path / "reports" / "quick" / "metrics"
    folder.mkdir(parents=True)
    return lambda name, text: (folder / f"{name}.json").write_text(text, encoding="utf-8")


def test_a_record_is_read_and_a_missing_one_is_none(write):
    assert (record.read("quick", "part1_mnist"), record.last_duration("quick", "part1_mnist")) == (None, None)
    write("part1_mnist", json.dumps(RUN | {"more": "is ignored"}))
    assert (record.read("quick", "part1_mnist"), record.last_duration("quick", "part1_mnist")) == (RUN, 60.5)


@pytest.mark.parametrize(
    ("name", "text", "words", "remedy"),
    [
        ("part2_fashion_mnist", '{"data_sha256": 1', "Invalid JSON", "part2_fashion_mnist.ipynb and run `make report"),
        ("part1_mnist", json.dumps(RUN | {"scores": 3}), "scores is 3", "part1_mnist.ipynb and run `make report"),
        ("score", '{"submission_sha256": "0"}', "held_out is missing", "metrics/score.json and run `make score"),
    ],
)
def test_a_damaged_record_is_an_error_that_says_what_to_delete(write, name, text, words, remedy):
    write(name, text)
    with pytest.raises(UserError, match=rf"^reports/quick/metrics/{name}\.json is damaged \(.*{words}") as error:
        record.read("quick", name)
    assert f"delete reports/quick/{remedy} PROFILE=quick`" in str(error.value)
    assert record.last_duration("quick", name) is None
