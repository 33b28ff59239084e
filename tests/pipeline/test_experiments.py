"""The experiments: what identifies a run, how a sweep goes on whatever happens, and what its results come to."""

import ast
import errno
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import distributed
import numpy as np
import pandas as pd
import pytest
import scipy.stats

import utilities
from coursework import course_split, data, files, run_record, study, study_figures
from pipeline.experiments import run as experiment_run, sweep as experiments
from pipeline.errors import UserError
from pipeline.experiments.run import DamagedResultError, DiskFullError, identity, read_result
from pipeline.experiments.grid import read_grid

GRID = """\
seeds: [1, 2, 3]
baseline: {share: 0.01, epochs: 2}
claims:
  - name: dropout
    claim: Dropout helps.
    expect: {f1: lower}
    variants:
      no dropout: {dropout: 0}
"""
DATA = "d" * 64


# --- Identity -------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    return read_grid(written(tmp_path, GRID))[0]


def written(folder, text):
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def changed(monkeypatch, tmp_path):
    """Replace a text in a file that a run's identity depends on; the identity is then taken anew."""

    def change(file, old, new):
        text = file.read_text(encoding="utf-8")
        assert old in text
        copy = tmp_path / file.name
        copy.write_text(text.replace(old, new), encoding="utf-8")
        if file == experiment_run.LOCK_FILE:
            monkeypatch.setattr(experiment_run, "LOCK_FILE", copy)
        elif file == experiment_run.EXPERIMENT:
            monkeypatch.setattr(experiment_run, "EXPERIMENT", copy)
        else:
            monkeypatch.setattr(utilities, "__file__", str(copy))
        forget()

    forget()
    yield change
    forget()


def forget():
    experiment_run.code_sha256.cache_clear()
    experiment_run.lock_sha256.cache_clear()
    experiment_run.locked_versions.cache_clear()


UTILITIES, NOTEBOOK, LOCK = files.ROOT / "utilities.py", experiment_run.EXPERIMENT, experiment_run.LOCK_FILE


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (UTILITIES, "PREDICTION_BATCH_SIZE = 125", "PREDICTION_BATCH_SIZE = 126"),
        (
            UTILITIES,
            "random = np.random.default_rng((seed, epoch, 1))",
            "random = np.random.default_rng((seed, epoch, 3))",
        ),
        (UTILITIES, "scores = ops.where(in_question > 0", "scores = ops.where(in_question > 1"),
        (
            UTILITIES,
            "batch = augmentation.apply(batch, drawn[step])",
            "batch = augmentation.apply(batch, drawn[step] + 1)",
        ),
        (NOTEBOOK, "layers.Dense(512", "layers.Dense(513"),
        (LOCK, "\nnumpy==", "\nnumpy==9"),
        (LOCK, "\nkeras==", "\nkeras==9"),
        (LOCK, "\nml-dtypes==", "\nml-dtypes==9"),
    ],
)
def test_code_and_packages_that_a_result_depends_on_change_the_identity(run, changed, file, old, new):
    before = identity(run, DATA)
    changed(file, old, new)
    assert identity(run, DATA) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (UTILITIES, "Train a compiled model, show", "Train a model, show"),
        (UTILITIES, "def plot_samples(", "def plot_random_samples("),
        (UTILITIES, 'PALETTE = "colorblind"', 'PALETTE = "deep"'),
        (UTILITIES, "# --- Training ---", "# --- Learning ---"),
        (NOTEBOOK, "## Introduction", "## Overture"),
        (LOCK, "\njupyterlab==", "\njupyterlab==9"),
        (LOCK, "\ntypst==", "\ntypst==9"),
    ],
)
def test_what_a_result_does_not_depend_on_leaves_the_identity(run, changed, file, old, new):
    before = identity(run, DATA)
    changed(file, old, new)
    assert identity(run, DATA) == before


def test_code_is_read_in_a_form_that_is_the_same_in_every_version_of_python():
    tree = ast.parse('def double(x):\n    "Twice."\n    return 2 * x')
    argument = ["arguments", ["args", [["arg", ["arg", "x"]]]]]
    product = [
        "BinOp",
        ["left", ["Constant", ["value", 2]]],
        ["op", ["Mult"]],
        ["right", ["Name", ["id", "x"], ["ctx", ["Load"]]]],
    ]
    function = ["FunctionDef", ["name", "double"], ["args", argument], ["body", [["Return", ["value", product]]]]]
    assert experiment_run._plain(tree) == ["Module", ["body", [function]]]


def test_the_identity_depends_on_parameters_seed_and_data(tmp_path):
    runs = read_grid(written(tmp_path, GRID))
    assert len({identity(run, DATA) for run in runs}) == len(runs)
    assert identity(runs[0], DATA) != identity(runs[0], "e" * 64)


def test_a_worker_with_other_code_refuses(run, changed):
    expected = identity(run, DATA)
    changed(NOTEBOOK, "layers.Dense(512", "layers.Dense(513")
    with pytest.raises(UserError, match="other code or another lock"):
        experiment_run.execute(run, expected, DATA)


# --- Results --------------------------------------------------------------------------------------


def leave_result(run, name, data_sha256):
    """What an execution of the notebook would leave, with made-up figures that depend on the run alone."""
    folder = experiment_run.RUNS_FOLDER / name
    random = np.random.default_rng(int(name, 16))
    epochs = run.parameters["epochs"]
    metrics = {
        "parameters": run.parameters,
        "scores": {
            "validation": {"f1": random.random(), "accuracy": random.random()},
            "training": {"f1": random.random()},
            "parameters": 1000,
            "multiply_adds": 10_000,
            "processor_seconds": 1.5,
            "weights_sha256": name * 4,
        },
        "trainings": {
            "variant": {
                "best_epoch": epochs,
                "restored_seconds": 0.0,
                "history": {column: random.random(epochs).tolist() for column in experiment_run.EPOCH_COLUMNS},
            }
        },
        "data_sha256": data_sha256,
        "duration_seconds": 2.5,
        "peak_memory_gib": 0.5,
        "hardware": {"processor": "abacus"},
        "versions": run_record.environment()["versions"],
    }
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    (folder / "metrics" / "experiment.json").write_text(json.dumps(metrics), encoding="utf-8")
    (folder / "experiment.ipynb").write_text("{}", encoding="utf-8")
    return read_result(run, name, data_sha256)


@pytest.fixture
def places(monkeypatch, tmp_path):
    """Folders of its own for a sweep."""
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")
    monkeypatch.setattr(experiment_run, "RUNS_FOLDER", tmp_path / "reports" / "experiments")
    monkeypatch.setattr(files, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def sweep(places):
    return lambda: experiments.read_sweep(written(places, GRID))


def damage(path, how):
    metrics = json.loads(path.read_text(encoding="utf-8"))
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
        return
    if how == "no file":
        path.unlink()
        return
    if how == "other data":
        metrics["data_sha256"] = "e" * 64
    if how == "other packages":
        metrics["versions"]["keras"] = "2.0.0"
    if how == "other parameters":
        metrics["parameters"]["dropout"] = 0.7
    if how == "an epoch less":
        metrics["trainings"]["variant"]["history"]["val_f1"].pop()
    if how == "no score":
        del metrics["scores"]["validation"]
    if how == "an impossible score":
        metrics["scores"]["validation"]["f1"] = 1.5
    if how == "no number":
        metrics["scores"]["training"]["f1"] = float("nan")
    path.write_text(json.dumps([] if how == "a list" else metrics), encoding="utf-8")


@pytest.mark.fault("a damaged result of an experiment")
@pytest.mark.parametrize(
    "how",
    [
        "truncated",
        "no file",
        "other parameters",
        "other data",
        "other packages",
        "an epoch less",
        "no score",
        "an impossible score",
        "no number",
        "a list",
    ],
)
def test_a_damaged_result_is_reported_and_run_again(sweep, capsys, how):
    first = sweep()
    name, run = next(iter(first.runs.items()))
    leave_result(run, name, first.data_sha256)
    damage(experiment_run.RUNS_FOLDER / name / "metrics" / "experiment.json", how)
    with pytest.raises(DamagedResultError):
        read_result(run, name, first.data_sha256)
    again = sweep()
    assert name in again.missing()
    assert "baseline, seed 1: its result is damaged and it is run again" in capsys.readouterr().out


def test_a_run_without_its_executed_copy_is_not_finished(sweep):
    name, run = next(iter(sweep().runs.items()))
    leave_result(run, name, DATA)
    (experiment_run.RUNS_FOLDER / name / "experiment.ipynb").unlink()
    assert read_result(run, name, DATA) is None


def test_the_processor_s_seconds_of_a_resumed_run_are_unknown_and_the_run_is_finished(sweep):
    first = sweep()
    name, run = next(iter(first.runs.items()))
    leave_result(run, name, first.data_sha256)
    path = experiment_run.RUNS_FOLDER / name / "metrics" / "experiment.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"restored_seconds": 0.0', '"restored_seconds": 0.7'))
    again = sweep()
    assert again.results[name]["row"]["processor_seconds"] is None
    again.write()
    subprocess.run(["rm", "-r", str(experiment_run.RUNS_FOLDER)], check=True)
    assert name in sweep().results


# --- The sweep ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client():
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        yield client


work = leave_result


def test_a_sweep_runs_everything_once_and_tells_each_run(sweep, client, capsys):
    first = sweep()
    experiments.run_sweep(first, client, work)
    told = capsys.readouterr().out
    assert told.count("F1 0.") == 6
    assert "[6/6]" in told
    assert "left" in told
    table = pd.read_csv(first.table_path)
    assert list(table["status"]) == ["finished"] * 6
    assert list(table["variant"]) == ["baseline", "no dropout"] * 3
    assert sweep().missing() == {}
    assert len(pd.read_csv(first.epochs_path)) == 12


def test_the_tables_alone_are_enough_to_know_what_is_finished(sweep, client):
    first = sweep()
    experiments.run_sweep(first, client, work)
    before = first.table_path.read_bytes(), first.epochs_path.read_bytes()
    subprocess.run(["rm", "-r", str(experiment_run.RUNS_FOLDER)], check=True)
    again = sweep()
    assert again.missing() == {}
    again.write()
    assert before == (again.table_path.read_bytes(), again.epochs_path.read_bytes())


def test_tables_that_are_up_to_date_keep_their_time(sweep, client):
    first = sweep()
    experiments.run_sweep(first, client, work)
    os.utime(first.table_path, (0, 0))
    first.write()
    assert first.table_path.stat().st_mtime == 0


@pytest.mark.fault("a damaged result of an experiment")
@pytest.mark.parametrize("value", ["7.5", "abc", ""])
def test_a_damaged_row_of_the_table_is_reported_and_its_run_made_again(sweep, client, capsys, value):
    first = sweep()
    experiments.run_sweep(first, client, work)
    table = pd.read_csv(first.table_path).astype({"validation_f1": object})
    table.loc[1, "validation_f1"] = value
    table.to_csv(first.table_path, index=False)
    subprocess.run(["rm", "-r", str(experiment_run.RUNS_FOLDER)], check=True)
    again = sweep()
    assert [run.name for run in again.missing().values()] == ["no dropout, seed 1"]
    assert "no dropout, seed 1: its row in small.csv is damaged and it is run again" in capsys.readouterr().out


def test_finished_runs_that_are_only_in_the_tables_are_never_dropped(sweep, client, places):
    first = sweep()
    experiments.run_sweep(first, client, work)
    fewer = written(places, GRID.replace("[1, 2, 3]", "[1, 2]"))
    experiments.read_sweep(fewer)  # their own folders still hold them
    subprocess.run(["rm", "-r", str(experiment_run.RUNS_FOLDER)], check=True)
    with pytest.raises(
        UserError, match=r"small\.csv holds 2 finished runs with other data, code, packages or parameters"
    ):
        experiments.read_sweep(fewer)
    assert len(pd.read_csv(first.table_path)) == 6


def test_a_variant_may_be_called_none(places, client):
    called_none = GRID.replace("no dropout: {", "None: {")
    experiments.run_sweep(experiments.read_sweep(written(places, called_none)), client, work)
    subprocess.run(["rm", "-r", str(experiment_run.RUNS_FOLDER)], check=True)
    assert experiments.read_sweep(written(places, called_none)).missing() == {}
    runs, epochs, _ = study.load_experiments(places / "small.yaml")
    assert set(runs["variant"]) == set(epochs["variant"]) == {"baseline", "None"}


def test_a_changed_grid_keeps_the_runs_it_still_has(sweep, client, places):
    experiments.run_sweep(sweep(), client, work)
    more = experiments.read_sweep(written(places, GRID + "      half the dropout: {dropout: 0.5}\n"))
    assert {run.variant for run in more.missing().values()} == {"half the dropout"}
    more.write()
    table = pd.read_csv(more.table_path)
    assert table["status"].value_counts().to_dict() == {"finished": 6, "missing": 3}
    assert table.loc[table["status"] == "missing", "validation_f1"].isna().all()


@pytest.mark.fault("a damaged result of an experiment")
@pytest.mark.parametrize("what", ["not a table", "", "claim,variant\nx,y\n"])
def test_tables_that_can_not_be_read_are_made_again(sweep, client, capsys, what):
    first = sweep()
    experiments.run_sweep(first, client, work)
    first.table_path.write_text(what, encoding="utf-8")
    again = sweep()
    assert again.missing() == {}
    assert "can't be read and is made again" in capsys.readouterr().out


@pytest.mark.fault("an experiment that fails")
def test_a_failing_run_is_tried_twice_then_reported_and_the_others_go_on(sweep, client, places, capsys):
    tries = places / "tries"

    def failing(run, name, data_sha256):
        if run.variant == "no dropout" and run.seed == 2:
            with tries.open("a") as file:
                file.write("x")
            raise UserError("the kernel died")
        return leave_result(run, name, data_sha256)

    first = sweep()
    experiments.run_sweep(first, client, failing)
    assert tries.read_text() == "xx"
    assert len(first.results) == 5
    assert list(first.failures.values()) == ["the kernel died"]
    assert "no dropout, seed 2: failed twice: the kernel died" in capsys.readouterr().out
    table = pd.read_csv(first.table_path)
    assert list(table.loc[table["status"] == "failed", "variant"]) == ["no dropout"]


@pytest.mark.fault("an experiment that fails")
def test_a_run_that_fails_once_is_not_reported(sweep, client, places):
    def failing_once(run, name, data_sha256):
        mark = places / name
        if not mark.exists():
            mark.touch()
            raise RuntimeError("bad luck")
        return leave_result(run, name, data_sha256)

    first = sweep()
    experiments.run_sweep(first, client, failing_once)
    assert (len(first.results), first.failures) == (6, {})


@pytest.mark.fault("a full disk, while experiments run")
def test_a_full_disk_stops_the_sweep_and_keeps_what_is_finished(sweep, client, places):
    def filling(run, name, data_sha256):
        if run.seed > 1:
            raise DiskFullError("the disk is full: [Errno 28] No space left on device")
        return leave_result(run, name, data_sha256)

    first = sweep()
    with pytest.raises(experiments.SweepStoppedError, match="the disk is full"):
        experiments.run_sweep(first, client, filling)
    again = sweep()
    assert {run.seed for key, run in again.runs.items() if key in again.results} == {1}


@pytest.mark.fault("a full disk, while experiments run")
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        UserError("experiment, code cell 9 failed: OSError: [Errno 28] No space left on device: 'x'"),
    ],
)
def test_a_worker_knows_a_full_disk_from_a_failed_run(places, run, monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    forget()
    monkeypatch.setattr(experiment_run, "execute_notebook", fail)
    with pytest.raises(DiskFullError, match="the disk is full"):
        experiment_run.execute(run, identity(run, DATA), DATA)


@pytest.mark.fault("code, packages or data that change while an experiment runs")
@pytest.mark.parametrize(
    "change", [(NOTEBOOK, "layers.Dense(512", "layers.Dense(513"), (LOCK, "\nnumpy==", "\nnumpy==9")]
)
def test_code_or_a_lock_that_changes_while_a_run_goes_on_leaves_no_result(places, run, changed, monkeypatch, change):
    def execute(source, target, parameters, show):
        leave_result(run, target.parent.name, DATA)
        changed(*change)

    name = identity(run, DATA)
    monkeypatch.setattr(experiment_run, "execute_notebook", execute)
    with pytest.raises(UserError, match="changed while this ran"):
        experiment_run.execute(run, name, DATA)
    assert read_result(run, name, DATA) is None


@pytest.mark.fault("code, packages or data that change while an experiment runs")
def test_a_worker_with_other_data_leaves_no_result(places, run, monkeypatch):
    name = identity(run, DATA)
    monkeypatch.setattr(experiment_run, "execute_notebook", lambda *_, **__: leave_result(run, name, "e" * 64))
    with pytest.raises(UserError, match="it was trained on other data"):
        experiment_run.execute(run, name, DATA)
    with pytest.raises(DamagedResultError):
        read_result(run, name, DATA)


@pytest.mark.fault("an experiment that two workers are given at once")
def test_a_run_that_two_workers_are_given_at_once_is_executed_once(places, run, monkeypatch):
    name, executed = identity(run, DATA), []

    def execute(*arguments, **options):
        executed.append(1)
        time.sleep(0.5)
        leave_result(run, name, DATA)

    monkeypatch.setattr(experiment_run, "execute_notebook", execute)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: experiment_run.execute(run, name, DATA), range(2)))
    assert results[0] == results[1]
    assert len(executed) == 1


def test_the_time_left_is_that_of_the_runs_so_far(places, client, capsys):
    sweep = experiments.read_sweep(written(places, GRID.replace("[1, 2, 3]", "[1]")))
    experiments.run_sweep(sweep, client, work)  # a run is said to have taken 2.5 s
    first, second = (line for line in capsys.readouterr().out.splitlines() if line.startswith("["))
    assert first.endswith("about 1 s left")  # 2.5 s on two workers
    assert second.endswith("about 0 s left")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (150, "2 min"), (3 * 3600 + 300, "3 h 05 min")]
)
def test_durations_are_told_as_a_person_would(seconds, words):
    assert experiments.in_words(seconds) == words


def test_many_runs_are_shared_out_evenly(sweep, client, places):
    def slow(run, name, data_sha256):
        time.sleep(0.3)
        (places / name).write_text(distributed.get_worker().address)
        return leave_result(run, name, data_sha256)

    first = sweep()
    experiments.run_sweep(first, client, slow)
    workers = [(places / name).read_text() for name in first.runs]
    assert sorted(workers.count(worker) for worker in set(workers)) == [3, 3]


# --- The command ----------------------------------------------------------------------------------


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipeline.experiments", *arguments], cwd=files.ROOT, capture_output=True, text=True
    )


@pytest.mark.fault("a scheduler that does not answer")
def test_a_scheduler_that_does_not_answer_gives_a_sentence_within_15_seconds(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        for wrong in (address, "tcp://127.0.0.1:1", "nonsense://", "tls://127.0.0.1:1"):
            began = time.monotonic()
            with (
                pytest.raises(UserError, match=f"no Dask scheduler answers at {wrong}"),
                experiments.dask_client(wrong, None, None),
            ):
                pass
            assert time.monotonic() - began < 15


def test_a_wrong_grid_is_refused_before_anything_runs(tmp_path):
    result = command("--grid", str(written(tmp_path, GRID.replace("dropout: 0", "dropout: 5"))))
    assert result.returncode == 1
    assert result.stderr == "error: small.yaml, line 8: experiment.ipynb: dropout is 5, expected 0 to 2\n"
    assert not (files.REPORTS_FOLDER / "small.csv").exists()


def test_workers_can_not_be_counted_beside_a_scheduler_that_has_its_own(tmp_path):
    result = command("--scheduler", "tcp://127.0.0.1:1", "--workers", "2")
    assert result.returncode == 1
    assert result.stderr.startswith("error: --workers has no meaning beside --scheduler")


def test_slurm_settings_make_a_job_script(tmp_path):
    import yaml
    from dask_jobqueue.slurm import SLURMCluster

    settings = yaml.safe_load((files.ROOT / "pipeline" / "slurm.yaml").read_text(encoding="utf-8"))
    assert settings.pop("jobs") > 0
    options = {"worker_extra_args": ["--nthreads", "1"], "scheduler_options": {"dashboard_address": ":0"}}
    with SLURMCluster(**options, **settings) as cluster:
        script = cluster.job_script()
    for line in ("#SBATCH -p normal", "#SBATCH -n 1", "#SBATCH --cpus-per-task=1", "#SBATCH -t 04:00:00"):
        assert line in script
    assert "--nthreads 1" in script


def test_slurm_settings_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "slurm.yaml"
    path.write_text("queue: normal\n", encoding="utf-8")
    refused = pytest.raises(UserError, match=r"slurm\.yaml: no Slurm cluster can be had with these settings")
    with refused, experiments.dask_client(None, path, None):
        pass


@pytest.mark.slow
def test_a_real_run_is_the_same_on_one_worker_and_on_two_and_resumes(tmp_path):
    """Two tiny sweeps of the real notebook; the second has lost one result, and was interrupted in the other."""
    grid = tmp_path / f"tiny_{os.getpid()}.yaml"
    grid.write_text(GRID.replace("[1, 2, 3]", "[1]").replace("0.01", "0.004"), encoding="utf-8")
    tables = [files.REPORTS_FOLDER / f"{grid.stem}{part}.csv" for part in ("", "_epochs")]
    scores = []
    try:
        for workers in ("2", "1"):
            result = command("--grid", str(grid), "--workers", workers)
            assert result.returncode == 0, result.stderr
            assert "2 of 2 runs are finished" in result.stdout
            assert "Dask's dashboard: http://127.0.0.1" in result.stdout
            table = pd.read_csv(tables[0])
            scores.append(table[["validation_f1", "validation_accuracy", "training_f1", "weights_sha256"]])
            for path in tables:
                path.unlink()
            for name in table["identity"]:
                (experiment_run.RUNS_FOLDER / name / "experiment.ipynb").unlink()
        pd.testing.assert_frame_equal(*scores, check_exact=True)
    finally:
        for path in tables:
            path.unlink(missing_ok=True)
        for name in table["identity"]:
            subprocess.run(["rm", "-r", str(experiment_run.RUNS_FOLDER / name)], check=True)


# --- What the results come to ---------------------------------------------------------------------


def test_the_paired_effect_is_that_of_the_textbook():
    differences = np.array([0.8, 1.1, 0.3, 0.9, 0.4])
    effect = study.paired_effect(differences)
    error = differences.std(ddof=1) / np.sqrt(5)
    assert effect["mean"] == pytest.approx(0.7)
    assert (effect["low"], effect["high"]) == pytest.approx((0.7 - 2.776445 * error, 0.7 + 2.776445 * error))
    assert effect["p_value"] == pytest.approx(2 * scipy.stats.t.sf(0.7 / error, 4))


@pytest.mark.parametrize("pairs", [2, 4, 5])
@pytest.mark.parametrize("comparisons", [1, 10])
def test_the_detectable_effect_is_detected_four_times_out_of_five(pairs, comparisons):
    differences = np.arange(pairs) - 1.0
    effect = study.paired_effect(differences, comparisons)["detectable"] / differences.std(ddof=1)
    drawn = np.random.default_rng(0).normal(effect, 1, (20_000, pairs))
    shown = scipy.stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05 / comparisons
    assert shown.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("differences", [[], [0.1], [0.1, 0.1]])
def test_too_few_pairs_have_no_interval(differences):
    effect = study.paired_effect(differences)
    assert effect["pairs"] == len(differences)
    assert np.isnan([effect[name] for name in ("low", "high", "p_value", "detectable")]).all()


CLAIMS = [
    {"name": "harm", "claim": "It harms.", "expect": {"f1": "lower"}, "variants": {"a": {}, "b": {}}},
    {
        "name": "use",
        "claim": "It is of use.",
        "expect": {"f1": "higher", "overfitting": "lower"},
        "variants": {"c": {}},
    },
]


def table_of(effects, seeds=5, scatter=0.001, budget="reduced"):
    """Runs of a baseline and of variants with the given effects on the F1, the seeds far apart."""
    random = np.random.default_rng(1)
    claim_of = {"baseline": "baseline", "a": "harm", "b": "harm", "c": "use"}
    rows = [
        {
            "claim": claim_of[variant],
            "variant": variant,
            "budget": budget,
            "seed": seed,
            "f1": 0.8 + 0.02 * seed + effect + random.normal(0, scatter),
            "overfitting": 0.05 + random.normal(0, scatter),
        }
        for seed in range(1, seeds + 1)
        for variant, effect in ({"baseline": 0} | effects).items()
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("effects", "verdicts"),
    [
        ({"a": -0.02, "b": -0.02, "c": 0.02}, ["supported", "supported"]),
        ({"a": 0.02, "b": 0.02, "c": -0.02}, ["contradicted", "contradicted"]),
        ({"a": 0, "b": 0, "c": 0}, ["not distinguishable", "not distinguishable"]),
        ({"a": -0.06, "b": 0.02, "c": 0.02}, ["contradicted", "supported"]),  # one variant refutes the claim
    ],
)
def test_verdicts_follow_the_effects(effects, verdicts):
    table = study.claim_effects(table_of(effects), CLAIMS)
    assert list(table.loc[table["metric"] == "f1", "verdict"]) == verdicts
    assert list(table.loc[table["metric"] == "overfitting", "verdict"]) == ["not distinguishable"]


def test_p_values_are_corrected_by_holm_s_steps():
    corrected = study.holm(pd.Series([0.01, 0.04, np.nan, 0.03]))
    assert corrected.fillna(-1).tolist() == pytest.approx([0.04, 0.09, -1, 0.09])


def test_pairing_takes_the_seeds_differences_out():
    runs = table_of({"a": -0.01, "b": -0.01, "c": 0})
    assert runs.groupby("variant")["f1"].std()["a"] > 0.02
    effect = study.variant_effects(runs).loc["a"]
    assert effect["mean"] == pytest.approx(-0.01, abs=0.002)
    assert effect["p_corrected"] < 0.05


def test_a_seed_counts_only_where_the_pair_is_complete():
    runs = table_of({"a": -0.02, "b": -0.02, "c": 0.02})
    runs.loc[(runs["variant"] == "b") & (runs["seed"] == 5), "f1"] = np.nan
    runs.loc[(runs["variant"] == "baseline") & (runs["seed"] == 4), "f1"] = np.nan
    assert study.variant_effects(runs)["pairs"].to_dict() == {"a": 4, "b": 3, "c": 4}
    assert study.claim_effects(runs, CLAIMS)["pairs"].tolist()[0] == 3


def test_sentences_tell_claim_verdict_effect_and_number():
    table = study.claim_effects(table_of({"a": -0.06, "b": 0.02, "c": 0}), CLAIMS)
    harm, use = study.claim_sentences(table, CLAIMS)
    assert harm.startswith("It harms. **Contradicted**: the F1 changes by −0.0")
    assert "n = 5" in harm
    assert harm.endswith("distinguishable alone: a; against it, each alone: b.")
    assert use.count("**Not distinguishable with 5 seeds**") == 2
    assert "is what these runs could have seen" in use


def test_without_results_the_sentences_say_so():
    runs = table_of({"a": 0, "b": 0, "c": 0})
    runs[["f1", "overfitting"]] = np.nan
    for sentence in study.claim_sentences(study.claim_effects(runs, CLAIMS), CLAIMS):
        assert "0 complete seeds so far" in sentence


def test_a_claim_with_an_unfinished_variant_is_still_refuted_by_another():
    runs = table_of({"a": 0.02, "b": 0, "c": 0})
    runs.loc[runs["variant"] == "b", "f1"] = np.nan
    table = study.claim_effects(runs, CLAIMS)
    assert table["verdict"].iloc[0] == "contradicted"
    assert study.claim_sentences(table, CLAIMS)[0] == (
        "It harms. **Contradicted**: 0 complete seeds so far, and a mean takes at least two; against it, each alone: a."
    )


def test_a_variant_that_changes_nothing_is_said_to_change_nothing():
    runs = table_of({"a": 0, "b": 0, "c": 0}, scatter=0)
    sentence, _ = study.claim_sentences(study.claim_effects(runs, CLAIMS), CLAIMS)
    assert sentence == "It harms. **Not distinguishable**: the F1 changes by +0.0000 with each of 5 seeds."


def test_effects_at_the_full_budget_are_told_with_the_number_of_their_seeds():
    full = table_of({"a": -0.01, "c": 0.03}, seeds=1, scatter=0, budget="full")
    runs = pd.concat([table_of({"a": -0.01, "b": -0.02, "c": 0.03}), full])
    verdicts = study.claim_effects(runs, CLAIMS)
    harm, use = study.claim_sentences(verdicts, CLAIMS)
    assert harm.endswith("; at the full budget, −0.0100 with a (1 seed).")
    assert "; at the full budget, +0.0300 with c (1 seed)." in use
    harm, use, _ = json.loads(json.dumps(list(verdicts["full_budget"])))  # as part 3 writes them
    assert harm == {"a": [pytest.approx(-0.01), 1]}
    assert use == {"c": [pytest.approx(0.03), 1]}


def test_a_supported_claim_names_the_variants_that_went_the_other_way():
    runs = table_of({"a": -0.05, "b": 0.0004, "c": 0.03})
    verdicts = study.claim_effects(runs, CLAIMS)
    assert list(verdicts["other_way"]) == [["b"], [], []]
    harm, use = study.claim_sentences(verdicts, CLAIMS)
    assert harm.startswith("It harms. **Supported**")
    assert harm.endswith("; distinguishable alone: a; the other way, though not distinguishably: b.")
    assert "the other way" not in use


def test_the_budgets_agreement_is_spearman_s_correlation():
    both = pd.concat(
        [
            table_of({"a": -0.01, "b": -0.02, "c": 0.03}),
            table_of({"a": -0.02, "b": -0.01, "c": 0.03}, seeds=1, scatter=0, budget="full"),
        ]
    )
    agreement = study.budget_agreement(both)
    assert agreement.attrs["correlation"] == pytest.approx(0.8)
    assert agreement.index[0] == "c"


def test_what_the_full_budget_says_of_the_small_one():
    small = table_of({"a": -0.05, "b": -0.02, "c": 0.03}, scatter=1e-6)
    full = table_of({"a": 0.04, "b": -0.01, "c": 0.03}, seeds=1, scatter=0, budget="full")
    runs = pd.concat([small, full]).assign(status="finished")
    assert study.budget_sentences(runs, study.variant_effects(runs)) == [
        "Of 4 runs at the full budget, 4 are finished, of 4 variants in all.",
        "The rankings do not agree: Spearman's correlation is -0.20, and the best of them is another (a at the full budget, c at the small one).",
        "With so few variants that is a hint, not a proof.",
        "With more images the effect changes sides for a (from −0.0500 to +0.0400).",
        "What the verdicts say of a is therefore said of the small budget alone.",
        "Among the other variants the correlation is 1.00.",
    ]
    without = runs[(runs["budget"] == "reduced") | (runs["variant"] == "b")]
    assert study.budget_sentences(without, study.variant_effects(without)) == [
        "Of 1 run at the full budget, 1 are finished, of 1 variant in all."
    ]


def complete(runs):
    return runs.assign(status="finished", processor_seconds=100.0, model_parameters=1000, multiply_adds=10)


def test_the_forest_plot_shows_each_effect_with_its_interval_and_the_verdict_of_its_claim():
    runs = table_of({"a": -0.02, "b": -0.03, "c": 0})
    effects, verdicts = study.variant_effects(runs), study.claim_effects(runs, CLAIMS)
    figure = study_figures.plot_effects(effects, verdicts)
    (axis,) = figure.axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["harm: supported", "a", "b", "use: not distinguishable", "c"]
    shown = {labels[int(container[0].get_ydata()[0])]: container for container in axis.containers}
    for variant, row in effects.iterrows():
        (low, _), (high, _) = shown[variant][2][0].get_segments()[0]
        assert (low, shown[variant][0].get_xdata()[0], high) == pytest.approx((row["low"], row["mean"], row["high"]))
        assert f"{variant} {row['mean']:+.4f}" in figure.description


def test_the_learning_curves_are_means_over_the_seeds_with_the_baseline_in_each_chart():
    runs = table_of({"a": -0.02, "b": -0.03, "c": 0}, seeds=2)
    epochs = pd.concat([runs.assign(epoch=epoch, val_f1=runs["f1"] - 0.1 / epoch) for epoch in (1, 2, 3)])
    figure = study_figures.plot_learning_curves(epochs)
    charts = {axis.get_title(): axis for axis in figure.axes if axis.get_title()}
    assert {name: [line.get_label() for line in axis.lines] for name, axis in charts.items()} == {
        "harm": ["baseline", "a", "b"],
        "use": ["baseline", "c"],
    }
    (drawn,) = (line.get_ydata() for line in charts["harm"].lines if line.get_label() == "a")
    assert drawn[-1] == pytest.approx(runs.loc[runs["variant"] == "a", "f1"].mean() - 0.1 / 3)


def test_the_lowest_learning_curves_of_each_column_have_the_epochs():
    runs = table_of({"a": -0.02, "b": -0.03, "c": 0})
    variants = [runs.assign(variant=name, claim=name) for name in "abcd"]
    figure = study_figures.plot_learning_curves(pd.concat(variants).assign(epoch=1, val_f1=0.5))
    labelled = {axis.get_title(): axis.get_xlabel() for axis in figure.axes if axis.get_title()}
    assert labelled == {"a": "", "b": "epoch", "c": "epoch", "d": "epoch"}


def test_the_cost_plot_shows_every_variant_against_time_and_parameters():
    figure = study_figures.plot_cost(complete(table_of({"a": -0.02, "b": -0.03, "c": 0})))
    time_axis, size_axis = figure.axes
    assert sum(len(line.get_xdata()) for line in time_axis.lines) == 4
    assert {x for line in size_axis.lines for x in line.get_xdata()} == {1000}
    assert "in 100 s with 1,000 parameters" in figure.description


def test_a_variant_far_below_the_others_is_put_on_the_edge_of_the_cost_plot_with_its_score():
    runs = complete(table_of({"a": -0.2, "b": 0.002, "c": 0.001}))
    more = [runs[runs["variant"] == "b"].assign(variant=f"b{number}") for number in range(4)]
    figure = study_figures.plot_cost(pd.concat([runs, *more]))
    for axis in figure.axes:
        (note,) = axis.texts
        assert note.get_text().startswith("a: 0.")
        assert note.xy[1] == axis.get_ylim()[0] > 0.6


def test_with_nothing_finished_the_figures_are_drawn_all_the_same():
    runs = table_of({"a": 0, "b": 0, "c": 0}).assign(status="missing")
    runs[["f1", "overfitting"]] = np.nan
    effects, verdicts = study.variant_effects(runs), study.claim_effects(runs, CLAIMS)
    study_figures.plot_effects(effects, verdicts)
    none = runs.assign(processor_seconds=1.0, model_parameters=1.0)
    study_figures.plot_cost(none)
    study_figures.plot_learning_curves(runs.assign(epoch=1, val_f1=0.0).head(0))


def test_a_grid_that_is_newer_than_its_table_is_named(sweep, client, places):
    experiments.run_sweep(sweep(), client, work)
    grid = written(places, GRID + "      half the dropout: {dropout: 0.5}\n")
    with pytest.raises(
        data.DataError, match=r"has no run of dropout: half the dropout, which is new in small\.yaml"
    ):
        study.load_experiments(grid)


def test_missing_tables_are_named():
    with pytest.raises(data.DataError, match=r"none\.yaml is not there: `make experiments` writes"):
        study.load_experiments("none.yaml")


def test_the_committed_table_is_that_of_the_committed_grid():
    runs, epochs, claims = study.load_experiments()
    data_sha256 = files.content_hash(course_split.load_fashion_mnist())
    assert list(runs["identity"]) == [identity(run, data_sha256) for run in read_grid()]
    finished = runs[runs["status"] == "finished"]
    assert len(finished) > 0
    assert epochs.groupby("identity").size().to_dict() == finished.set_index("identity")["epochs"].to_dict()
    assert {claim["name"] for claim in claims} | {"baseline"} == set(runs["claim"])
