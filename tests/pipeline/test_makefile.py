"""Which steps make repeats after a change, and what it refuses."""

import os
import subprocess

import pytest

from pipeline.parameters import REPORTED_NOTEBOOKS
from tests.running import copy_project, make


def planned_after_a_change_of(project, name):
    """What `make report` would run if the file were changed now."""
    os.utime(project / name)
    result = make(project, "--dry-run", "report")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_second_make_report_does_nothing(own_run):
    def times():
        return {path: path.stat().st_mtime_ns for path in own_run.output.rglob("[!.]*") if path.is_file()}

    before = times()
    result = make(own_run.project, "report", "submit")
    assert result.returncode == 0, result.stderr
    assert "running" not in result.stdout
    assert times() == before


def test_a_changed_part_2_rebuilds_only_part_2(own_run):
    planned = planned_after_a_change_of(own_run.project, "notebooks/part2_fashion_mnist.ipynb")
    assert "run_notebook part2_fashion_mnist" in planned
    assert "notebook_pdf reports/smoke/part2_fashion_mnist.ipynb" in planned
    assert "run_notebook part1_mnist" not in planned
    assert "notebook_pdf reports/smoke/part1_mnist.ipynb" not in planned


@pytest.mark.parametrize(
    ("changed", "rebuilt"),
    [
        ("reports/experiments.csv", ["part2_fashion_mnist", "part3_experiments"]),
        ("notebooks/profiles/smoke.yaml", list(REPORTED_NOTEBOOKS)),
        ("notebooks/profiles/full.yaml", []),
        ("handin.yaml", list(REPORTED_NOTEBOOKS)),
        ("coursework/training.py", list(REPORTED_NOTEBOOKS)),
        ("pipeline/leaderboard.py", []),
    ],
)
def test_a_changed_file_rebuilds_the_notebooks_that_depend_on_it(own_run, changed, rebuilt):
    planned = planned_after_a_change_of(own_run.project, changed)
    assert [name for name in REPORTED_NOTEBOOKS if f"run_notebook {name}" in planned] == rebuilt


def test_a_changed_exporter_rebuilds_the_pdfs_alone(own_run):
    planned = planned_after_a_change_of(own_run.project, "notebook_pdf/conversion.py")
    assert "run_notebook" not in planned
    assert all(f"notebook_pdf reports/smoke/{name}.ipynb" in planned for name in REPORTED_NOTEBOOKS)


def test_after_make_clean_a_report_starts_from_scratch_and_nothing_else_is_lost(tmp_path):
    project = copy_project(tmp_path / "project")
    subprocess.run(["git", "init", "--quiet", "."], cwd=project, check=True)
    subprocess.run(["git", "add", "--all", "."], cwd=project, check=True)
    finished = ["reports/experiments/0a/experiment.ipynb", "reports/submissions.csv", "notebooks/profiles/own.yaml"]
    leftovers = [
        "checkpoints/lenet5.npz",
        "models/part2_best.keras",
        "smoke/part1_mnist.ipynb",
        "part1_mnist.failed.ipynb",
    ]
    for name in [*finished, *(f"reports/{name}" for name in leftovers), "tests/__pycache__/a.pyc"]:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    reports = [project / "reports" / f"{name}.{kind}" for kind in ("ipynb", "pdf") for name in REPORTED_NOTEBOOKS]
    before = {path: path.read_bytes() for path in reports}
    for path in reports:
        path.touch()
    plan = "PROFILE=full", "--dry-run", "report"
    assert "run_notebook" not in make(project, *plan).stdout
    assert make(project, "clean").returncode == 0
    assert [name for name in finished if not (project / name).exists()] == []
    assert [name for name in leftovers if (project / "reports" / name).exists()] == []
    assert not (project / "tests" / "__pycache__").exists()
    assert (project / "data" / "mnist").exists() and (project / ".venv").exists()
    assert {path: path.read_bytes() for path in reports} == before
    planned = make(project, *plan).stdout
    assert all(f"run_notebook {name}" in planned for name in REPORTED_NOTEBOOKS)


def test_an_unknown_profile_is_an_error_that_lists_the_profiles(new_project):
    result = make(new_project, "PROFILE=fast", "report")
    assert result.returncode != 0
    assert "there is no profile 'fast': expected one of best full original quick smoke" in result.stderr
    assert not (new_project / "reports" / "fast").exists()


def runs_of_part_2(result):
    assert result.returncode == 0, result.stderr
    return result.stdout.count("== part2_fashion_mnist, profile smoke: running")


@pytest.mark.slow
def test_make_submit_alone_runs_part_2_once(own_run):
    for name in ("part2_fashion_mnist.ipynb", "models/part2_best.keras", "submission.csv"):
        (own_run.output / name).unlink()
    assert runs_of_part_2(make(own_run.project, "submit")) == 1


@pytest.mark.slow
@pytest.mark.fault("a model that was deleted")
def test_make_submit_runs_part_2_once_more_if_its_model_is_lost(own_run):
    (own_run.output / "models" / "part2_best.keras").unlink()
    assert runs_of_part_2(make(own_run.project, "submit")) == 1
    assert runs_of_part_2(make(own_run.project, "submit")) == 0
