"""One run of the experiments: its identity, its result, and its execution."""

import errno
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from coursework import checkpoint, files
from pipeline.errors import UserError
from pipeline.experiments import run as experiment_run
from pipeline.experiments.grid import read_grid
from pipeline.experiments.run import DamagedResultError, DiskFullError, execute, identity, read_result
from tests.pipeline.experiment_runs import DATA_SHA256, leave_result, metrics_path, use_reports_in, write_grid

ROOT = files.ROOT


@pytest.fixture
def run(tmp_path):
    return read_grid(write_grid(tmp_path))[0]


# --- Identity -------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the files that an identity is computed from, and of those that it must not depend on."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "coursework", folder / "coursework", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("notebooks/experiment.ipynb", "requirements.txt"):
        shutil.copy2(ROOT / name, folder)  # with its time, so that an edit changes the time
    monkeypatch.setattr(checkpoint, "__file__", str(folder / "coursework" / "checkpoint.py"))
    monkeypatch.setattr(experiment_run, "EXPERIMENT", folder / "experiment.ipynb")
    monkeypatch.setattr(experiment_run, "LOCK_FILE", folder / "requirements.txt")
    return folder


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("coursework/training.py", "PREDICTION_BATCH_SIZE = 125", "PREDICTION_BATCH_SIZE = 126"),
        ("coursework/augmentation.py", "default_rng((seed, epoch, 1))", "default_rng((seed, epoch, 3))"),
        ("coursework/optimizers.py", "round(warmup * steps)", "round(warmup * steps) + 1"),
        ("coursework/metrics.py", "denominator > 0", "denominator > 1"),
        ("experiment.ipynb", "layers.Dense(512", "layers.Dense(513"),
        ("requirements.txt", "\nnumpy==", "\nnumpy==9"),
        ("requirements.txt", "\nkeras==", "\nkeras==9"),
        ("requirements.txt", "\nml-dtypes==", "\nml-dtypes==9"),  # which TensorFlow and Keras require
    ],
)
def test_a_change_of_the_computing_code_or_packages_changes_the_identity(run, project, name, old, new):
    before = identity(run, DATA_SHA256)
    edit(project / name, old, new)
    assert identity(run, DATA_SHA256) != before


def test_another_file_of_a_computing_package_changes_the_identity(run, project):
    before = identity(run, DATA_SHA256)
    entry = (project / "requirements.txt").read_text(encoding="utf-8").split("\nkeras==")[1]
    sha256 = entry.split("sha256:")[1][:64]
    edit(project / "requirements.txt", sha256, "0" * 64)
    assert identity(run, DATA_SHA256) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("coursework/figures.py", "def plot_samples(", "def plot_random_samples("),
        ("coursework/data.py", "Load MNIST (LeCun", "Read MNIST (LeCun"),
        ("coursework/checkpoint.py", "Write a checkpoint:", "Save a checkpoint:"),
        ("experiment.ipynb", "## Introduction", "## Overture"),
        (
            "experiment.ipynb",
            "learning_rate: float = 1.2e-3",
            "learning_rate: float = 1.3e-3",
        ),  # in each run's parameters
        ("requirements.txt", "\njupyterlab==", "\njupyterlab==9"),
        ("requirements.txt", "\ntypst==", "\ntypst==9"),
        ("requirements.txt", "    #   keras\n", "    #   another-package\n    #   keras\n"),
    ],
)
def test_a_change_of_other_code_text_or_packages_leaves_the_identity(run, project, name, old, new):
    before = identity(run, DATA_SHA256)
    edit(project / name, old, new)
    assert identity(run, DATA_SHA256) == before


def test_the_identity_depends_on_parameters_and_seed(tmp_path):
    runs = read_grid(write_grid(tmp_path))
    assert len({identity(run, DATA_SHA256) for run in runs}) == len(runs) == 6


def test_the_identity_depends_on_the_data(run):
    assert identity(run, DATA_SHA256) != identity(run, "e" * 64)


def test_the_identity_uses_the_hashes_of_the_software_that_are_passed(run):
    software = experiment_run.software_sha256()
    assert identity(run, DATA_SHA256, software) == identity(run, DATA_SHA256)
    assert identity(run, DATA_SHA256, software | {"code": "0" * 64}) != identity(run, DATA_SHA256)


# --- Results --------------------------------------------------------------------------------------


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """A folder of the test in place of `reports/`."""
    use_reports_in(tmp_path, monkeypatch)
    return tmp_path / "reports"


NAME = "0123456789abcdef"


def test_a_result_has_the_scores_and_an_entry_for_each_epoch(reports, run):
    leave_result(run, NAME, DATA_SHA256)
    metrics = json.loads(metrics_path(NAME).read_text(encoding="utf-8"))
    result = read_result(run, NAME, DATA_SHA256)
    assert result["row"]["validation_f1"] == metrics["scores"]["validation"]["f1"]
    assert result["row"]["processor_seconds"] == 1.5
    assert [row["epoch"] for row in result["epochs"]] == [1, 2]
    assert [row["val_f1"] for row in result["epochs"]] == metrics["trainings"]["variant"]["history"]["val_f1"]


def test_a_run_without_its_executed_copy_is_not_finished(reports, run):
    leave_result(run, NAME, DATA_SHA256)
    (reports / "experiments" / NAME / "experiment.ipynb").unlink()
    assert read_result(run, NAME, DATA_SHA256) is None


def test_the_processor_time_of_a_resumed_run_is_unknown(reports, run):
    leave_result(run, NAME, DATA_SHA256)
    edit(metrics_path(NAME), '"restored_seconds": 0.0', '"restored_seconds": 0.7')
    assert read_result(run, NAME, DATA_SHA256)["row"]["processor_seconds"] is None


DAMAGES = {
    "other parameters": lambda metrics: metrics["parameters"].update(dropout=0.7),
    "other data": lambda metrics: metrics.update(data_sha256="e" * 64),
    "other packages": lambda metrics: metrics["versions"].update(keras="2.0.0"),
    "an epoch less": lambda metrics: metrics["trainings"]["variant"]["history"]["val_f1"].pop(),
    "no score": lambda metrics: metrics["scores"].pop("validation"),
    "an impossible score": lambda metrics: metrics["scores"]["validation"].update(f1=1.5),
    "a score that is not a number": lambda metrics: metrics["scores"]["training"].update(f1=float("nan")),
    "a score that is a text": lambda metrics: metrics["scores"]["training"].update(f1="0.5"),
    "a negative duration": lambda metrics: metrics.update(duration_seconds=-1),
    "an infinite loss": lambda metrics: metrics["trainings"]["variant"]["history"].update(loss=[float("nan"), 1.0]),
}


@pytest.mark.fault("a damaged result of an experiment")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_result_with_a_wrong_value_is_damaged(reports, run, damage):
    leave_result(run, NAME, DATA_SHA256)
    metrics = json.loads(metrics_path(NAME).read_text(encoding="utf-8"))
    DAMAGES[damage](metrics)
    metrics_path(NAME).write_text(json.dumps(metrics), encoding="utf-8")
    with pytest.raises(DamagedResultError, match=rf"reports/experiments/{NAME}/metrics/experiment\.json: "):
        read_result(run, NAME, DATA_SHA256)


@pytest.mark.fault("a damaged result of an experiment")
@pytest.mark.parametrize("content", [None, b"", b"[]", b"3", b'{"parameters": ', b"\xff\xfe", b"[" * 100_000])
def test_a_result_that_is_not_valid_json_is_damaged(reports, run, content):
    leave_result(run, NAME, DATA_SHA256)
    metrics_path(NAME).unlink()
    if content is not None:
        metrics_path(NAME).write_bytes(content)
    with pytest.raises(DamagedResultError):
        read_result(run, NAME, DATA_SHA256)


def test_a_result_of_other_packages_than_today_s_lock_is_damaged(reports, run, project):
    leave_result(run, NAME, DATA_SHA256)
    edit(project / "requirements.txt", "\nkeras==", "\nkeras==9")
    with pytest.raises(DamagedResultError, match=r"keras was .*, and the lock has 9"):
        read_result(run, NAME, DATA_SHA256)


# --- Execution ------------------------------------------------------------------------------------


@pytest.fixture
def execution(reports, monkeypatch):
    """Replaces the execution of the notebook, and counts the executions."""
    calls = []

    def replace(function):
        def execute_notebook(source, target, parameters, show):
            calls.append(parameters)
            function(target.parent.name)

        monkeypatch.setattr(experiment_run, "execute_notebook", execute_notebook)
        return calls

    return replace


def test_a_run_is_executed_with_its_parameters_and_a_folder_of_its_own(execution, run):
    calls = execution(lambda name: leave_result(run, name, DATA_SHA256))
    name = identity(run, DATA_SHA256)
    result = execute(run, name, DATA_SHA256)
    assert result == read_result(run, name, DATA_SHA256)
    assert calls == [run.parameters | {"profile": f"experiments/{name}"}]


def test_a_finished_run_is_not_executed_again(execution, run):
    calls = execution(lambda name: leave_result(run, name, DATA_SHA256))
    results = [execute(run, identity(run, DATA_SHA256), DATA_SHA256) for _ in range(2)]
    assert results[0] == results[1]
    assert len(calls) == 1


def test_the_checkpoints_of_a_finished_run_are_removed(execution, reports, run):
    def leave_result_and_checkpoint(name):
        leave_result(run, name, DATA_SHA256)
        (reports / "experiments" / name / "checkpoints").mkdir()

    execution(leave_result_and_checkpoint)
    name = identity(run, DATA_SHA256)
    execute(run, name, DATA_SHA256)
    assert not (reports / "experiments" / name / "checkpoints").exists()


@pytest.mark.fault("a damaged result of an experiment")
def test_a_run_with_a_damaged_result_is_executed_again(execution, run):
    calls = execution(lambda name: leave_result(run, name, DATA_SHA256))
    name = identity(run, DATA_SHA256)
    result = leave_result(run, name, DATA_SHA256)
    metrics_path(name).write_text("{}", encoding="utf-8")
    assert execute(run, name, DATA_SHA256) == result
    assert len(calls) == 1


def test_a_worker_with_other_code_refuses_the_run(execution, run, project):
    calls = execution(lambda name: leave_result(run, name, DATA_SHA256))
    expected = identity(run, DATA_SHA256)
    edit(project / "experiment.ipynb", "layers.Dense(512", "layers.Dense(513")
    with pytest.raises(UserError, match="this worker has other code or another lock than the sweep"):
        execute(run, expected, DATA_SHA256)
    assert calls == []


@pytest.mark.fault("a full disk, while experiments run")
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        UserError("experiment, code cell 9 failed: OSError: [Errno 28] No space left on device: 'x'"),
    ],
)
def test_a_worker_distinguishes_a_full_disk_from_a_failed_run(execution, run, error):
    def fail(name):
        raise error

    execution(fail)
    with pytest.raises(DiskFullError, match="the disk is full"):
        execute(run, identity(run, DATA_SHA256), DATA_SHA256)


def test_a_failed_run_is_a_user_error(execution, run):
    def fail(name):
        raise PermissionError(errno.EACCES, "Permission denied")

    execution(fail)
    with pytest.raises(UserError, match="Permission denied") as error:
        execute(run, identity(run, DATA_SHA256), DATA_SHA256)
    assert not isinstance(error.value, DiskFullError)


@pytest.mark.fault("code, packages or data that change while an experiment runs")
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("experiment.ipynb", "layers.Dense(512", "layers.Dense(513"),
        ("coursework/training.py", "PREDICTION_BATCH_SIZE = 125", "PREDICTION_BATCH_SIZE = 126"),
        ("requirements.txt", "\nnumpy==", "\nnumpy==9"),
    ],
)
def test_code_or_a_lock_that_changes_during_a_run_leaves_no_result(execution, run, project, name, old, new):
    def leave_result_and_edit(run_identity):
        leave_result(run, run_identity, DATA_SHA256)
        edit(project / name, old, new)

    execution(leave_result_and_edit)
    run_identity = identity(run, DATA_SHA256)
    with pytest.raises(UserError, match="the code or the lock was changed during the run"):
        execute(run, run_identity, DATA_SHA256)
    assert read_result(run, run_identity, DATA_SHA256) is None


@pytest.mark.fault("code, packages or data that change while an experiment runs")
def test_a_worker_with_other_data_leaves_no_result(execution, run):
    execution(lambda name: leave_result(run, name, "e" * 64))
    name = identity(run, DATA_SHA256)
    with pytest.raises(UserError, match="it was trained on other data"):
        execute(run, name, DATA_SHA256)
    with pytest.raises(DamagedResultError):
        read_result(run, name, DATA_SHA256)


@pytest.mark.fault("an experiment that two workers are given at once")
def test_a_run_that_two_workers_execute_at_once_is_executed_once(execution, run):
    def leave_result_slowly(name):
        time.sleep(0.5)
        leave_result(run, name, DATA_SHA256)

    calls = execution(leave_result_slowly)
    name = identity(run, DATA_SHA256)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: execute(run, name, DATA_SHA256), range(2)))
    assert results[0] == results[1]
    assert len(calls) == 1
