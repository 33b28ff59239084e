"""Which steps make repeats after a change, and what it refuses."""

import os
import subprocess

import pytest

from pipeline.parameters import REPORTED_NOTEBOOKS
from tests.running import copy_project, make

PART_2 = ["part2_fashion_mnist"]
ALL = list(REPORTED_NOTEBOOKS)


def test_a_second_make_report_does_nothing(own_run):
    def times():
        return {path: path.stat().st_mtime_ns for path in own_run.output.rglob("[!.]*") if path.is_file()}

    before = times()
    result = make(own_run.project, "report", "submit")
    assert result.returncode == 0, result.stderr
    assert "running" not in result.stdout
    assert times() == before


@pytest.mark.parametrize(
    ("changed", "runs", "pdfs"),
    [
        ("notebooks/part2_fashion_mnist.ipynb", PART_2, PART_2),
        ("reports/experiments.csv", ALL[1:], ALL[1:]),
        ("notebooks/profiles/smoke.yaml", ALL, ALL),
        ("notebooks/profiles/full.yaml", [], []),
        ("handin.yaml", ALL, ALL),
        ("coursework/training.py", ALL, ALL),
        ("notebook_pdf/conversion.py", [], ALL),
        ("pipeline/leaderboard.py", [], []),
    ],
)
def test_a_changed_file_rebuilds_what_depends_on_it(own_run, changed, runs, pdfs):
    os.utime(own_run.project / changed)
    result = make(own_run.project, "--dry-run", "report")
    assert result.returncode == 0, result.stderr
    assert [name for name in ALL if f"run_notebook {name}" in result.stdout] == runs
    assert [name for name in ALL if f"notebook_pdf reports/smoke/{name}.ipynb" in result.stdout] == pdfs


def test_after_make_clean_a_report_starts_from_scratch_and_nothing_else_is_lost(tmp_path):
    project = copy_project(tmp_path / "project")
    for command in (["init", "--quiet", "."], ["add", "--all", "."]):
        subprocess.run(["git", *command], cwd=project, check=True)
    kept = ["reports/experiments/0a/experiment.ipynb", "reports/submissions.csv", "notebooks/profiles/own.yaml"]
    removed = ["checkpoints/lenet5.npz", "models/part2_best.keras", "smoke/part1_mnist.ipynb"]
    removed = [*(f"reports/{name}" for name in removed), "reports/part1_mnist.failed.ipynb", "tests/__pycache__/a.pyc"]
    for name in [*kept, *removed]:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    reports = [project / "reports" / f"{name}.{kind}" for kind in ("ipynb", "pdf") for name in ALL]
    before = {path: path.read_bytes() for path in reports}
    for path in reports:
        path.touch()
    plan = "PROFILE=full", "--dry-run", "report"
    assert "run_notebook" not in make(project, *plan).stdout
    assert make(project, "clean").returncode == 0
    assert [name for name in (*kept, *removed) if (project / name).exists()] == kept
    assert (project / "data" / "mnist").exists() and (project / ".venv").exists()
    assert {path: path.read_bytes() for path in reports} == before
    planned = make(project, *plan).stdout
    assert all(f"run_notebook {name}" in planned for name in ALL)


def test_an_unknown_profile_is_an_error_that_lists_the_profiles(new_project):
    result = make(new_project, "PROFILE=fast", "report")
    assert result.returncode != 0
    assert "there is no profile 'fast': expected one of best full original quick smoke" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("lost", [["models/part2_best.keras"], ["part2_fashion_mnist.ipynb", "submission.csv"]])
def test_make_submit_runs_part_2_once_more_if_its_model_or_notebook_is_lost(own_run, lost):
    for name in {"models/part2_best.keras", *lost}:
        (own_run.output / name).unlink()
    for runs in (1, 0):
        result = make(own_run.project, "submit")
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("== part2_fashion_mnist, profile smoke: running") == runs
