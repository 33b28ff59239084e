"""How the experiments scale: `python -m benchmarks.scaling`, half an hour. Writes `scaling.json` and its page.

It simulates a cluster of up to 500 workers and 10,000 runs: scheduler, client and workers are processes of this
machine, and a worker sleeps for the time of a run and writes files of a run's size. This measures what the sweep adds:
scheduling, result files and tables.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed

from benchmarks import page
from coursework import files, run_record, study
from pipeline.experiments import run as experiment_run
from pipeline.experiments.grid import Run
from pipeline.experiments.sweep import dask_client, read_sweep, run_sweep

CLUSTERS = ((10, 200), (100, 2000), (500, 10_000))
RUN_SECONDS = 20
WORKERS_IN_A_PROCESS = 50
EXECUTED_COPY = 115_000
"""Bytes of the executed notebook of a real run."""
FOLDER_VARIABLE = "SCALING_FOLDER"
"""Environment variable that names the folder of a simulated sweep."""


def write_grid(path: Path, seeds: range, variants: int, baseline: dict[str, Any]) -> Path:
    """Write a grid with this number of variants beside the baseline, and return its path."""
    dropouts = {f"dropout {number}": {"dropout": number / 100} for number in range(variants)}
    claim = {"name": "dropout", "claim": "It matters.", "expect": {"f1": "lower"}, "variants": dropouts}
    path.write_text(json.dumps({"seeds": list(seeds), "baseline": baseline, "claims": [claim]}), encoding="utf-8")
    return path


def sleep_through(run: Run, name: str, data_sha256: str) -> experiment_run.Result:
    """The work of a simulated worker: sleep, and write the files of a run."""
    time.sleep(RUN_SECONDS)
    figures = {"f1": 0.9, "accuracy": 0.9, "accuracy_interval": [0.8, 1.0], "f1_interval": [0.8, 1.0], "images": 7438}
    columns = ("loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1", "learning_rate", "seconds")
    history = {column: [1 / 3] * run.parameters["epochs"] for column in columns}
    scores = {"training": figures, "validation": figures, "parameters": 840_586, "multiply_adds": 15_271_424}
    metrics = {
        "parameters": run.parameters,
        "scores": scores | {"processor_seconds": 1.0, "weights_sha256": "0" * 64},
        "trainings": {"variant": {"best_epoch": 1, "restored_seconds": 0.0, "history": history}},
        "data_sha256": data_sha256,
        "duration_seconds": float(RUN_SECONDS),
        "peak_memory_gib": 0.8,
        "hardware": {"processor": "none"},
        "versions": {"tensorflow": experiment_run.locked_versions("tensorflow")[0]},
    }
    experiment_run.RUNS_FOLDER = Path(os.environ[FOLDER_VARIABLE]) / "experiments"
    folder = experiment_run.RUNS_FOLDER / name
    with files.replace_when_complete(folder / "metrics" / "experiment.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=2), encoding="utf-8")
    with files.replace_when_complete(folder / "experiment.ipynb") as temporary:
        temporary.write_bytes(b" " * EXECUTED_COPY)
    return experiment_run.read_result(run, name, data_sha256)


def sweep_as_client(address: str, grid: Path) -> None:
    """Run a sweep as `make experiments` does, with simulated work, and print its figures as JSON."""
    files.REPORTS_FOLDER = Path(os.environ[FOLDER_VARIABLE])
    experiment_run.RUNS_FOLDER = files.REPORTS_FOLDER / "experiments"
    began = time.perf_counter()
    sweep = read_sweep(grid)
    sweep.write()
    ready = time.perf_counter()
    if count := len(sweep.missing()):
        with dask_client(address, None, None) as client:
            run_sweep(sweep, client, sleep_through)
    figures = {
        "seconds_to_read": ready - began,
        "seconds_to_run": time.perf_counter() - ready,
        "ran": count,
        "finished": len(sweep.results),
        "memory_gib": run_record.peak_memory(),
    }
    print(json.dumps(figures))


@contextlib.contextmanager
def simulated_cluster(workers: int) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start a scheduler and workers as processes; yields the scheduler's address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    environment = os.environ | {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}  # it would sample each process
    settings = {"nthreads": 1, "dashboard": False, "memory_limit": None, "preload": ["benchmarks.scaling"]}
    worker = {"cls": "distributed.Worker", "opts": settings}
    hosts = [
        range(first, min(first + WORKERS_IN_A_PROCESS, workers)) for first in range(0, workers, WORKERS_IN_A_PROCESS)
    ]
    processes: list[subprocess.Popen] = []
    try:
        for arguments in (
            ["dask_scheduler", "--host", address, "--no-dashboard"],
            *(["dask_spec", address, "--spec", json.dumps(dict.fromkeys(map(str, host), worker))] for host in hosts),
        ):
            command = [sys.executable, "-m", f"distributed.cli.{arguments[0]}", *arguments[1:]]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            processes.append(subprocess.Popen(command, cwd=files.ROOT, env=environment, **quiet))
        with distributed.Client(address, timeout=300) as client:
            client.wait_for_workers(workers, timeout=300)
        yield address, processes[0]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def simulate(workers: int, runs: int) -> dict[str, Any]:
    """Run a sweep of this number of runs and workers, then the same sweep again when all its runs are finished."""
    with tempfile.TemporaryDirectory(dir=files.REPORTS_FOLDER, prefix=".scaling.") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        grid = write_grid(Path(folder) / "simulated.yaml", range(runs // 20), 19, {"epochs": 6})
        with simulated_cluster(workers) as (address, scheduler):
            first = _client(address, grid)
            status = Path(f"/proc/{scheduler.pid}/status").read_text(encoding="utf-8")
            memory = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**20
            again = _client(address, grid)
    assert (first["ran"], first["finished"], again["ran"]) == (runs, runs, 0)
    ideal = runs * RUN_SECONDS / workers
    return {
        "workers": workers,
        "runs": runs,
        "seconds": first["seconds_to_run"],
        "ideal_seconds": ideal,
        "seconds_longer": (first["seconds_to_run"] - ideal) * workers / runs,
        "scheduler_memory_gib": memory,
        "client_memory_gib": first["memory_gib"],
        "restart_seconds": again["seconds_to_read"],
    }


def _client(address: str, grid: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scaling", "--client", address, str(grid)]
    result = subprocess.run(command, cwd=files.ROOT, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how the experiments scale.")
    parser.add_argument("--client", nargs=2, metavar=("ADDRESS", "GRID"), help="a simulated sweep, in this process")
    if client := parser.parse_args().client:
        sweep_as_client(client[0], Path(client[1]))
        return
    simulated = []
    for workers, runs in CLUSTERS:
        simulated.append(simulate(workers, runs))
        print(simulated[-1], flush=True)
    results = {"hardware": run_record.environment()["hardware"], "run_seconds": RUN_SECONDS}
    seconds = round(study.load_experiments()[0]["seconds"].median(), 2)
    page.write("scaling", results | {"simulated": simulated, "real_run_seconds": seconds})


if __name__ == "__main__":
    main()
