"""Create the environment, and in it that of Kaggle's client: `python3 pipeline/set_up.py .venv`.

`.venv-gpu` gets TensorFlow for a GPU in place of its CPU build.

Uses the standard library only.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from lock import acquire

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "requirements.txt"
CLIENT_PACKAGES = ROOT / "pipeline" / "kaggle.txt"
GPU_PACKAGES = ROOT / "pipeline" / "gpu.txt"
SUPPORTED = [(3, 11), (3, 12), (3, 13)]


def supported_python() -> str:
    """The running Python if TensorFlow has wheels for it, otherwise a supported one on the path."""
    if sys.version_info[:2] in SUPPORTED:
        return sys.executable
    for major, minor in reversed(SUPPORTED):
        python = shutil.which(f"python{major}.{minor}")
        if python and subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0:
            return python
    sys.exit(
        f"error: this is Python {sys.version_info.major}.{sys.version_info.minor}, which TensorFlow does not support. "
        "Install Python 3.11, 3.12 or 3.13, or choose one: make PYTHON=/path/to/python3.12 ..."
    )


def main() -> None:
    folder = Path(sys.argv[1])
    gpu = folder.name == ".venv-gpu"
    if gpu and (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.exit("error: GPU=1 needs Linux on x86-64, where TensorFlow supports a GPU: run make without it")
    python = supported_python()
    lock_file = acquire(folder.with_name(f"{folder.name}.lock"), "the set-up of the environment")
    os.set_inheritable(lock_file, True)  # child processes keep the lock if this process is killed
    complete = folder / ".complete"
    newest = max(path.stat().st_mtime for path in (PACKAGES, CLIENT_PACKAGES, *[GPU_PACKAGES] * gpu))
    if complete.exists() and complete.stat().st_mtime >= newest:  # another make created it meanwhile
        return
    if folder.is_symlink():
        sys.exit(
            f"error: {folder} is a link to {folder.resolve()}, which is older than its list of packages and may "
            "serve other folders: run make where it belongs, or remove the link to create an environment here"
        )
    cost = f"{'several minutes' if gpu else 'a minute or two'}; about {4 if gpu else 0.6} GB to download the first time"
    print(f"Creating the environment in {folder} ({cost}) ...", flush=True)
    run([python, "-m", "venv", "--clear", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run([*pip, "install", "--require-hashes", "-r", str(PACKAGES)])
    if gpu:
        run([*pip, "uninstall", "--yes", "tensorflow-cpu"])
        run([*pip, "install", "--require-hashes", "-r", str(GPU_PACKAGES)])
    run([*pip, "install", "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT)])
    client = str(folder / "kaggle")
    run([pip[0], "-m", "venv", "--without-pip", client])
    run([*pip, "--python", client, "install", "--require-hashes", "-r", str(CLIENT_PACKAGES)])
    # Matplotlib lists the machine's fonts once, and would print that in the first notebook.
    settings = {"MPLCONFIGDIR": str(folder.resolve() / "settings" / "matplotlib")}  # as in pipeline.run_notebook
    run([pip[0], "-c", "import matplotlib.font_manager"], check=False, env=dict(os.environ, **settings))
    complete.touch()


def run(command: list[str], check: bool = True, **options) -> None:
    """Run a command that inherits the lock and ignores Ctrl-C."""

    def ignore_interrupts() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    subprocess.run(command, check=check, close_fds=False, preexec_fn=ignore_interrupts, **options)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {' '.join(map(str, error.cmd[:4]))} failed; its output above says why. Run make again.")
    except OSError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
