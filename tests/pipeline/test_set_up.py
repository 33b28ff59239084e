"""The set-up of the environment."""

import subprocess
import sys

from tests.running import ROOT


def test_an_environment_behind_a_link_is_never_emptied(tmp_path):
    environment, link = tmp_path / "environment", tmp_path / ".venv"
    environment.mkdir()
    (environment / "package").touch()
    link.symlink_to(environment)
    command = [sys.executable, str(ROOT / "pipeline" / "set_up.py"), str(link)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert f"{link} is a link to {environment}" in result.stderr
    assert (environment / "package").exists()
