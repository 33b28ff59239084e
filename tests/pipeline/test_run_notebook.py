"""How a notebook is run: what its kernel finds, what its executed copy contains, how failures are reported."""

import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

import notebook_pdf
from coursework import files
from notebook_pdf import lossless
from pipeline import run_notebook
from pipeline.errors import UserError

HOSTILE = [
    '#read("/etc/passwd")',
    "$(shell touch stolen) `touch stolen` ; touch stolen",
    '"; import os; os.system("touch stolen"); "',
    "'''; raise SystemExit; '''",
    "\\\\ \\n \\u0041 \\x41",
    "{{ cell }} {% raw %} #panic() @reference <label> $x$ // *strong* _emphasis_ = heading",
]


@pytest.fixture
def run_cell(tmp_path, monkeypatch):
    """Runs a notebook with one cell and the parameters of part 1 as if it were part 1, in folders of its own."""
    notebook = nbformat.read(files.ROOT / "notebooks" / "part1_mnist.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    monkeypatch.setattr(run_notebook, "NOTEBOOKS_FOLDER", tmp_path)
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")

    def run(*lines):
        notebook.cells.append(new_code_cell("\n".join(lines)))
        nbformat.write(notebook, tmp_path / "part1_mnist.ipynb")
        return nbformat.read(run_notebook.run_notebook("part1_mnist", "smoke"), as_version=4).cells[-1].outputs

    return run


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 / 0", r"part1_mnist, code cell 3 failed: ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(0)", r"part1_mnist, code cell 3 calls `exit\(\)` or raises SystemExit"),
        ("quit()", r"part1_mnist, code cell 3 calls `exit\(\)` or raises SystemExit"),
        ("import os; os.kill(os.getpid(), 9)", "the kernel died, most likely for lack of memory"),
    ],
)
def test_a_failing_cell_is_named_and_leaves_no_finished_notebook(run_cell, tmp_path, monkeypatch, line, message):
    monkeypatch.setattr(files, "ROOT", tmp_path)  # relative to which the message names the file
    with pytest.raises(UserError, match=message) as error:
        run_cell(line)
    assert "The notebook with its output so far: reports/smoke/part1_mnist.failed.ipynb" in str(error.value)
    assert [path.name for path in (tmp_path / "reports" / "smoke").iterdir()] == ["part1_mnist.failed.ipynb"]


def test_a_kernel_that_dies_while_it_starts_is_reported(run_cell, monkeypatch):
    def die(*arguments, **options):
        raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(run_notebook.papermill, "execute_notebook", die)
    with pytest.raises(UserError, match=r"part1_mnist: the kernel died, .* while it started \(Kernel died before"):
        run_cell("1")


def test_a_kernel_ignores_the_home_folder_and_imports_the_code_of_this_checkout(run_cell, tmp_path, monkeypatch):
    """The home folder has settings that would change results, and another checkout is before this one on the path."""
    for name, text in (
        (".keras/keras.json", '{"floatx": "float64", "backend": "jax"}'),
        (".ipython/profile_default/startup/0.py", "seed = 'mine'"),
        ("other/utilities.py", "ROOT = 'another checkout'"),
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    for variable, value in (("HOME", tmp_path), ("PYTHONPATH", tmp_path / "other"), ("KERAS_BACKEND", "jax")):
        monkeypatch.setenv(variable, str(value))
    (printed,) = run_cell(
        "import keras, matplotlib, utilities",
        "print(keras.config.floatx(), keras.config.backend(), seed, matplotlib.get_configdir(), f'<{utilities.ROOT}>')",
    )
    *settings, matplotlib, root = printed.text.split()
    assert settings == ["float32", "tensorflow", "1"] and matplotlib.endswith(".venv/settings/matplotlib")
    assert root == "<>"  # the root, which an executed notebook does not name


def test_streams_are_joined_and_paths_are_relative_to_the_project_or_the_home(run_cell):
    outputs = run_cell(
        "import sys, time, warnings",
        "from pathlib import Path",
        f"print(Path({str(files.ROOT)!r}) / 'data', sys.path, flush=True)",
        "time.sleep(0.4)",
        "print('more')",
        "warnings.warn('careful')",
        "Path.home() / 'secret', [sys.executable]",
    )
    assert [output.output_type for output in outputs] == ["stream", "stream", "execute_result"]
    text = json.dumps(outputs)
    assert "a cell:6: UserWarning: careful" in text and "~/secret" in text
    assert [place for place in (files.ROOT, Path.home(), "ipykernel_") if f"{place}/" in text] == []


def test_hostile_names_in_handin_yaml_are_printed_as_they_are(run_cell, tmp_path, monkeypatch):
    handin = {"course": HOSTILE[0], "group_number": 1, "group_name": HOSTILE[2], "group_members": HOSTILE}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_notebook, "read_handin", lambda: handin)
    (printed,) = run_cell("print(group_name)", r"print(*group_members, sep='\n')")
    assert printed.text.splitlines() == [HOSTILE[2], *HOSTILE]
    notebook_pdf.export(tmp_path / "reports" / "smoke" / "part1_mnist.ipynb", tmp_path / "part1.pdf")
    text = lossless.pdf_text((tmp_path / "part1.pdf").read_bytes(), margin=0)
    for name in HOSTILE:
        assert text.count("".join(name.split())) >= 2, name  # in the title and in the output
    assert not list(tmp_path.rglob("stolen"))
