"""The command of the sweep: its arguments, schedulers, Slurm jobs, and two small sweeps of the real notebook."""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from coursework import course_split, files, study
from pipeline.errors import UserError
from pipeline.experiments import sweep
from pipeline.experiments.grid import read_grid
from pipeline.experiments.run import identity, software_sha256
from tests.pipeline.experiment_runs import GRID, leave_result, use_reports_in, write_grid
from tests.running import copy_project, environment, wait_for

# --- Arguments ------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command in this process, with `reports/` in a folder of the test and a small data set."""
    use_reports_in(tmp_path, monkeypatch)
    small = {"X_train": np.zeros((2, 28, 28), np.uint8), "y_train": np.arange(2, dtype=np.uint8)}
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda **_: small)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sweep", *map(str, arguments)])
        sweep.main()

    return run


@pytest.fixture
def finished_grid(command, tmp_path):
    """A grid whose runs are all finished."""
    grid = write_grid(tmp_path)
    first = sweep.read_sweep(grid)
    for name, run in first.runs.items():
        leave_result(run, name, first.data_sha256)
    return grid


def test_a_finished_grid_gets_its_tables_without_a_scheduler(command, finished_grid, capsys):
    command("--grid", finished_grid, "--scheduler", "tcp://127.0.0.1:1")
    assert capsys.readouterr().out.splitlines() == [
        "6 runs, 6 of them finished",
        "6 of 6 runs are finished: reports/small.csv",
    ]
    assert list(pd.read_csv(files.REPORTS_FOLDER / "small.csv")["status"]) == ["finished"] * 6


def test_the_time_that_the_missing_runs_need_is_that_of_the_finished_ones(command, finished_grid, capsys, tmp_path):
    write_grid(tmp_path, GRID.replace("[1, 2, 3]", "[1, 2, 3, 4]"))
    with pytest.raises(UserError, match="no Dask scheduler answers"):
        command("--grid", finished_grid, "--scheduler", "nonsense://127.0.0.1")
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "8 runs, 6 of them finished",
        "the others need about 5 s of one core, estimated from the finished ones",  # two runs of 2.5 s
    ]


def test_failed_runs_make_the_command_fail(command, tmp_path, monkeypatch):
    def fail_first(runs, client):
        runs.failures[next(iter(runs.missing()))] = "the kernel died"

    monkeypatch.setattr(sweep, "run_sweep", fail_first)
    with pytest.raises(
        UserError, match=r"1 run failed; run the command again .*:\n  - baseline, seed 1: the kernel died"
    ):
        command("--grid", write_grid(tmp_path), "--workers", 1)


def test_an_invalid_grid_is_refused_before_anything_runs(command, tmp_path):
    grid = write_grid(tmp_path, GRID.replace("dropout: 0", "dropout: 5"))
    with pytest.raises(UserError, match=r"^small\.yaml, line 8: .*dropout is 5: it should be less than or equal to 2$"):
        command("--grid", grid)
    assert not files.REPORTS_FOLDER.exists()


@pytest.mark.parametrize("workers", ["0", "-1"])
def test_fewer_than_one_worker_are_refused(command, workers):
    with pytest.raises(UserError, match=f"--workers is {workers}: expected at least 1"):
        command("--workers", workers)


@pytest.mark.parametrize("name", ["submission", "submissions", "experiments_epochs"])
def test_a_grid_with_the_name_of_another_table_is_refused(command, tmp_path, name):
    with pytest.raises(UserError, match=rf"reports/{name}\.csv is another file's name"):
        command("--grid", tmp_path / f"{name}.yaml")


def test_an_error_of_the_command_is_a_sentence_and_exit_status_1():
    arguments = ["--scheduler", "tcp://127.0.0.1:1", "--workers", "2"]
    result = subprocess.run(
        [sys.executable, "-m", "pipeline.experiments.sweep", *arguments],
        cwd=files.ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr == "error: --workers can't be combined with --scheduler: the scheduler has its own workers\n"


# --- Schedulers -----------------------------------------------------------------------------------


@pytest.fixture
def server():
    """A server that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def answer_as_a_web_server(server):
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.fault("a scheduler that does not answer")
@pytest.mark.parametrize("address", ["silent", "web", "tcp://127.0.0.1:1", "nonsense://127.0.0.1", "tls://127.0.0.1:1"])
def test_a_scheduler_that_does_not_answer_is_reported_in_time(server, monkeypatch, address):
    if address == "web":
        threading.Thread(target=answer_as_a_web_server, args=[server], daemon=True).start()
    if "://" not in address:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setattr(sweep, "CONNECTION_TIMEOUT", 1)
    began = time.monotonic()
    with (
        pytest.raises(UserError, match=rf"no Dask scheduler answers at {address} within 1 s"),
        sweep.dask_client(address, None, None),
    ):
        pass
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("address", ["tcp://nowhere.invalid:8786", "nowhere.invalid:8786", None])
def test_a_scheduler_elsewhere_and_slurm_are_refused_without_tls_or_consent(tmp_path, monkeypatch, address):
    monkeypatch.setattr(sweep, "CONNECTION_TIMEOUT", 1)
    monkeypatch.setenv("PATH", "")  # without sbatch
    slurm = tmp_path / "slurm.yaml"
    slurm.write_text("cores: 1\nprocesses: 1\nmemory: 2GiB\n", encoding="utf-8")
    refused = pytest.raises(UserError, match=r"neither on this machine nor protected by TLS.* or INSECURE=1")
    with refused, sweep.dask_client(address, None if address else slurm, None):
        pass
    refused = pytest.raises(UserError, match="no Dask scheduler answers" if address else "sbatch was not found")
    with refused, sweep.dask_client(address, None if address else slurm, None, insecure=True):
        pass


# --- Slurm ----------------------------------------------------------------------------------------


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands `sbatch`, which keeps the scripts of its jobs, and `scancel`; the folder of the scripts."""
    commands, jobs = tmp_path / "bin", tmp_path / "jobs"
    commands.mkdir()
    jobs.mkdir()
    scripts = {
        "sbatch": f'cp "$1" "{jobs}/$$"; echo "Submitted batch job $$"',
        "scancel": "true",
        "squeue": "true",
    }
    for name, line in scripts.items():
        path = commands / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return jobs


def submitted(settings, folder, jobs=None):
    """The scripts of the jobs that a cluster with these settings submits."""
    with sweep.dask_client(None, settings, jobs, insecure=True):
        wait_for(f"{jobs or 1} submitted jobs", lambda: len(list(folder.iterdir())) >= (jobs or 1), limit=20)
    return [path.read_text() for path in folder.iterdir()]


def test_the_committed_slurm_settings_make_job_scripts(slurm):
    settings = files.ROOT / "pipeline" / "experiments" / "slurm.yaml"
    scripts = submitted(settings, slurm, jobs=2)
    assert len(scripts) == 2
    for line in ("#SBATCH -p normal", "#SBATCH -n 1", "#SBATCH --cpus-per-task=1", "#SBATCH -t 04:00:00"):
        assert line in scripts[0].splitlines()
    assert "--nthreads 1" in scripts[0]


def test_a_slurm_job_executes_one_run_at_a_time_whatever_its_cores(slurm, tmp_path):
    settings = tmp_path / "slurm.yaml"
    settings.write_text("jobs: 1\ncores: 4\nprocesses: 1\nmemory: 2GiB\n", encoding="utf-8")
    (script,) = submitted(settings, slurm)
    assert re.findall(r"--nthreads (\d+)", script)[-1] == "1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("queue: normal", ": these settings are not valid for a Slurm cluster"),
        ("cores: 1\njobs: 0", ", line 2: jobs is 0: it should be greater than 0"),
        ("cores: 1\njobs: many", ", line 2: jobs is 'many': it should be a valid integer"),
        ("cores: 1\njobs: true", ", line 2: jobs is True: it should be a valid integer"),
    ],
)
def test_slurm_settings_that_do_not_fit_are_refused(tmp_path, text, words):
    path = tmp_path / "slurm.yaml"
    path.write_text(text, encoding="utf-8")
    refused = pytest.raises(UserError, match=rf"slurm\.yaml{words}")
    with refused, sweep.dask_client(None, path, None, insecure=True):
        pass


# --- Real runs ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_real_run_is_the_same_on_one_worker_and_on_two(tmp_path):
    """The tables and the executed notebooks are deleted between the two sweeps."""
    project = tmp_path / "project"
    copy_project(project)
    grid = write_grid(project, GRID.replace("[1, 2, 3]", "[1]").replace("0.01", "0.004"))
    reports, scores = project / "reports", []
    for workers in ("2", "1"):
        result = subprocess.run(
            [sys.executable, "-m", "pipeline.experiments.sweep", "--grid", grid, "--workers", workers],
            cwd=project,
            env=environment(project),
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        assert "2 of 2 runs are finished" in result.stdout
        assert "Dask's dashboard: http://127.0.0.1" in result.stdout
        table = pd.read_csv(reports / "small.csv")
        scores.append(table[["identity", "validation_f1", "validation_accuracy", "training_f1", "weights_sha256"]])
        for path in reports.glob("small*.csv"):
            path.unlink()
        shutil.rmtree(reports / "experiments")
    pd.testing.assert_frame_equal(*scores, check_exact=True)


def test_the_committed_table_is_that_of_the_committed_grid():
    runs, epochs, claims = study.load_experiments()
    data_sha256, software = files.content_hash(course_split.load_fashion_mnist()), software_sha256()
    assert list(runs["identity"]) == [identity(run, data_sha256, software) for run in read_grid()]
    finished = runs[runs["status"] == "finished"]
    assert len(finished) > 0
    assert epochs.groupby("identity").size().to_dict() == finished.set_index("identity")["epochs"].to_dict()
    assert {claim["name"] for claim in claims} | {"baseline"} == set(runs["claim"])
