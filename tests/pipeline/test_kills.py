"""A small real sweep whose worker, client and scheduler are killed ends with the table of an undisturbed one.

The one works with two workers, the other ends with one.
"""

import shutil
import socket
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.running import TIME_LIMIT, copy_project, environment, kernels, stop, wait_for

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
DASK = Path(sys.executable).with_name("dask")

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path):
    folder = copy_project(tmp_path / "project")
    (folder / "kills.yaml").write_text(GRID, encoding="utf-8")
    return folder


def scores(reports):
    """Both tables without what depends on time and place."""
    table = pd.read_csv(reports / "kills.csv")
    assert list(table["status"]) == ["finished"] * 3
    measured = ["seconds", "processor_seconds", "peak_memory_gib"]
    return table.drop(columns=measured), pd.read_csv(reports / "kills_epochs.csv")


def worker_process(nanny):
    """The process that works, below Dask's nanny, which would restart it."""
    children = psutil.Process(nanny.pid).children(recursive=True)
    (worker,) = (child for child in children if "spawn_main" in " ".join(child.cmdline()))
    return worker


def test_killed_scheduler_worker_and_client_change_no_score(project, start):
    def start_here(*command):
        return start(project, environment(project), *command)

    def start_client(*arguments):
        return start_here(sys.executable, "-m", "pipeline.experiments.sweep", "--grid", "kills.yaml", *arguments)

    reports = project / "reports"
    client, log = start_client("--workers", 2)
    assert client.wait(TIME_LIMIT) == 0, log.read_text()
    assert "Dask's dashboard: http://127.0.0.1" in log.read_text()
    expected = scores(reports)
    shutil.rmtree(reports / "experiments")
    for path in reports.glob("kills*.csv"):
        path.unlink()

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    scheduler, _ = start_here(DASK, "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    workers = [start_here(DASK, "worker", address, "--nthreads", 1, "--no-dashboard")[0] for _ in range(2)]
    client, _ = start_client("--scheduler", address)
    wait_for("checkpoint", lambda: any((reports / "experiments").glob("*/checkpoints/experiment.npz")))
    worker_process(workers[0]).kill()
    wait_for("end of the kernel of the killed worker", lambda: len(kernels()) < 2)
    client.kill()
    client.wait()

    client, log = start_client("--scheduler", address)
    wait_for("connected client", lambda: "dashboard" in log.read_text())
    assert "written again" not in log.read_text()
    stop(scheduler)
    assert client.wait(TIME_LIMIT) == 1, log.read_text()
    assert "error: the connection to Dask's scheduler is lost" in log.read_text()
    assert "Traceback" not in log.read_text()

    for worker in workers:
        stop(worker)
    wait_for("end of the kernels without a worker", lambda: not kernels())
    client, log = start_client("--workers", 1)
    assert client.wait(TIME_LIMIT) == 0, log.read_text()
    for table, undisturbed_table in zip(scores(reports), expected, strict=True):
        pd.testing.assert_frame_equal(table, undisturbed_table, check_exact=True)
