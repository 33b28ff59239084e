"""The sweep: all runs of a grid as Dask tasks, on this machine or a cluster: `python -m pipeline.experiments.sweep`."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pydantic

from coursework import course_split, files
from coursework.study import read_table
from coursework.text import format_duration, pluralize
from pipeline.errors import UserError, run_command
from pipeline.experiments.grid import GRID_FILE, Run, read_grid
from pipeline.experiments.run import (
    DamagedResultError,
    DiskFullError,
    Epoch,
    Result,
    check_result,
    execute,
    identity,
    is_executed,
    read_result,
    software_sha256,
)
from pipeline.settings import YamlFile

CONNECTION_TIMEOUT = 10
"""Seconds a scheduler may take to answer."""
MEMORY_OF_A_RUN = 1.5
"""Maximum memory in GiB of a worker and the kernel of its run."""
WHOLE_NUMBERS = ("best_epoch", "model_parameters", "multiply_adds")
"""Columns of the table that are not decimal numbers and may be missing."""
SECONDS_BETWEEN_TABLES = 5
"""Minimum time between two updates of the tables; they are also written at the end."""


# --- Finished runs --------------------------------------------------------------------------------


@dataclasses.dataclass
class Sweep:
    """The runs of a grid by identity, with their results and failures."""

    grid: Path
    data_sha256: str
    runs: dict[str, Run]
    results: dict[str, Result] = dataclasses.field(default_factory=dict)
    failures: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def table_path(self) -> Path:
        return files.REPORTS_FOLDER / f"{self.grid.stem}.csv"

    @property
    def epochs_path(self) -> Path:
        return files.REPORTS_FOLDER / f"{self.grid.stem}_epochs.csv"

    def missing(self) -> dict[str, Run]:
        return {name: run for name, run in self.runs.items() if name not in self.results}

    def table(self) -> pd.DataFrame:
        """One row per run: claim, variant, budget, seed, status, parameters, and the figures of finished runs."""
        rows = []
        for key, run in self.runs.items():
            status = "finished" if key in self.results else "failed" if key in self.failures else "missing"
            about = {"claim": run.claim, "variant": run.variant, "budget": run.budget, "seed": run.seed}
            figures = self.results[key]["row"] if key in self.results else {}
            # The seed among the parameters is that of `about`.
            rows.append(about | {"identity": key, "status": status} | run.parameters | figures)
        table = pd.DataFrame(rows)
        return table.astype({name: "Int64" for name in WHOLE_NUMBERS if name in table})

    def write(self) -> None:
        """Write both tables atomically; a table that is up to date keeps its time, which make compares."""
        finished = [key for key in self.runs if key in self.results]
        rows = [{"identity": key} | row for key in finished for row in self.results[key]["epochs"]]
        epochs = pd.DataFrame(rows, columns=["identity", *Epoch.model_fields])
        for path, table in ((self.table_path, self.table()), (self.epochs_path, epochs)):
            text = table.to_csv(index=False, lineterminator="\n").encode()
            if not (path.exists() and path.read_bytes() == text):
                with files.replace_when_complete(path) as temporary:
                    temporary.write_bytes(text)


def read_sweep(grid: Path) -> Sweep:
    """Read a grid with the existing results of its runs, from the runs' folders or the tables.

    A damaged result is reported, and its run counts as missing. A UserError says if the tables hold finished runs that
    are not part of the sweep and exist nowhere else.
    """
    runs, software = read_grid(grid), software_sha256()
    data_sha256 = files.content_hash(course_split.load_fashion_mnist(verbose=1))
    sweep = Sweep(grid, data_sha256, {identity(run, data_sha256, software): run for run in runs})
    table_name = sweep.table_path.name
    rows, curves = _finished_rows(sweep)
    if orphaned_runs := [key for key in rows if key not in sweep.runs and not is_executed(str(key))]:
        raise UserError(
            f"reports/{table_name} holds {pluralize(len(orphaned_runs), 'finished run')} whose data, code, packages or "
            f"parameters differ from today's {grid.name}, and which exist nowhere else: restore what has changed, or "
            f"move {table_name} and {sweep.epochs_path.name} away to start from scratch"
        )
    for key, run in sweep.runs.items():
        place = "result"
        try:
            result = read_result(run, key, data_sha256)
            if result is None and key in rows:
                place = f"row in {table_name}"
                result = check_result(run, rows[key], curves.get(key, []))
            if result is not None:
                sweep.results[key] = result
        except DamagedResultError as error:
            print(f"{run.name}: its {place} is damaged and it is run again ({error})", flush=True)
    return sweep


def _finished_rows(sweep: Sweep) -> tuple[dict[str, dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """Row and epochs of each finished run in the sweep's tables, by identity; empty if they can't be read."""
    if not (sweep.table_path.exists() and sweep.epochs_path.exists()):
        return {}, {}
    try:
        table, epochs = read_table(sweep.table_path), read_table(sweep.epochs_path)
        rows = {row["identity"]: row for row in table[table["status"] == "finished"].to_dict("records")}
        curves = {key: curve.to_dict("records") for key, curve in epochs.groupby("identity")}
    except (ValueError, KeyError) as error:
        print(f"{sweep.table_path.name} can't be read and is written again ({error})", flush=True)
        return {}, {}
    return rows, curves


# --- Schedulers and workers -----------------------------------------------------------------------


def workers_with_room() -> int:
    """Number of runs that fit on this machine at once: one per core, limited by memory."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return max(1, min(CPU_COUNT, int(MEMORY_LIMIT / 2**30 / MEMORY_OF_A_RUN)))


def _require_trust(place: str, trusted: bool) -> None:
    """Raise a UserError unless Dask's messages, which are unpickled, come from here, over TLS, or by consent."""
    if not trusted:
        raise UserError(
            f"{place} is neither on this machine nor protected by TLS, so that whoever reaches its network can run "
            "code as you: expected certificates in Dask's settings (distributed.dask.org/en/stable/tls.html) and an "
            "address tls://host:8786 of a scheduler, or INSECURE=1 (--insecure) in a network that you trust"
        )


def _require_scheduler(address: str) -> None:
    """Raise a UserError if no scheduler answers at an address; Dask's own client can wait forever."""
    from distributed import Security
    from distributed.core import connect

    async def greet() -> None:
        arguments = Security().get_connection_args("client")
        await (await connect(address, timeout=CONNECTION_TIMEOUT, **arguments)).close()

    try:
        asyncio.run(asyncio.wait_for(greet(), CONNECTION_TIMEOUT))
    except (OSError, ValueError, TypeError, MemoryError, TimeoutError) as error:
        # TypeError: tls:// without certificates. MemoryError: a web server, whose answer is taken for a length.
        raise UserError(
            f"no Dask scheduler answers at {address} within {CONNECTION_TIMEOUT} s: expected an address such as "
            "tls://host:8786 of a running scheduler (`dask scheduler`)"
        ) from error


@contextmanager
def dask_client(
    scheduler: str | None, slurm: Path | None, workers: int | None, insecure: bool = False
) -> Iterator[Any]:
    """A Dask client of a scheduler or a Slurm cluster, `insecure` if without TLS, or of processes on this machine."""
    import dask
    import distributed

    for name in ("distributed", "distributed.client"):  # lost workers are reported by the sweep itself
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # No run waits at a worker while another worker is idle. A run survives the end of many workers and their jobs.
    dask.config.set({"distributed.scheduler.worker-saturation": 1.0, "distributed.scheduler.allowed-failures": 20})
    if scheduler is not None:
        url = urlsplit(scheduler if "://" in scheduler else f"tcp://{scheduler}")
        here = url.hostname in ("127.0.0.1", "::1", "localhost")
        _require_trust(f"the scheduler {scheduler}", here or url.scheme == "tls" or insecure)
        _require_scheduler(scheduler)
        with distributed.Client(scheduler, timeout=CONNECTION_TIMEOUT) as client:
            yield client
        return
    if slurm is not None:
        cluster = _slurm_cluster(slurm, workers, insecure)
    else:
        cluster = distributed.LocalCluster(
            host="127.0.0.1",
            n_workers=workers or workers_with_room(),
            threads_per_worker=1,
            memory_limit=None,  # the memory is in the kernels, which Dask does not see
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
    with cluster, distributed.Client(cluster) as client:
        yield client


class SlurmSettings(pydantic.BaseModel, strict=True, extra="allow"):
    """The number of runs at once, and the arguments of `SLURMCluster`."""

    jobs: pydantic.PositiveInt = 1


def _slurm_cluster(path: Path, workers: int | None, insecure: bool) -> Any:
    """A cluster of submitted Slurm jobs with the settings of a file."""
    from dask_jobqueue.slurm import SLURMCluster
    from distributed import Security

    settings = YamlFile(path).check(SlurmSettings)
    security = Security()  # from Dask's settings
    _require_trust("a Slurm cluster", insecure or security.tls_ca_file is not None)
    try:
        options = {"scheduler_options": {"dashboard_address": ":0"}} | settings.model_extra
        if security.tls_ca_file:
            options["security"] = security
        cluster = SLURMCluster(worker_extra_args=["--nthreads", "1"], **options)
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise UserError(f"{path.name}: these settings are not valid for a Slurm cluster: {error}") from error
    if shutil.which("sbatch") is None:
        cluster.close()
        raise UserError("Slurm's sbatch was not found: run this on a machine that can submit jobs")
    jobs = workers or settings.jobs
    cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # a job that reached its time limit is replaced
    return cluster


# --- The sweep ------------------------------------------------------------------------------------


def run_sweep(sweep: Sweep, client: Any, work: Any = execute) -> None:
    """Run the missing runs of a sweep, each as `work(run, identity, hash of the data)`, and keep its tables up to date.

    A UserError ends it if the disk is full or the connection to the scheduler is lost; finished runs are kept.
    """
    from distributed import KilledWorker, as_completed

    missing = sweep.missing()
    futures = client.map(
        work,
        list(missing.values()),
        list(missing),
        [sweep.data_sha256] * len(missing),
        key=[f"experiment-{name}" for name in missing],  # with a common prefix, Dask balances them
        retries=1,
        pure=False,
    )
    waiting, seconds, cost = sum(run.cost for run in missing.values()), 0.0, 0.0
    workers, written = 1, 0.0
    try:
        outcomes = as_completed(futures, with_results=True, raise_errors=False)  # fetches results in batches
        for number, (future, outcome) in enumerate(outcomes, start=1):
            key = future.key.removeprefix("experiment-")
            run = missing[key]
            error = outcome[1] if future.status == "error" else outcome if isinstance(outcome, Exception) else None
            if isinstance(error, CancelledError):
                raise UserError("the connection to Dask's scheduler is lost") from error
            if isinstance(error, DiskFullError):
                raise error
            if error:  # the other runs continue
                kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
                sweep.failures[key] = f"{kind}{error}"
                line = f"failed{'' if isinstance(error, KilledWorker) else ' twice'}: {sweep.failures[key]}"
            else:
                sweep.results[key] = outcome
                row = outcome["row"]
                seconds, cost = seconds + row["seconds"], cost + run.cost
                scores = f"F1 {row['validation_f1']:.4f}, accuracy {row['validation_accuracy']:.4f}"
                line = f"{scores}, {row['seconds']:.0f} s"
            future.release()
            waiting -= run.cost
            if time.monotonic() - written > SECONDS_BETWEEN_TABLES:
                sweep.write()
                workers = max(1, len(client.nthreads()))
                written = time.monotonic()
            if cost:
                line += f"; about {format_duration(seconds / cost * waiting / workers)} left"
            print(f"[{number}/{len(missing)}] {run.name}: {line}", flush=True)
    finally:
        if client.status == "running":
            client.cancel(futures)
    sweep.write()


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the missing runs of a grid; finished runs are kept.")
    grid_help = "a YAML file of claims, variants and seeds (default: experiments.yaml)"
    parser.add_argument("--grid", type=Path, default=GRID_FILE, help=grid_help)
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--scheduler", metavar="ADDRESS", help="of a running Dask scheduler, tls://host:8786")
    place.add_argument(
        "--slurm", type=Path, metavar="FILE", help="settings of a Slurm cluster, as in pipeline/experiments/slurm.yaml"
    )
    parser.add_argument(
        "--insecure", action="store_true", help="accept another machine's scheduler, or Slurm's workers, without TLS"
    )
    parser.add_argument("--workers", type=int, help="number of runs at once (default: as many as fit on this machine)")
    arguments = parser.parse_args()
    workers = arguments.workers
    if workers is not None and workers < 1:
        raise UserError(f"--workers is {workers}: expected at least 1")
    if workers is not None and arguments.scheduler is not None:
        raise UserError("--workers can't be combined with --scheduler: the scheduler has its own workers")
    sweep = read_sweep(arguments.grid.resolve())
    sweep.write()
    missing = sweep.missing()
    print(f"{len(sweep.runs)} runs, {len(sweep.runs) - len(missing)} of them finished", flush=True)
    if missing:
        known = [(result["row"]["seconds"], sweep.runs[name].cost) for name, result in sweep.results.items()]
        if known:
            expected = sum(seconds for seconds, _ in known) / sum(cost for _, cost in known)
            left = format_duration(expected * sum(run.cost for run in missing.values()))
            print(f"the others need about {left} of one core, estimated from the finished ones", flush=True)
        with dask_client(arguments.scheduler, arguments.slurm, workers, arguments.insecure) as client:
            print(f"Dask's dashboard: {client.dashboard_link}", flush=True)
            if not client.nthreads():
                print("waiting for a first worker ...", flush=True)
            run_sweep(sweep, client)
    table = files.display_path(sweep.table_path)
    print(f"{len(sweep.results)} of {len(sweep.runs)} runs are finished: {table}", flush=True)
    if sweep.failures:
        names = "\n".join(f"  - {sweep.runs[key].name}: {text}" for key, text in sweep.failures.items())
        raise UserError(f"{pluralize(len(sweep.failures), 'run')} failed; run the command again to retry:\n{names}")


if __name__ == "__main__":
    run_command(main)
