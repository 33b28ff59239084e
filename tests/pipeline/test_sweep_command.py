import os
import re
import socket
import sys
import time

import pandas as pd
import pytest

from coursework import course_split, files, study
from pipeline.errors import UserError
from pipeline.experiments import sweep
from pipeline.experiments.grid import read_grid
from pipeline.experiments.run import identity, software_sha256
from tests.pipeline.experiment_runs import GRID, folder, leave_result, write_grid
from tests.running import wait_for

__all__ = ["folder"]  # a fixture


@pytest.fixture
def command(folder, monkeypatch):
    """The command in this process."""
    return lambda *words: monkeypatch.setattr(sys, "argv", ["sweep", *map(str, words)]) or sweep.main()


def test_a_finished_grid_gets_its_tables_without_a_scheduler(command, folder, capsys):
    grid = write_grid(folder)
    first = sweep.read_sweep(grid)
    for name, run in first.runs.items():
        leave_result(run, name, first.data_sha256)
    command("--grid", grid, "--scheduler", "tcp://127.0.0.1:1")
    printed = ["6 runs, 6 of them finished", "6 of 6 runs are finished: reports/small.csv"]
    assert capsys.readouterr().out.splitlines() == printed
    assert list(pd.read_csv(files.REPORTS_FOLDER / "small.csv")["status"]) == ["finished"] * 6
    write_grid(folder, GRID.replace("[1, 2, 3]", "[1, 2, 3, 4]"))  # with two more runs, of which each took 2.5 s
    with pytest.raises(UserError, match="no Dask scheduler answers"):
        command("--grid", grid, "--scheduler", "nonsense://127.0.0.1")
    more = ["8 runs, 6 of them finished", "the others need about 5 s of one core, estimated from the finished ones"]
    assert capsys.readouterr().out.splitlines() == more


def test_failed_runs_make_the_command_fail(command, folder, monkeypatch):
    def fail_first(runs, client):
        runs.failures[next(iter(runs.missing()))] = "the kernel died"

    monkeypatch.setattr(sweep, "run_sweep", fail_first)
    words = r"1 run failed; run the command again .*:\n  - baseline, seed 1: the kernel died"
    with pytest.raises(UserError, match=words):
        command("--grid", write_grid(folder), "--workers", 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--grid", "small.yaml"], r"^small\.yaml, line 8: .*dropout is 5: it should be less than or equal to 2$"),
        (["--grid", "none.yaml"], r"none\.yaml can.t be read: No such file"),
        (["--workers", 0], "--workers is 0: expected at least 1"),
        (["--workers", 2, "--scheduler", "tcp://127.0.0.1:1"], "--workers can't be combined with --scheduler: the"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_runs(command, folder, monkeypatch, arguments, words):
    monkeypatch.chdir(folder)
    write_grid(folder, GRID.replace("dropout: 0", "dropout: 5"))
    with pytest.raises(UserError, match=words):
        command(*arguments)
    assert not files.REPORTS_FOLDER.exists()


def require_refusal(words, *arguments, **options):
    """Require that there is no client with these arguments."""
    with pytest.raises(UserError, match=words), sweep.dask_client(*arguments, **options):
        pass


@pytest.mark.parametrize("address", ["silent", "tcp://127.0.0.1:1", "nonsense://127.0.0.1", "tls://127.0.0.1:1"])
def test_a_scheduler_that_does_not_answer_is_reported_in_time(monkeypatch, address):
    monkeypatch.setattr(sweep, "CONNECTION_TIMEOUT", 1)
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        if address == "silent":
            address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        require_refusal(rf"no Dask scheduler answers at {address} within 1 s", address, None, None)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("address", ["tcp://nowhere.invalid:8786", "nowhere.invalid:8786", None])
def test_a_scheduler_elsewhere_and_slurm_are_refused_without_tls_or_consent(tmp_path, monkeypatch, address):
    monkeypatch.setattr(sweep, "CONNECTION_TIMEOUT", 1)
    monkeypatch.setenv("PATH", "")  # without sbatch
    slurm = tmp_path / "slurm.yaml"
    slurm.write_text("cores: 1\nprocesses: 1\nmemory: 2GiB\n", encoding="utf-8")
    place = (address, None if address else slurm, None)
    require_refusal(r"neither on this machine nor protected by TLS.* or INSECURE=1", *place)
    require_refusal("no Dask scheduler answers" if address else "sbatch was not found", *place, insecure=True)


def test_slurm_jobs_have_the_committed_settings_and_execute_one_run_at_a_time(tmp_path, monkeypatch):
    commands, jobs = tmp_path / "bin", tmp_path / "jobs"
    commands.mkdir()
    jobs.mkdir()
    for name, line in (("sbatch", f'cp "$1" "{jobs}/$$"; echo "job $$"'), ("scancel", "true"), ("squeue", "true")):
        (commands / name).write_text(f"#!/bin/sh\n{line}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    settings = files.ROOT / "pipeline" / "experiments" / "slurm.yaml"
    with sweep.dask_client(None, settings, 2, insecure=True):
        wait_for("two submitted jobs", lambda: len(list(jobs.iterdir())) == 2, limit=20)
    for script in (one.read_text() for one in jobs.iterdir()):
        for option in ("-p normal", "-n 1", "--cpus-per-task=1", "-t 04:00:00"):
            assert f"#SBATCH {option}\n" in script
        assert re.findall(r"--nthreads (\d+)", script)[-1] == "1"


def test_slurm_settings_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "slurm.yaml"
    for text, words in (
        ("queue: normal", ": these settings are not valid for a Slurm cluster"),
        ("cores: 1\njobs: 0", ", line 2: jobs is 0: it should be greater than 0"),
    ):
        path.write_text(text, encoding="utf-8")
        require_refusal(rf"slurm\.yaml{words}", None, path, None, insecure=True)


def test_the_committed_table_is_that_of_the_committed_grid():
    runs, epochs, claims = study.load_experiments()
    data_sha256, software = files.content_hash(course_split.load_fashion_mnist()), software_sha256()
    assert list(runs["identity"]) == [identity(run, data_sha256, software) for run in read_grid()]
    finished = runs[runs["status"] == "finished"]
    assert len(finished) > 0
    assert epochs.groupby("identity").size().to_dict() == finished.set_index("identity")["epochs"].to_dict()
    assert {claim["name"] for claim in claims} | {"baseline"} == set(runs["claim"])
