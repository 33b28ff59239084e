import errno
import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from coursework import checkpoint, files
from pipeline.errors import UserError
from pipeline.experiments import run as experiment_run
from pipeline.experiments.grid import read_grid
from pipeline.experiments.run import DamagedResultError, DiskFullError, execute, identity, read_result
from tests.pipeline.experiment_runs import DATA_SHA256, folder, leave_result, metrics_path, write_grid

__all__ = ["folder"]  # a fixture
ROOT = files.ROOT
NAME = "0123456789abcdef"


@pytest.fixture
def run(folder):
    return read_grid(write_grid(folder))[0]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the files that an identity is computed from, and of those that it must not depend on."""
    copy = tmp_path / "project"
    shutil.copytree(ROOT / "coursework", copy / "coursework", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("notebooks/experiment.ipynb", "requirements.txt"):
        shutil.copy2(ROOT / name, copy)  # with its time, so that an edit changes the time
    monkeypatch.setattr(checkpoint, "__file__", str(copy / "coursework" / "checkpoint.py"))
    monkeypatch.setattr(experiment_run, "EXPERIMENT", copy / "experiment.ipynb")
    monkeypatch.setattr(experiment_run, "LOCK_FILE", copy / "requirements.txt")
    return copy


def edit(path, pattern, new):
    text, count = re.subn(pattern, new, path.read_text(encoding="utf-8"), count=1)
    assert count == 1
    path.write_text(text, encoding="utf-8")


DENSE = "experiment.ipynb", r"layers.Dense\(512", "layers.Dense(513"


@pytest.mark.parametrize(
    ("name", "pattern", "new", "changes"),
    [
        (*DENSE, True),
        ("coursework/optimizers.py", r"round\(warmup \* steps\)", "round(warmup * steps) + 1", True),
        ("requirements.txt", "\nml-dtypes==", "\nml-dtypes==9", True),  # which TensorFlow and Keras require
        ("requirements.txt", r"(?s)(\nkeras==.*?sha256:)\w{8}", r"\g<1>00000000", True),  # another file of it
        ("experiment.ipynb", "learning_rate: float = 1.2e-3", "learning_rate: float = 1.3e-3", False),  # a parameter
        ("requirements.txt", "\njupyterlab==", "\njupyterlab==9", False),
        ("requirements.txt", "    #   keras\n", "    #   another-package\n    #   keras\n", False),
    ],
)
def test_the_identity_depends_on_the_computing_code_and_packages(run, project, name, pattern, new, changes):
    before = identity(run, DATA_SHA256)
    edit(project / name, pattern, new)
    assert (identity(run, DATA_SHA256) != before) == changes


def test_the_identity_depends_on_parameters_seed_and_data(folder):
    runs = read_grid(write_grid(folder))
    assert len({identity(run, data) for run in runs for data in (DATA_SHA256, "e" * 64)}) == 2 * len(runs) == 12


def test_a_result_has_the_scores_and_an_entry_for_each_epoch(run):
    result = leave_result(run, NAME, DATA_SHA256)
    metrics = json.loads(metrics_path(NAME).read_text(encoding="utf-8"))
    assert result["row"]["validation_f1"] == metrics["scores"]["validation"]["f1"]
    assert [row["epoch"] for row in result["epochs"]] == [1, 2]
    assert [row["val_f1"] for row in result["epochs"]] == metrics["trainings"]["variant"]["history"]["val_f1"]
    assert result["row"]["processor_seconds"] == 1.5
    edit(metrics_path(NAME), '"restored_seconds": 0.0', '"restored_seconds": 0.7')  # it was interrupted and resumed
    assert read_result(run, NAME, DATA_SHA256)["row"]["processor_seconds"] is None
    (experiment_run.RUNS_FOLDER / NAME / "experiment.ipynb").unlink()  # it is not finished
    assert read_result(run, NAME, DATA_SHA256) is None


DAMAGES = {
    "other parameters": lambda metrics: metrics["parameters"].update(dropout=0.7),
    "other data": lambda metrics: metrics.update(data_sha256="e" * 64),
    "other packages than the lock's": lambda metrics: metrics["versions"].update(keras="2.0.0"),
    "an epoch less": lambda metrics: metrics["trainings"]["variant"]["history"]["val_f1"].pop(),
    "an impossible score": lambda metrics: metrics["scores"]["validation"].update(f1=1.5),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_result_with_a_wrong_value_is_damaged(run, damage):
    leave_result(run, NAME, DATA_SHA256)
    metrics = json.loads(metrics_path(NAME).read_text(encoding="utf-8"))
    damage(metrics)
    metrics_path(NAME).write_text(json.dumps(metrics), encoding="utf-8")
    with pytest.raises(DamagedResultError, match=rf"reports/experiments/{NAME}/metrics/experiment\.json: "):
        read_result(run, NAME, DATA_SHA256)


@pytest.fixture
def execution(folder, monkeypatch):
    """Replaces the execution of the notebook, and counts the executions."""
    calls = []

    def replace(function):
        def execute_notebook(source, target, parameters, show):
            calls.append(parameters)
            function(target.parent.name)

        monkeypatch.setattr(experiment_run, "execute_notebook", execute_notebook)
        return calls

    return replace


def test_a_run_is_executed_once_with_its_parameters_and_again_if_its_result_is_damaged(execution, run):
    def leave_result_and_checkpoint(name):
        leave_result(run, name, DATA_SHA256)
        (experiment_run.RUNS_FOLDER / name / "checkpoints").mkdir()

    calls, name = execution(leave_result_and_checkpoint), identity(run, DATA_SHA256)
    results = [execute(run, name, DATA_SHA256) for _ in range(2)]
    assert calls == [run.parameters | {"profile": f"experiments/{name}"}]
    assert results[0] == results[1] == read_result(run, name, DATA_SHA256)
    assert not (experiment_run.RUNS_FOLDER / name / "checkpoints").exists()
    metrics_path(name).write_text("{}", encoding="utf-8")
    assert execute(run, name, DATA_SHA256) == results[0]
    assert len(calls) == 2


def test_a_run_that_two_workers_execute_at_once_is_executed_once(execution, run):
    def leave_result_slowly(name):
        time.sleep(0.5)
        leave_result(run, name, DATA_SHA256)

    calls, name = execution(leave_result_slowly), identity(run, DATA_SHA256)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: execute(run, name, DATA_SHA256), range(2)))
    assert results[0] == results[1]
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (UserError("experiment, code cell 9 failed: OSError: [Errno 28] No space left on device: 'x'"), True),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (UserError("experiment, code cell 28 failed"), False),
    ],
)
def test_a_worker_distinguishes_a_full_disk_from_a_failed_run(execution, run, error, full):
    def fail(name):
        raise error

    execution(fail)
    with pytest.raises(UserError, match="the disk is full" if full else error.args[-1]) as raised:
        execute(run, identity(run, DATA_SHA256), DATA_SHA256)
    assert isinstance(raised.value, DiskFullError) == full


def test_a_worker_with_other_code_refuses_the_run(execution, run, project):
    calls, expected = execution(lambda name: leave_result(run, name, DATA_SHA256)), identity(run, DATA_SHA256)
    edit(project / DENSE[0], *DENSE[1:])
    with pytest.raises(UserError, match="this worker has other code or another lock than the sweep"):
        execute(run, expected, DATA_SHA256)
    assert calls == []


def test_code_that_changes_during_a_run_leaves_no_result(execution, run, project):
    def leave_result_and_edit(name):
        leave_result(run, name, DATA_SHA256)
        edit(project / DENSE[0], *DENSE[1:])

    execution(leave_result_and_edit)
    name = identity(run, DATA_SHA256)
    with pytest.raises(UserError, match="the code or the lock was changed during the run"):
        execute(run, name, DATA_SHA256)
    assert read_result(run, name, DATA_SHA256) is None
