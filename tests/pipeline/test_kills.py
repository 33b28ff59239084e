"""A small real sweep whose worker, client and scheduler are killed in turn ends with the table of an undisturbed one."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest
from tests.running import MARK, TIME_LIMIT, kernels, stop, wait_for

from coursework import files
from pipeline.experiments.run import RUNS_FOLDER

GRID = """\
seeds: [1]
baseline: {share: 0.004, epochs: 10}
claims:
  - name: changes
    claim: They change something.
    expect: {f1: lower}
    variants:
      rotation and noise: {rotation: 10, noise: 0.1}
      no dropout: {dropout: 0}
"""
MARKED = str(os.getpid())
DASK = [str(Path(sys.executable).with_name("dask"))]

pytestmark = [pytest.mark.slow, pytest.mark.fault]


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """The grid, the place of its table, and a way to start the sweep; nothing of it is left in `reports/`."""
    grid = tmp_path / f"kills_{os.getpid()}.yaml"
    grid.write_text(GRID, encoding="utf-8")
    monkeypatch.setenv(MARK, MARKED)
    started = []

    class Sweep:
        table = files.REPORTS_FOLDER / f"{grid.stem}.csv"

        def start(self, *arguments):
            command = [sys.executable, "-m", "pipeline.experiments", "--grid", str(grid), *arguments]
            log = tmp_path / f"{len(started)}.log"
            with log.open("w") as output:
                started.append(subprocess.Popen(command, cwd=files.ROOT, stdout=output, stderr=subprocess.STDOUT))
            return started[-1], log

        def runs(self):
            return list(pd.read_csv(self.table)["identity"])

        def scores(self):
            """Both tables, without what depends on time and place."""
            table = pd.read_csv(self.table)
            assert list(table["status"]) == ["finished"] * 3
            epochs = pd.read_csv(self.table.with_stem(f"{self.table.stem}_epochs"))
            return table.drop(columns=["seconds", "processor_seconds", "peak_memory_gib"]), epochs

        def forget(self):
            for name in self.runs():
                shutil.rmtree(RUNS_FOLDER / name, ignore_errors=True)
            for path in files.REPORTS_FOLDER.glob(f"{grid.stem}*.csv"):
                path.unlink()

    sweep = Sweep()
    yield sweep
    for process in started:
        stop(process)
    sweep.forget()


@pytest.fixture
def dask_process():
    """Starts Dask's own commands: a scheduler, a worker."""
    started = []

    def start(*arguments):
        command = [*DASK, *map(str, arguments)]
        started.append(
            subprocess.Popen(command, cwd=files.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        return started[-1]

    yield start
    for process in started:
        stop(process)


def children(process):
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def checkpoints(sweep):
    return [name for name in sweep.runs() if (RUNS_FOLDER / name / "checkpoints" / "experiment.npz").exists()]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_killed_scheduler_worker_and_client_change_no_score(sweep, dask_process, record_property):
    """An undisturbed sweep; then one whose worker, client and scheduler are killed, each while runs go on."""
    undisturbed, log = sweep.start("--workers", "2")
    assert undisturbed.wait(TIME_LIMIT) == 0, log.read_text()
    expected = sweep.scores()
    sweep.forget()

    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = dask_process("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    workers = [dask_process("worker", address, "--nthreads", 1, "--no-dashboard") for _ in range(2)]

    client, _ = sweep.start("--scheduler", address)
    wait_for("a first epoch", lambda: sweep.table.exists() and checkpoints(sweep))
    (killed,) = (one for one in children(workers[0]) if "spawn_main" in " ".join(one.cmdline()))  # below Dask's nanny
    record_property("fault", "a worker of the experiments killed")
    killed.send_signal(signal.SIGKILL)

    wait_for("the kernel of the killed worker to end", lambda: len(kernels(MARKED)) < 2)
    record_property("fault", "the client of the experiments killed")
    client.send_signal(signal.SIGKILL)
    client.wait()

    client, log = sweep.start("--scheduler", address)
    wait_for("the client to be connected", lambda: "dashboard" in log.read_text())
    assert "made again" not in log.read_text()
    record_property("fault", "the scheduler of the experiments killed")
    stop(scheduler)
    assert client.wait(TIME_LIMIT) == 1, log.read_text()
    assert "error: the connection to Dask's scheduler is lost" in log.read_text()
    assert "Traceback" not in log.read_text()
    for one in workers:
        stop(one)
    wait_for("kernels without a worker to end", lambda: not kernels(MARKED))
    last, log = sweep.start("--workers", "1")
    assert last.wait(TIME_LIMIT) == 0, log.read_text()
    for table, undisturbed_table in zip(sweep.scores(), expected, strict=True):
        pd.testing.assert_frame_equal(table, undisturbed_table, check_exact=True)
