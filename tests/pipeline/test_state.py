"""The status that plain `make` prints."""

import json
import re

import pytest

from pipeline import state
from tests.running import make


@pytest.fixture(scope="session")
def printed(smoke_run):
    """What plain make prints after a smoke run."""
    result = make(smoke_run.project)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("command", ["report", "submit", "score", "test", "lab", "experiments"])
def test_make_alone_lists_the_commands_with_a_line_of_help(printed, command):
    assert re.search(rf"^  make {command} +\S", printed, re.MULTILINE)


def test_make_alone_prints_the_status_of_environment_data_and_report(printed):
    assert "Status, profile smoke:" in printed
    assert re.search(r"environment +ready, Python 3\.1\d", printed)
    assert re.search(r"data +ready", printed)
    assert re.search(r"report +up to date: see reports/smoke/index\.html", printed)


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """A project in which nothing is made yet."""
    monkeypatch.setattr(state, "ROOT", tmp_path)
    return tmp_path


def test_a_missing_environment_is_created_by_every_command(empty):
    assert state.environment("make").startswith("missing; every command creates it first: a minute or two")


def test_missing_data_are_listed_with_the_command_that_downloads_them(empty):
    assert state.data() == "MNIST and Fashion-MNIST missing: `make data`"


def test_missing_parts_are_listed_with_the_command_that_makes_them(empty):
    assert state.report("make", "full") == "part 1, part 2, part 3 out of date: `make report`"


def metrics_of(project, text):
    path = project / "reports" / "quick" / "metrics" / "part1_mnist.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_the_status_gives_the_duration_of_the_last_run(empty):
    metrics_of(empty, json.dumps({"duration_seconds": 240}))
    assert "`make report PROFILE=quick`, 4 min last time" in state.report("make", "quick")


def test_damaged_metrics_give_no_duration(empty):
    metrics_of(empty, "no metrics")
    assert state.last_duration(empty / "reports" / "quick", "part1_mnist") is None
