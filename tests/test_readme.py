import re
import subprocess

import pytest

import utilities
from pipeline import readme
from pipeline.errors import UserError

TEXT = readme.README.read_text(encoding="utf-8")


def test_the_results_table_is_current():
    sources = ["reports/metrics", "reports/experiments.csv"]
    if subprocess.run(["git", "diff", "--quiet", "HEAD", "--", *sources], cwd=utilities.ROOT).returncode == 1:
        pytest.skip("reports/ holds runs of your own: `make readme` shows their figures in the README")
    assert readme.readme_with_results(TEXT) == TEXT, "run `make readme`"


def test_a_changed_result_changes_the_table(monkeypatch):
    original = readme._read_run

    def changed(profile):
        run = original(profile)
        run["part1_mnist"]["scores"]["test"]["accuracy"] = 0.12345
        return run

    monkeypatch.setattr(readme, "_read_run", changed)
    assert "0.1235" in readme.readme_with_results(TEXT)


def test_a_readme_without_the_marks_is_refused():
    with pytest.raises(UserError, match="has lost the marks"):
        readme.readme_with_results("# Title\n")


def test_every_file_and_command_the_readme_names_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (utilities.ROOT / target).exists(), target
    makefile = (utilities.ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"`make ([a-z]+)", TEXT):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command
