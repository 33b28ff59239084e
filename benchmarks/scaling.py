"""How the experiments scale: `python -m benchmarks.scaling`, 40 minutes. Writes `benchmarks/scaling.json` and `scaling.md`.

First it runs small real experiments with one and with two workers, in turn. Then it simulates a cluster of up to 500 workers and 10,000
runs: scheduler, client and workers are processes of this machine, and a worker sleeps for the time of a run and writes files of a run's
size. This measures what the sweep adds: scheduling, result files and tables.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.tables import markdown_table
from coursework import files, run_record, study
from pipeline.experiments import run as experiment_run
from pipeline.experiments.grid import Run
from pipeline.experiments.sweep import dask_client, read_sweep, run_sweep

FOLDER = Path(__file__).parent
REAL_GRID = {"share": 0.05, "epochs": 4}
REAL_RUNS, ROUNDS = 4, 3
CLUSTERS = ((10, 200), (100, 2000), (500, 10_000))
RUN_SECONDS = 20
WORKERS_IN_A_PROCESS = 50
EXECUTED_COPY = 115_000
"""Bytes of the executed notebook of a real run."""
FOLDER_VARIABLE = "SCALING_FOLDER"
"""Environment variable that names the folder of a simulated sweep."""


# --- Real runs ------------------------------------------------------------------------------------


def runs_an_hour(workers: int, first_seed: int) -> float:
    """Throughput of a small real sweep, from its first task to its last."""
    with tempfile.TemporaryDirectory() as folder:
        path, seeds = Path(folder) / f"scaling_{os.getpid()}.yaml", range(first_seed, first_seed + REAL_RUNS // 2)
        sweep = read_sweep(write_grid(path, seeds, 1, REAL_GRID))
        try:
            with dask_client(None, None, workers) as client:
                began = time.perf_counter()
                run_sweep(sweep, client)
                seconds = time.perf_counter() - began
        finally:
            for path in (sweep.table_path, sweep.epochs_path):
                path.unlink(missing_ok=True)
            for name in sweep.runs:
                shutil.rmtree(experiment_run.RUNS_FOLDER / name, ignore_errors=True)
    assert len(sweep.results) == REAL_RUNS
    return 3600 * REAL_RUNS / seconds


def write_grid(path: Path, seeds: range, variants: int, baseline: dict[str, Any]) -> Path:
    """Write a grid with this number of variants beside the baseline, and return its path."""
    dropouts = {f"dropout {number}": {"dropout": number / 100} for number in range(variants)}
    claim = {"name": "dropout", "claim": "It matters.", "expect": {"f1": "lower"}, "variants": dropouts}
    path.write_text(json.dumps({"seeds": list(seeds), "baseline": baseline, "claims": [claim]}), encoding="utf-8")
    return path


# --- The simulated cluster ------------------------------------------------------------------------


def sleep_through(run: Run, name: str, data_sha256: str) -> experiment_run.Result:
    """The work of a simulated worker: sleep, and write the files of a run."""
    time.sleep(RUN_SECONDS)
    figures = {"f1": 0.9, "accuracy": 0.9, "accuracy_interval": [0.8, 1.0], "f1_interval": [0.8, 1.0], "images": 7438}
    columns = ("loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1", "learning_rate", "seconds")
    history = {column: [1 / 3] * run.parameters["epochs"] for column in columns}
    metrics = {
        "parameters": run.parameters,
        "scores": {
            "training": figures,
            "validation": figures,
            "parameters": 840_586,
            "multiply_adds": 15_271_424,
            "processor_seconds": 1.0,
            "weights_sha256": "0" * 64,
        },
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


async def host_workers(address: str, count: int) -> None:
    """Host this number of workers in one process until the scheduler ends."""
    import dask
    from distributed import Worker

    dask.config.set({"distributed.worker.profile.enabled": False})  # each worker would sample the whole process
    workers = [Worker(address, nthreads=1, dashboard=False, memory_limit=None) for _ in range(count)]
    await asyncio.gather(*workers)
    await asyncio.gather(*(worker.finished() for worker in workers))


def sweep_as_client(address: str, grid: Path) -> None:
    """Run a sweep as `make experiments` does, with simulated work, and print its figures as JSON."""
    files.REPORTS_FOLDER = Path(os.environ[FOLDER_VARIABLE])
    experiment_run.RUNS_FOLDER = files.REPORTS_FOLDER / "experiments"
    began = time.perf_counter()
    sweep = read_sweep(grid)
    sweep.write()
    ready = time.perf_counter()
    count = len(sweep.missing())
    if count:
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
    quiet = {"cwd": files.ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", address, "--no-dashboard"], **quiet
    )
    hosts = []
    try:
        left = workers
        while left > 0:
            count = min(left, WORKERS_IN_A_PROCESS)
            hosts.append(subprocess.Popen([*_ourselves("workers"), address, str(count)], **quiet))
            left -= count
        _wait_for_workers(address, workers)
        yield address, scheduler
    finally:
        for process in (*hosts, scheduler):
            process.kill()
            process.wait()


def _wait_for_workers(address: str, workers: int) -> None:
    import distributed

    for _ in range(60):
        with contextlib.suppress(OSError, TimeoutError), distributed.Client(address, timeout=5) as client:
            client.wait_for_workers(workers, timeout=300)
            return
        time.sleep(1)
    raise RuntimeError("the simulated cluster did not start within the time limit")


def _ourselves(role: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.scaling", role]


def _peak_memory_of(process: subprocess.Popen) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**20


def simulate(workers: int, runs: int) -> dict[str, Any]:
    """Run a sweep of this number of runs and workers, then the same sweep again when all its runs are finished."""
    with tempfile.TemporaryDirectory(dir=files.REPORTS_FOLDER, prefix=".scaling.") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        grid = write_grid(Path(folder) / "simulated.yaml", range(runs // 20), 19, {"epochs": 6})
        with simulated_cluster(workers) as (address, scheduler):
            first = _client(address, grid)
            memory = _peak_memory_of(scheduler)
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
    command = [*_ourselves("client"), address, str(grid)]
    result = subprocess.run(command, cwd=files.ROOT, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


# --- The page -------------------------------------------------------------------------------------


def page(results: dict[str, Any]) -> str:
    """The page `scaling.md`."""
    hardware, real_seconds = results["hardware"], results["real_run_seconds"]
    one, two = (statistics.median(rates) for rates in results["runs_an_hour"].values())
    real = markdown_table(
        ["workers", "runs per hour, median", "range"],
        [
            [workers, f"{statistics.median(rates):.1f}", f"{min(rates):.1f} to {max(rates):.1f}"]
            for workers, rates in results["runs_an_hour"].items()
        ],
    )
    columns = ["workers", "runs", "duration", "ideal duration", "overhead per run", "share of a real run"]
    simulated = markdown_table(
        [*columns, "memory of the scheduler", "memory of the client", "restart"],
        [
            [
                f"{row['workers']:,}",
                f"{row['runs']:,}",
                f"{row['seconds']:.0f} s",
                f"{row['ideal_seconds']:.0f} s",
                f"{row['seconds_longer']:.2f} s",
                f"{row['seconds_longer'] / real_seconds:.1%}",
                f"{row['scheduler_memory_gib']:.2f} GiB",
                f"{row['client_memory_gib']:.2f} GiB",
                f"{row['restart_seconds']:.1f} s",
            ]
            for row in results["simulated"]
        ],
    )
    return f"""# How the experiments scale

Written by `python -m benchmarks.scaling`, do not edit. {hardware["cores"]} cores ({hardware["processor"]}), {hardware["memory_gib"]} GiB.

## Real runs on this machine

Sweeps of {REAL_RUNS} small runs ({REAL_GRID["epochs"]} epochs on {REAL_GRID["share"]:.0%} of the images), with one worker and with two in turn, {len(results["runs_an_hour"]["1"])} rounds. A run
has one thread. Two workers are {two / one:.2f} times as fast as one.

{real}

## A simulated cluster

A worker sleeps {results["run_seconds"]} s for each run and writes files of a real run's size. Scheduler, client and all workers share this machine's
cores. The ideal duration is the sleep of all runs, divided evenly. The overhead per run is the time that a worker waits beside its run, also
given as a share of the {real_seconds:.0f} s of a real run. The restart is the time in which a finished sweep finds that nothing is left to do.

{simulated}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    roles = parser.add_subparsers(dest="role")
    workers = roles.add_parser("workers", help="host simulated workers (the benchmark calls it)")
    workers.add_argument("address")
    workers.add_argument("count", type=int)
    client = roles.add_parser("client", help="run a simulated sweep (the benchmark calls it)")
    client.add_argument("address")
    client.add_argument("grid", type=Path)
    arguments = parser.parse_args()
    if arguments.role == "workers":
        asyncio.run(host_workers(arguments.address, arguments.count))
        return
    if arguments.role == "client":
        sweep_as_client(arguments.address, arguments.grid)
        return
    results: dict[str, Any] = {"hardware": run_record.environment()["hardware"], "run_seconds": RUN_SECONDS}
    rates: dict[str, list[float]] = {"1": [], "2": []}
    for number in range(ROUNDS):
        for workers_count in (1, 2):
            rates[str(workers_count)].append(runs_an_hour(workers_count, first_seed=100 * number + 10 * workers_count))
            print(rates, flush=True)
    results["runs_an_hour"] = rates
    results["simulated"] = []
    for workers_count, runs in CLUSTERS:
        results["simulated"].append(simulate(workers_count, runs))
        print(results["simulated"][-1], flush=True)
    results["real_run_seconds"] = round(study.load_experiments()[0]["seconds"].median(), 2)
    pages = (("scaling.json", json.dumps(results, indent=2) + "\n"), ("scaling.md", page(results)))
    for name, content in pages:
        with files.replace_when_complete(FOLDER / name) as temporary:
            temporary.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
