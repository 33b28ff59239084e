"""A small real sweep whose worker, client and scheduler are killed ends with the table of an undisturbed one."""

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

from tests.running import MARK, TIME_LIMIT, copy_project, environment, kernels, stop, wait_for

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
DASK = str(Path(sys.executable).with_name("dask"))

pytestmark = [pytest.mark.slow, pytest.mark.fault]


class Sweep:
    """The small grid in a copy of the project: its processes, its runs and its tables."""

    def __init__(self, project: Path):
        self.project, self.reports = project, project / "reports"
        self.grid = project / "kills.yaml"
        self.grid.write_text(GRID, encoding="utf-8")
        self.processes = []

    def start(self, *command: object) -> tuple[subprocess.Popen, Path]:
        """Start a command in the copy, and return its process and its log."""
        log = self.project.parent / f"{len(self.processes)}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.project,
                env=environment(self.project) | {MARK: MARKED},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process, log

    def start_client(self, *arguments: str) -> tuple[subprocess.Popen, Path]:
        return self.start(sys.executable, "-m", "pipeline.experiments.sweep", "--grid", self.grid, *arguments)

    def finish_undisturbed(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Run the whole grid on this machine, and return its scores; nothing is left but the grid."""
        client, log = self.start_client("--workers", "2")
        assert client.wait(TIME_LIMIT) == 0, log.read_text()
        scores = self.scores()
        shutil.rmtree(self.reports / "experiments")
        for path in self.reports.glob("kills*.csv"):
            path.unlink()
        return scores

    def has_checkpoint(self) -> bool:
        return any((self.reports / "experiments").glob("*/checkpoints/experiment.npz"))

    def scores(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Both tables without what depends on time and place."""
        table = pd.read_csv(self.reports / "kills.csv")
        assert list(table["status"]) == ["finished"] * 3
        epochs = pd.read_csv(self.reports / "kills_epochs.csv")
        return table.drop(columns=["seconds", "processor_seconds", "peak_memory_gib"]), epochs


@pytest.fixture
def sweep(tmp_path):
    sweep = Sweep(copy_project(tmp_path / "project"))
    yield sweep
    for process in sweep.processes:
        stop(process)


def worker_process(nanny: subprocess.Popen) -> psutil.Process:
    """The process that works, below Dask's nanny, which would restart it."""
    children = psutil.Process(nanny.pid).children(recursive=True)
    (worker,) = (child for child in children if "spawn_main" in " ".join(child.cmdline()))
    return worker


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_killed_scheduler_worker_and_client_change_no_score(sweep, record_property):
    expected = sweep.finish_undisturbed()

    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    scheduler, _ = sweep.start(DASK, "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    workers = [sweep.start(DASK, "worker", address, "--nthreads", 1, "--no-dashboard")[0] for _ in range(2)]

    client, _ = sweep.start_client("--scheduler", address)
    wait_for("checkpoint", sweep.has_checkpoint)
    record_property("fault", "a worker of the experiments killed")
    worker_process(workers[0]).send_signal(signal.SIGKILL)

    wait_for("end of the kernel of the killed worker", lambda: len(kernels(MARKED)) < 2)
    record_property("fault", "the client of the experiments killed")
    client.send_signal(signal.SIGKILL)
    client.wait()

    client, log = sweep.start_client("--scheduler", address)
    wait_for("connected client", lambda: "dashboard" in log.read_text())
    assert "written again" not in log.read_text()
    record_property("fault", "the scheduler of the experiments killed")
    stop(scheduler)
    assert client.wait(TIME_LIMIT) == 1, log.read_text()
    assert "error: the connection to Dask's scheduler is lost" in log.read_text()
    assert "Traceback" not in log.read_text()

    for worker in workers:
        stop(worker)
    wait_for("end of the kernels without a worker", lambda: not kernels(MARKED))
    client, log = sweep.start_client("--workers", "1")
    assert client.wait(TIME_LIMIT) == 0, log.read_text()
    for table, undisturbed_table in zip(sweep.scores(), expected, strict=True):
        pd.testing.assert_frame_equal(table, undisturbed_table, check_exact=True)
