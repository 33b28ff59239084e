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


@pytest.mark.parametrize("text", ['{"duration_seconds": 240}', "no metrics", "[]"])
def test_the_status_of_an_empty_project_names_what_is_missing_and_its_commands(monkeypatch, tmp_path, text):
    monkeypatch.setattr(state, "ROOT", tmp_path)
    (tmp_path / "reports" / "metrics").mkdir(parents=True)
    (tmp_path / "reports" / "metrics" / "part1_mnist.json").write_text(text)
    assert state.environment("make").startswith("missing; every command creates it first: a minute or two")
    assert state.data() == "MNIST and Fashion-MNIST missing: `make data`"
    known = ", 4 min last time, less after an interruption" if "240" in text else ""
    assert state.report("make", "full") == f"part 1, part 2, part 3 out of date: `make report`{known}"
