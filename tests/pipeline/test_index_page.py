import html
import json
import re

import pytest

from coursework import files, study
from pipeline import index_page
from pipeline.errors import UserError


def metrics(smoke_run, name):
    return json.loads((smoke_run.output / "metrics" / f"{name}.json").read_text(encoding="utf-8"))


def test_the_page_shows_scores_figures_and_claims_and_needs_no_network(smoke_run):
    page = html.unescape((smoke_run.output / "index.html").read_text(encoding="utf-8"))
    shown = [*metrics(smoke_run, "part2_fashion_mnist")["scores"]["validation"].values()]
    shown.append(metrics(smoke_run, "score")["held_out"])
    claims = [claim["claim"] for claim in study.load_experiments()[2]]
    assert len(shown) >= 4 and len(claims) >= 9
    texts = [*(f"{scores[name]:.4f}" for scores in shown for name in ("accuracy", "f1")), *claims]
    assert [text for text in texts if text not in page] == []
    assert page.count("<figure>") >= 6
    assert not re.search(r"(src|href)=\"(https?:)?//", page)


def test_a_score_of_an_older_submission_is_left_out(own_run, enter):
    held_out = f"{metrics(own_run, 'score')['held_out']['f1']:.4f}"
    enter(own_run.project)
    (own_run.output / "submission.csv").write_text("ID,Prediction\n0,1\n")
    page = html.unescape(index_page.write_index("smoke").read_text(encoding="utf-8"))
    assert held_out not in page
    assert "Run make score to add its score" in page


def test_the_page_of_an_unfinished_hand_in_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"lacks a part of a finished run.*run `make report PROFILE=smoke`"):
        index_page.write_index("smoke")
    assert list(tmp_path.iterdir()) == []
