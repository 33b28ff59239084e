"""The generated blocks of the pages are current, and the pages name what exists."""

import re
import subprocess

import pytest

from coursework import files
from pipeline import readme
from pipeline.errors import UserError

PAGES = [files.ROOT / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md")]
PAGES += sorted((files.ROOT / "docs").glob("*.md"))


def text_of(page):
    return (files.ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", readme.BLOCKS)
def test_the_generated_block_of_a_page_is_current(page):
    sources = ["reports/metrics", "reports/experiments.csv"]
    if subprocess.run(["git", "diff", "--quiet", "HEAD", "--", *sources], cwd=files.ROOT).returncode == 1:
        pytest.skip("reports/ holds runs of your own: `make readme` writes their results into the pages")
    assert readme.with_block(text_of(page), page) == text_of(page), "run `make readme`"


def test_a_changed_result_changes_the_table(monkeypatch):
    original = readme.read_run

    def changed(profile):
        run = original(profile)
        run["part1_mnist"]["scores"]["test"]["accuracy"] = 0.12345
        return run

    monkeypatch.setattr(readme, "read_run", changed)
    assert "0.1235" in readme.with_block(text_of("README.md"), "README.md")


@pytest.mark.parametrize("page", readme.BLOCKS)
def test_a_page_without_its_marks_is_rejected(page):
    with pytest.raises(UserError, match=f"{page} lacks the marks"):
        readme.with_block("# Title\n", page)


def test_the_readme_stays_short():
    text = text_of("README.md")
    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 1200


each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_every_link_to_a_file_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)[)#]", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@each_page
def test_every_command_that_a_page_names_exists(page):
    makefile = text_of("Makefile")
    for command in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command
