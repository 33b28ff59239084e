import json
import subprocess
import sys

import pandas as pd
import pytest

from coursework import files, run_record


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a metrics file with a score and one training, and returns its content."""
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path)
    history = pd.DataFrame({"val_f1": [0.5, 0.75, 0.625], "seconds": [1.0, 2.0, 3.5]}, index=[1, 2, 3])
    history.attrs["restored_seconds"] = 10_000.0
    given = {"parameters": {"seed": 7}, "histories": {"lenet5": history}, "data_sha256": "abc"}
    return lambda f1: run_record.write_metrics("part1_mnist", "smoke", scores={"f1": f1}, **given)


def test_the_declared_parameters_leave_out_the_variables_of_a_reader():
    namespace = {}
    exec("seed: int = 1\nepochs: int = 20\niteration4_history = object()\nseed = 2", namespace)
    assert run_record.declared_parameters(namespace) == {"seed": 2, "epochs": 20}


def test_the_metrics_file_holds_parameters_scores_and_histories(write, tmp_path):
    content = write(0.7)
    assert json.loads((tmp_path / "smoke" / "metrics" / "part1_mnist.json").read_text()) == content
    assert (content["parameters"], content["scores"], content["data_sha256"]) == ({"seed": 7}, {"f1": 0.7}, "abc")
    assert 10_000 < content["duration_seconds"] < 20_000  # with the restored epochs
    training = content["trainings"]["lenet5"]
    assert (training["epochs"], training["best_epoch"], training["seconds"]) == (3, 2, 6.5)
    assert training["history"]["val_f1"] == [0.5, 0.75, 0.625]


SHELL = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import time; from coursework import session; session.start(0); print(session.running_seconds())")
time.sleep(3)
shell.run_cell("time.sleep(1); print(session.running_seconds())")
"""


def test_the_duration_leaves_out_the_time_between_cells():
    command = [sys.executable, "-c", SHELL]
    first, second = map(float, subprocess.check_output(command, cwd=files.ROOT, text=True).split())
    assert 0.9 < second - first < 3


def test_a_score_that_is_not_finite_is_rejected(write, tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(float("nan"))
    assert not list(tmp_path.rglob("*.json"))
