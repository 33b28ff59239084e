"""The sweep: its tables, what counts as finished, and how it continues after faults. No run is executed."""

import os
import re
import shutil
import time

import distributed
import pandas as pd
import pytest

from pipeline.errors import UserError
from pipeline.experiments import run as experiment_run
from pipeline.experiments.run import DiskFullError
from pipeline.experiments.sweep import read_sweep, run_sweep
from tests.pipeline.experiment_runs import GRID, folder, leave_result, metrics_path, write_grid

__all__ = ["folder"]  # a fixture


@pytest.fixture(scope="module")
def shared_client():
    """A Dask client with two workers in threads of this process."""
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def client(shared_client, folder):
    """The client; the test ends when its last run has ended, so that no run writes to the project's own `reports/`."""
    yield shared_client
    workers = shared_client.nthreads()
    shared_client.gather([shared_client.submit(time.time, workers=[worker], pure=False) for worker in workers])


@pytest.fixture
def sweep(folder):
    """Reads the small grid with the results that exist."""
    return lambda text=GRID: read_sweep(write_grid(folder, text))


@pytest.fixture
def finished(sweep):
    """The finished sweep of the small grid, in the tables and in the folders of its runs."""
    first = sweep()
    for name, run in first.runs.items():
        first.results[name] = leave_result(run, name, first.data_sha256)
    first.write()
    return first


def contents(sweep):
    return sweep.table_path.read_bytes(), sweep.epochs_path.read_bytes()


def test_the_tables_have_each_run_with_its_parameters_scores_and_epochs(finished):
    table, epochs = (pd.read_csv(path) for path in (finished.table_path, finished.epochs_path))
    assert list(table["status"]) == ["finished"] * 6
    assert list(table["variant"]) == ["baseline", "no dropout"] * 3
    assert list(table["seed"]) == [1, 1, 2, 2, 3, 3]
    assert list(table["identity"]) == list(finished.runs)
    assert list(table["dropout"]) == [run.parameters["dropout"] for run in finished.runs.values()]
    assert list(table["validation_f1"]) == [one["row"]["validation_f1"] for one in finished.results.values()]
    assert epochs[["identity", "epoch"]].to_numpy().tolist() == [[name, n] for name in finished.runs for n in (1, 2)]
    os.utime(finished.table_path, (0, 0))
    finished.write()
    assert finished.table_path.stat().st_mtime == 0  # it is up to date


@pytest.mark.parametrize("grid", [GRID, GRID.replace("no dropout: {", "None: {")], ids=["", "a variant None"])
def test_the_tables_without_the_folders_of_the_runs_are_enough(sweep, client, grid):
    first = sweep(grid)
    run_sweep(first, client, leave_result)
    next(iter(first.results.values()))["row"]["processor_seconds"] = None  # as of a resumed run
    first.write()
    before = contents(first)
    shutil.rmtree(experiment_run.RUNS_FOLDER)
    again = sweep(grid)
    assert again.missing() == {}
    again.write()
    assert contents(again) == before


def test_a_damaged_result_is_reported_and_run_again_whatever_the_table_has(finished, sweep, capsys):
    name = next(iter(finished.runs))
    metrics_path(name).write_text("{", encoding="utf-8")
    assert list(sweep().missing()) == [name]
    assert "baseline, seed 1: its result is damaged and it is run again" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["7.5", "abc", None])
def test_a_damaged_row_of_the_tables_is_reported_and_its_run_made_again(finished, sweep, capsys, value):
    if value is None:
        pd.read_csv(finished.epochs_path).drop(index=2).to_csv(finished.epochs_path, index=False)
    else:
        table = pd.read_csv(finished.table_path).astype({"validation_f1": object})
        table.loc[1, "validation_f1"] = value
        table.to_csv(finished.table_path, index=False)
    shutil.rmtree(experiment_run.RUNS_FOLDER)
    assert [run.name for run in sweep().missing().values()] == ["no dropout, seed 1"]
    assert "no dropout, seed 1: its row in small.csv is damaged and it is run again" in capsys.readouterr().out


def test_a_table_that_can_not_be_read_is_written_again(finished, sweep, capsys):
    before = contents(finished)
    finished.table_path.write_text("not a table", encoding="utf-8")
    again = sweep()
    assert "small.csv can't be read and is written again" in capsys.readouterr().out
    again.write()
    assert contents(again) == before


def test_a_sweep_drops_finished_runs_from_the_tables_only_if_their_folders_hold_them(finished, sweep):
    before, fewer = contents(finished), GRID.replace("[1, 2, 3]", "[1, 2]")
    sweep(fewer).write()
    assert list(pd.read_csv(finished.table_path)["seed"]) == [1, 1, 2, 2]
    finished.write()
    shutil.rmtree(experiment_run.RUNS_FOLDER)
    words = r"small\.csv holds 2 finished runs whose data, code, packages or parameters differ from today's"
    with pytest.raises(UserError, match=words):
        sweep(fewer)
    assert contents(finished) == before


def test_a_changed_grid_keeps_the_runs_that_it_still_has(finished, sweep):
    more = sweep(GRID + "      half the dropout: {dropout: 0.5}\n")
    assert {run.variant for run in more.missing().values()} == {"half the dropout"}
    more.write()
    assert pd.read_csv(more.table_path)["status"].value_counts().to_dict() == {"finished": 6, "missing": 3}


def test_a_sweep_runs_each_missing_run_and_reports_its_score_and_the_time_left(sweep, client, capsys):
    first = sweep()
    for name in list(first.runs)[:2]:
        leave_result(first.runs[name], name, first.data_sha256)
    run_sweep(sweep(), client, leave_result)  # each run took 2.5 s, according to its result, on one of two workers
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert [line[:6] for line in lines] == [f"[{number}/4] " for number in range(1, 5)]
    assert all(re.search(r"seed [23]: F1 0\.\d{4}", line) for line in lines)
    assert lines[0].endswith("about 4 s left") and lines[-1].endswith("about 0 s left")


def test_a_failing_run_is_tried_twice_and_reported_and_the_others_continue(sweep, client, folder, capsys):
    def work(run, name, data_sha256):
        with (folder / run.name).open("a") as tries:
            tries.write("x")
        if run.name == "no dropout, seed 2" or (folder / run.name).read_text() == "x":
            raise UserError("the kernel died")
        return leave_result(run, name, data_sha256)

    first = sweep()
    run_sweep(first, client, work)
    assert {(folder / run.name).read_text() for run in first.runs.values()} == {"xx"}
    assert (len(first.results), list(first.failures.values())) == (5, ["the kernel died"])
    assert "no dropout, seed 2: failed twice: the kernel died" in capsys.readouterr().out
    table = pd.read_csv(first.table_path)
    assert table.loc[table["status"] == "failed", ["variant", "seed"]].to_numpy().tolist() == [["no dropout", 2]]


def test_a_full_disk_stops_the_sweep_and_keeps_finished_runs(sweep, client):
    def work(run, name, data_sha256):
        if run.seed > 1:
            raise DiskFullError("the disk is full: [Errno 28] No space left on device")
        return leave_result(run, name, data_sha256)

    with pytest.raises(DiskFullError, match="the disk is full"):
        run_sweep(sweep(), client, work)
    again = sweep()
    assert {again.runs[name].seed for name in again.results} == {1}
