"""The sweep: its tables, what counts as finished, and how it continues after faults. No run is executed."""

import os
import shutil
import time

import distributed
import numpy as np
import pandas as pd
import pytest

from coursework import course_split, files
from pipeline.errors import UserError
from pipeline.experiments import run as experiment_run
from pipeline.experiments.run import DiskFullError
from pipeline.experiments.sweep import SweepStoppedError, read_sweep, run_sweep
from tests.pipeline.experiment_runs import GRID, leave_result, metrics_path, use_reports_in, write_grid


@pytest.fixture(scope="module")
def shared_client():
    """A Dask client with two workers in threads of this process."""
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with `reports/` of its own, and a small data set in place of Fashion-MNIST."""
    use_reports_in(tmp_path, monkeypatch)
    small = {"X_train": np.zeros((2, 28, 28), np.uint8), "y_train": np.arange(2, dtype=np.uint8)}
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda **_: small)
    return tmp_path


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
def finished(sweep, client):
    """The finished sweep of the small grid."""
    first = sweep()
    run_sweep(first, client, leave_result)
    return first


def remove_run_folders():
    shutil.rmtree(experiment_run.RUNS_FOLDER)


# --- Tables ---------------------------------------------------------------------------------------


def test_the_table_has_each_run_of_the_grid(finished):
    table = pd.read_csv(finished.table_path)
    assert list(table["status"]) == ["finished"] * 6
    assert list(table["variant"]) == ["baseline", "no dropout"] * 3
    assert list(table["seed"]) == [1, 1, 2, 2, 3, 3]
    assert list(table["identity"]) == list(finished.runs)


def test_the_table_has_the_parameters_and_the_scores_of_a_run(finished):
    table = pd.read_csv(finished.table_path).set_index("identity")
    for name, run in finished.runs.items():
        scores = leave_result(run, name, finished.data_sha256)["row"]
        assert table.loc[name, "dropout"] == run.parameters["dropout"]
        assert table.loc[name, "validation_f1"] == scores["validation_f1"]
        assert table.loc[name, "multiply_adds"] == 10_000


def test_the_table_of_epochs_has_a_row_for_each_epoch(finished):
    epochs = pd.read_csv(finished.epochs_path)
    assert epochs[["identity", "epoch"]].to_numpy().tolist() == [[name, n] for name in finished.runs for n in (1, 2)]


def test_the_tables_of_an_unfinished_sweep_have_its_missing_runs(sweep):
    first = sweep()
    name, run = next(iter(first.runs.items()))
    leave_result(run, name, first.data_sha256)
    again = sweep()
    again.write()
    table = pd.read_csv(again.table_path)
    assert list(table["status"]) == ["finished"] + ["missing"] * 5
    assert table["validation_f1"].notna().tolist() == [True] + [False] * 5


def test_tables_that_are_up_to_date_keep_their_time(finished):
    os.utime(finished.table_path, (0, 0))
    finished.write()
    assert finished.table_path.stat().st_mtime == 0


# --- Finished runs --------------------------------------------------------------------------------


def test_a_finished_sweep_misses_no_run(finished, sweep):
    assert len(finished.missing()) == 0
    assert sweep().missing() == {}


def test_the_tables_without_the_folders_of_the_runs_are_enough(finished, sweep):
    before = finished.table_path.read_bytes(), finished.epochs_path.read_bytes()
    remove_run_folders()
    again = sweep()
    assert again.missing() == {}
    again.write()
    assert (again.table_path.read_bytes(), again.epochs_path.read_bytes()) == before


def test_a_run_with_an_unknown_processor_time_is_finished(finished, sweep):
    table = pd.read_csv(finished.table_path)
    table.loc[0, "processor_seconds"] = None
    table.to_csv(finished.table_path, index=False)
    remove_run_folders()
    assert sweep().missing() == {}


@pytest.mark.fault("a damaged result of an experiment")
def test_a_damaged_result_is_reported_and_run_again(sweep, capsys):
    first = sweep()
    name, run = next(iter(first.runs.items()))
    leave_result(run, name, first.data_sha256)
    metrics_path(name).write_text("{", encoding="utf-8")
    assert name in sweep().missing()
    assert "baseline, seed 1: its result is damaged and it is run again" in capsys.readouterr().out


@pytest.mark.fault("a damaged result of an experiment")
def test_a_damaged_result_is_not_replaced_by_its_row_in_the_table(finished, sweep):
    name = next(iter(finished.runs))
    metrics_path(name).write_text("{", encoding="utf-8")
    assert list(sweep().missing()) == [name]


@pytest.mark.fault("a damaged result of an experiment")
@pytest.mark.parametrize("value", ["7.5", "abc", ""])
def test_a_damaged_row_of_the_table_is_reported_and_its_run_made_again(finished, sweep, capsys, value):
    table = pd.read_csv(finished.table_path).astype({"validation_f1": object})
    table.loc[1, "validation_f1"] = value
    table.to_csv(finished.table_path, index=False)
    remove_run_folders()
    assert [run.name for run in sweep().missing().values()] == ["no dropout, seed 1"]
    assert "no dropout, seed 1: its row in small.csv is damaged and it is run again" in capsys.readouterr().out


@pytest.mark.fault("a damaged result of an experiment")
def test_a_run_without_all_its_epochs_in_the_table_is_made_again(finished, sweep, capsys):
    pd.read_csv(finished.epochs_path).drop(index=1).to_csv(finished.epochs_path, index=False)
    remove_run_folders()
    assert [run.name for run in sweep().missing().values()] == ["baseline, seed 1"]
    assert "baseline, seed 1: its row in small.csv is damaged and it is run again" in capsys.readouterr().out


@pytest.mark.fault("a damaged result of an experiment")
@pytest.mark.parametrize("text", ["not a table", "", "claim,variant\nx,y\n"])
def test_a_table_that_can_not_be_read_is_written_again(finished, sweep, capsys, text):
    before = finished.table_path.read_bytes()
    finished.table_path.write_text(text, encoding="utf-8")
    again = sweep()
    assert "small.csv can't be read and is written again" in capsys.readouterr().out
    again.write()
    assert again.table_path.read_bytes() == before


def test_a_sweep_refuses_to_drop_finished_runs_that_exist_only_in_the_tables(finished, sweep):
    remove_run_folders()
    before = finished.table_path.read_bytes()
    with pytest.raises(
        UserError,
        match=r"small\.csv holds 2 finished runs whose data, code, packages or parameters differ from today's",
    ):
        sweep(GRID.replace("[1, 2, 3]", "[1, 2]"))
    assert finished.table_path.read_bytes() == before


def test_a_sweep_drops_finished_runs_from_the_tables_if_their_folders_hold_them(finished, sweep):
    fewer = sweep(GRID.replace("[1, 2, 3]", "[1, 2]"))
    fewer.write()
    assert list(pd.read_csv(fewer.table_path)["seed"]) == [1, 1, 2, 2]


def test_a_changed_grid_keeps_the_runs_that_it_still_has(finished, sweep):
    more = sweep(GRID + "      half the dropout: {dropout: 0.5}\n")
    assert {run.variant for run in more.missing().values()} == {"half the dropout"}
    more.write()
    assert pd.read_csv(more.table_path)["status"].value_counts().to_dict() == {"finished": 6, "missing": 3}


def test_a_variant_may_have_the_name_none(sweep, client):
    grid = GRID.replace("no dropout: {", "None: {")
    first = sweep(grid)
    run_sweep(first, client, leave_result)
    remove_run_folders()
    again = sweep(grid)
    assert again.missing() == {}
    before = first.table_path.read_bytes()
    again.write()
    assert again.table_path.read_bytes() == before


# --- The runs of a sweep --------------------------------------------------------------------------


def test_a_sweep_reports_each_run_with_its_score_and_the_time_left(sweep, client, capsys):
    run_sweep(sweep(), client, leave_result)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert len(lines) == 6
    for number, line in enumerate(lines, start=1):
        assert line.startswith(f"[{number}/6] ")
        assert "F1 0." in line
        assert line.endswith(" left")


def test_the_time_left_is_estimated_from_the_finished_runs_and_the_workers(sweep, client, capsys):
    first = sweep(GRID.replace("[1, 2, 3]", "[1]"))
    run_sweep(first, client, leave_result)  # each run took 2.5 s, according to its result
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert lines[0].endswith("about 1 s left")  # 2.5 s on two workers
    assert lines[1].endswith("about 0 s left")


def test_a_sweep_runs_each_missing_run_once(sweep, client, folder):
    def leave_result_and_mark(run, name, data_sha256):
        with (folder / name).open("a") as file:
            file.write("x")
        return leave_result(run, name, data_sha256)

    first = sweep()
    done, run = next(iter(first.runs.items()))
    leave_result(run, done, first.data_sha256)
    again = sweep()
    run_sweep(again, client, leave_result_and_mark)
    assert not (folder / done).exists()
    assert [(folder / name).read_text() for name in again.runs if name != done] == ["x"] * 5


def test_workers_get_equal_numbers_of_runs(sweep, client, folder):
    def work(run, name, data_sha256):
        time.sleep(0.3)
        (folder / name).write_text(distributed.get_worker().address)
        return leave_result(run, name, data_sha256)

    first = sweep()
    run_sweep(first, client, work)
    workers = [(folder / name).read_text() for name in first.runs]
    assert sorted(workers.count(worker) for worker in set(workers)) == [3, 3]


@pytest.mark.fault("an experiment that fails")
def test_a_failing_run_is_tried_twice_and_reported_and_the_others_continue(sweep, client, folder, capsys):
    tries = folder / "tries"

    def work(run, name, data_sha256):
        if run.variant == "no dropout" and run.seed == 2:
            with tries.open("a") as file:
                file.write("x")
            raise UserError("the kernel died")
        return leave_result(run, name, data_sha256)

    first = sweep()
    run_sweep(first, client, work)
    assert tries.read_text() == "xx"
    assert len(first.results) == 5
    assert list(first.failures.values()) == ["the kernel died"]
    assert "no dropout, seed 2: failed twice: the kernel died" in capsys.readouterr().out
    table = pd.read_csv(first.table_path)
    assert table.loc[table["status"] == "failed", ["variant", "seed"]].to_numpy().tolist() == [["no dropout", 2]]


@pytest.mark.fault("an experiment that fails")
def test_a_run_that_fails_once_is_finished(sweep, client, folder):
    def work(run, name, data_sha256):
        mark = folder / name
        if not mark.exists():
            mark.touch()
            raise RuntimeError("bad luck")
        return leave_result(run, name, data_sha256)

    first = sweep()
    run_sweep(first, client, work)
    assert (len(first.results), first.failures) == (6, {})


@pytest.mark.fault("a full disk, while experiments run")
def test_a_full_disk_stops_the_sweep_and_keeps_finished_runs(sweep, client):
    def work(run, name, data_sha256):
        if run.seed > 1:
            raise DiskFullError("the disk is full: [Errno 28] No space left on device")
        return leave_result(run, name, data_sha256)

    first = sweep()
    with pytest.raises(SweepStoppedError, match="the disk is full"):
        run_sweep(first, client, work)
    again = sweep()
    assert {again.runs[name].seed for name in again.results} == {1}


@pytest.mark.fault("a full disk, while experiments run")
def test_a_full_disk_while_the_tables_are_written_stops_the_sweep(sweep, client, monkeypatch):
    def fail(path):
        raise OSError(28, "No space left on device", str(path))

    first = sweep()
    monkeypatch.setattr(files, "replace_when_complete", fail)
    with pytest.raises(SweepStoppedError, match="No space left on device"):
        run_sweep(first, client, leave_result)
