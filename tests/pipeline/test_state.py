"""What `make` alone tells of how things stand, and the page about a hand-in."""

import html
import json
import re

import pytest
from tests.running import make

from coursework import files, study
from pipeline import index_page, state
from pipeline.errors import UserError


def test_make_alone_lists_the_commands_and_how_things_stand(smoke_run):
    assert make("report").returncode == 0  # other tests may have changed something
    result = make()
    assert result.returncode == 0
    for command in ("report", "submit", "score", "test", "lab", "experiments"):
        assert re.search(rf"^  make {command} +\S", result.stdout, re.MULTILINE)
    assert "How things stand, profile smoke:" in result.stdout
    assert re.search(r"environment ready, Python 3\.1\d", result.stdout)
    assert re.search(r"data +ready", result.stdout)
    assert "current: reports/smoke/index.html shows it" in result.stdout


def test_what_is_not_there_is_said_with_the_command_that_makes_it(monkeypatch, tmp_path):
    monkeypatch.setattr(state, "ROOT", tmp_path)
    assert "not made yet; every command makes it first: a minute or two" in state.environment("make")
    assert state.data() == "MNIST and Fashion-MNIST missing; `make data` downloads what is"
    assert state.report("make", "full") == "part 1, part 2, part 3 to be made: `make report`"
    (tmp_path / "reports" / "quick" / "metrics").mkdir(parents=True)
    path = tmp_path / "reports" / "quick" / "metrics" / "part1_mnist.json"
    path.write_text(json.dumps({"duration_seconds": 240}))
    assert "`make report PROFILE=quick`, 4 min where it was made last" in state.report("make", "quick")
    path.write_text("no metrics")
    assert state.last_duration(tmp_path / "reports" / "quick", "part1_mnist") is None


def test_the_page_has_the_figures_the_scores_and_the_verdicts(smoke_run):
    text = html.unescape((files.output_folder("smoke") / "index.html").read_text(encoding="utf-8"))
    metrics = json.loads((files.output_folder("smoke") / "metrics" / "part2_fashion_mnist.json").read_text())
    for scores in metrics["scores"]["validation"].values():
        assert f"{scores['accuracy']:.4f}" in text and f"{scores['f1']:.4f}" in text
    held_out = json.loads((files.output_folder("smoke") / "metrics" / "score.json").read_text())["held_out"]
    assert f"{held_out['accuracy']:.4f}" in text
    assert text.count("<figure>") >= 6
    _, _, claims = study.load_experiments()
    assert all(claim["claim"] in text for claim in claims)
    assert not re.search(r"(src|href)=\"(https?:)?//", text)


def test_the_page_of_an_unfinished_hand_in_is_refused_with_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"lacks a part of a finished run.*`make report PROFILE=smoke` makes it anew"):
        index_page.write_index("smoke")
    assert list(tmp_path.iterdir()) == []
