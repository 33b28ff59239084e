"""The page about a hand-in."""

import html
import json
import re

import pytest

from coursework import files, study
from pipeline import index_page
from pipeline.errors import UserError


@pytest.fixture
def page(smoke_run):
    return html.unescape((smoke_run.output / "index.html").read_text(encoding="utf-8"))


def metrics(smoke_run, name):
    return json.loads((smoke_run.output / "metrics" / f"{name}.json").read_text(encoding="utf-8"))


def test_the_page_shows_the_validation_scores_of_each_model(page, smoke_run):
    validation = metrics(smoke_run, "part2_fashion_mnist")["scores"]["validation"]
    assert len(validation) >= 3
    for scores in validation.values():
        assert f"{scores['accuracy']:.4f}" in page and f"{scores['f1']:.4f}" in page


def test_the_page_shows_the_score_on_the_held_out_images(page, smoke_run):
    assert f"{metrics(smoke_run, 'score')['held_out']['accuracy']:.4f}" in page


def test_the_page_shows_figures(page):
    assert page.count("<figure>") >= 6


def test_the_page_shows_every_claim_of_part_3(page):
    _, _, claims = study.load_experiments()
    assert claims
    assert all(claim["claim"] in page for claim in claims)


def test_the_page_refers_to_nothing_in_the_network(page):
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
