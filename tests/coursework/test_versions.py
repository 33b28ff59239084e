import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from coursework import session, versions
from tests.running import copy_project, environment, write_notebook

PART2 = {"iteration1_epochs": 1, "iteration2_epochs": 1, "iteration3_epochs": 2}
SMALL = {
    "part1_mnist": {"epochs": 2, "training_images": 600},
    "part2_fashion_mnist": PART2 | {"iteration3_convolutions": "8 pool, 16 pool", "training_images": 600},
    "part3_experiments": {},
}


def test_a_package_that_is_too_old_is_refused(monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "3.9.2" if name == "keras" else version(name))
    with pytest.raises(ImportError, match=r"keras 3.9.2 \(expected at least .*\). Run `pip install --upgrade keras`"):
        session.start(1)


@pytest.fixture(scope="module")
def oldest(tmp_path_factory):
    """An environment with the oldest versions, and what executes notebooks; it needs a network or uv's cache."""
    folder = tmp_path_factory.mktemp("oldest")
    uv, python = Path(sys.prefix) / "bin" / "uv", folder / "environment" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, python.parents[1]], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", python, "nbclient", "-r", versions.OLDEST_FILE]
    subprocess.run(install, check=True)
    return python, copy_project(folder / "project")


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="these versions have no wheels for Python 3.13")
@pytest.mark.parametrize("name", SMALL)
def test_the_notebooks_run_by_hand_with_the_oldest_versions(oldest, tmp_path, name):
    python, project = oldest
    write_notebook(tmp_path / f"{name}.ipynb", SMALL[name])
    variables = environment(project) | {"JUPYTER_PREFER_ENV_PATH": "1"}
    command = [python.with_name("jupyter-execute"), "--kernel_name=python3", tmp_path / f"{name}.ipynb"]
    subprocess.run(command, check=True, env=variables, cwd=tmp_path)
    metrics = json.loads((project / "reports" / "by_hand" / "metrics" / f"{name}.json").read_text())
    assert metrics["versions"]["keras"] == "3.10.0"
