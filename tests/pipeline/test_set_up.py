"""The set-up of the environment."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.running import ROOT


@pytest.mark.parametrize(
    ("changed", "outdated"), [("requirements.txt", True), ("pipeline/kaggle.txt", True), ("pipeline/lock.py", False)]
)
def test_an_outdated_environment_behind_a_link_is_never_emptied(tmp_path, changed, outdated):
    project, environment = tmp_path / "project", tmp_path / "environment"
    for name in ("requirements.txt", "pipeline/kaggle.txt", "pipeline/lock.py", "pipeline/set_up.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, project / name)
        os.utime(project / name, (1, 1))
    environment.mkdir()
    (environment / ".complete").touch()
    (project / ".venv").symlink_to(environment)
    os.utime(project / changed, (2**32, 2**32))
    command = [sys.executable, "pipeline/set_up.py", ".venv"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert (result.returncode, f".venv is a link to {environment}" in result.stderr) == (int(outdated), outdated)
    assert (environment / ".complete").exists()
