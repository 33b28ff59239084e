"""The status that plain `make` prints."""

import re

import pytest

from pipeline import state
from tests.running import make


def test_make_alone_lists_the_commands_and_the_status(smoke_run):
    printed = make(smoke_run.project).stdout
    lines = [rf"  make {name} +\S" for name in ("report", "submit", "score", "test", "lab", "experiments")]
    lines += ["Status, profile smoke:", r"  environment +ready, Python 3\.1\d", "  data +ready"]
    for line in [*lines, r"  report +up to date: see reports/smoke/index\.html"]:
        assert re.search(f"^{line}", printed, re.MULTILINE), line


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """A project in which nothing is made yet."""
    monkeypatch.setattr(state, "ROOT", tmp_path)
    return tmp_path


def test_the_status_of_an_empty_project_names_what_is_missing_and_its_commands(empty):
    assert state.environment("make").startswith("missing; every command creates it first: a minute or two")
    assert state.data() == "MNIST and Fashion-MNIST missing: `make data`"
    assert state.report("make", "full") == "part 1, part 2, part 3 out of date: `make report`"


@pytest.mark.parametrize(
    ("text", "words"), [('{"duration_seconds": 240}', ", 4 min last time"), ("no metrics", ""), ("{}", ""), ("[]", "")]
)
def test_the_status_gives_the_duration_of_the_last_run_if_it_is_known(empty, text, words):
    path = empty / "reports" / "quick" / "metrics" / "part1_mnist.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert f"`make report PROFILE=quick`{words}" in state.report("make", "quick")
    assert ("last time" in state.report("make", "quick")) == bool(words)
