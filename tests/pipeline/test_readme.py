import re
import subprocess

import pytest

from coursework import files
from pipeline import readme

PAGES = [*(files.ROOT / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md"))]
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
    run = readme.read_run("full")
    run["part1_mnist"]["scores"]["test"]["accuracy"] = 0.12345
    monkeypatch.setattr(readme, "read_run", lambda profile: run)
    assert "0.1235" in readme.with_block(text_of("README.md"), "README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_every_command_that_a_page_names_exists(page):
    text, makefile = page.read_text(encoding="utf-8"), text_of("Makefile")
    links = re.findall(r"\]\(([^)#:]+)[)#]", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    commands = re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, re.MULTILINE)
    assert [command for command in commands if not re.search(rf"^{command}:", makefile, re.MULTILINE)] == []
