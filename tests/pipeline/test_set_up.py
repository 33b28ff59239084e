import os
import shutil
import sys

import pytest

from tests.running import ROOT, run_command


@pytest.mark.parametrize("changed", ["requirements.txt", "pipeline/kaggle.txt", "pipeline/lock.py"])
def test_an_outdated_environment_behind_a_link_is_never_emptied(tmp_path, changed):
    project, environment = tmp_path / "project", tmp_path / "environment"
    (project / "pipeline").mkdir(parents=True)
    for name in ("requirements.txt", "pipeline/kaggle.txt", "pipeline/lock.py", "pipeline/set_up.py"):
        shutil.copyfile(ROOT / name, project / name)
        os.utime(project / name, (1, 1))
    environment.mkdir()
    (environment / ".complete").touch()
    (project / ".venv").symlink_to(environment)
    os.utime(project / changed, (2**32, 2**32))
    result, outdated = run_command(project, sys.executable, "pipeline/set_up.py", ".venv"), changed.endswith(".txt")
    assert (result.returncode, f".venv is a link to {environment}" in result.stderr) == (int(outdated), outdated)
    assert (environment / ".complete").exists()
