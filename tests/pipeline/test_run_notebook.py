"""How a notebook is run: what its kernel finds, what its executed copy contains, how failures are reported."""

import json
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from coursework import files
from pipeline import run_notebook
from pipeline.errors import UserError


@pytest.fixture
def run_cell(tmp_path, monkeypatch):
    """Runs a notebook with one cell and the parameters of part 1 as if it were part 1, in folders of its own."""
    notebook = nbformat.read(files.ROOT / "notebooks" / "part1_mnist.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    monkeypatch.setattr(run_notebook, "NOTEBOOKS_FOLDER", tmp_path)
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")

    def run(source):
        notebook.cells.append(new_code_cell(source))
        nbformat.write(notebook, tmp_path / "part1_mnist.ipynb")
        return run_notebook.run_notebook("part1_mnist", "smoke")

    return run


def outputs_of_last_cell(path):
    return nbformat.read(path, as_version=4).cells[-1].outputs


@pytest.fixture
def output(tmp_path, monkeypatch):
    """The output folder of `run_cell`, in a project of its own, relative to which messages name it."""
    monkeypatch.setattr(files, "ROOT", tmp_path)
    return tmp_path / "reports" / "smoke"


# --- Failures -------------------------------------------------------------------------------------


@pytest.mark.fault("a notebook's cell that raises")
def test_a_failing_cell_is_named_and_leaves_no_finished_notebook(run_cell, output):
    message = r"part1_mnist, code cell 3 failed: ZeroDivisionError: division by zero"
    with pytest.raises(UserError, match=message) as error:
        run_cell("1 / 0")
    assert "reports/smoke/part1_mnist.failed.ipynb" in str(error.value)
    assert [path.name for path in output.iterdir()] == ["part1_mnist.failed.ipynb"]


@pytest.mark.parametrize("end", ["sys.exit(0)", "raise SystemExit", "exit()", "quit()"])
def test_a_cell_that_exits_is_named_and_leaves_no_finished_notebook(run_cell, output, end):
    with pytest.raises(UserError, match=r"part1_mnist, code cell 3 calls `exit\(\)` or raises SystemExit"):
        run_cell(f"import sys\n{end}")
    assert [path.name for path in output.iterdir()] == ["part1_mnist.failed.ipynb"]


@pytest.mark.fault("a kernel killed, as for lack of memory")
def test_a_killed_kernel_is_reported_and_leaves_no_finished_notebook(run_cell, output):
    with pytest.raises(UserError, match="the kernel died, most likely for lack of memory") as error:
        run_cell("print('before')\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert "The notebook with its output so far: reports/smoke/part1_mnist.failed.ipynb" in str(error.value)
    assert [path.name for path in output.iterdir()] == ["part1_mnist.failed.ipynb"]


def test_a_kernel_that_dies_while_it_starts_is_reported(run_cell, monkeypatch):
    def die(*arguments, **options):
        raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(run_notebook.papermill, "execute_notebook", die)
    with pytest.raises(UserError, match=r"part1_mnist: the kernel died, .* while it started \(Kernel died before"):
        run_cell("1")


# --- The kernel -----------------------------------------------------------------------------------


@pytest.fixture
def hostile_home(tmp_path, monkeypatch):
    """A home folder with settings that would change results, and another checkout before this one on the path."""
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"floatx": "float64", "backend": "jax"}')
    startup = tmp_path / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "0.py").write_text("seed = 'mine'")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "utilities.py").write_text("ROOT = 'another checkout'")
    for variable, value in (("HOME", tmp_path), ("PYTHONPATH", tmp_path / "other"), ("KERAS_BACKEND", "jax")):
        monkeypatch.setenv(variable, str(value))


def test_a_kernel_ignores_the_settings_in_the_home_folder(run_cell, hostile_home):
    lines = ["import keras, matplotlib", "print(keras.config.floatx(), keras.config.backend(), seed)"]
    lines += ["print(matplotlib.get_configdir())"]
    (printed,) = outputs_of_last_cell(run_cell("\n".join(lines)))
    settings = Path(sys.prefix).relative_to(files.ROOT) / "settings" / "matplotlib"
    assert printed.text == f"float32 tensorflow 1\n{settings}\n"


def test_a_kernel_imports_the_code_of_this_checkout(run_cell, hostile_home):
    (printed,) = outputs_of_last_cell(run_cell("import utilities\nprint(f'<{utilities.ROOT}>')"))
    assert printed.text == "<>\n"  # the root, which an executed notebook does not name


# --- The executed copy ----------------------------------------------------------------------------


def test_the_pieces_of_a_stream_are_joined(run_cell):
    path = run_cell("import time\nfor i in range(3):\n    print(i, flush=True)\n    time.sleep(0.4)")
    assert [output.text for output in outputs_of_last_cell(path)] == ["0\n1\n2\n"]


def test_paths_in_outputs_are_relative_to_the_project_or_the_home(run_cell):
    lines = ["import sys, warnings", "from pathlib import Path", "warnings.warn('careful')"]
    lines += [f"print(Path({str(files.ROOT)!r}) / 'data', sys.path)", "Path.home() / 'secret', [sys.executable]"]
    outputs = json.dumps(outputs_of_last_cell(run_cell("\n".join(lines))))
    assert "a cell:3: UserWarning: careful" in outputs
    assert "~/secret" in outputs
    for place in (files.ROOT, Path.home(), "ipykernel_"):
        assert f"{place}/" not in outputs


def tidied(table, address, cell):
    """An executed notebook, tidied, with a styled table and the random parts of its output and of its cell's ids."""
    html = f'<style>#T_{table} th {{}}</style><table id="T_{table}"><td id="T_{table}_row0_col0">'
    text = f"<pandas.io.formats.style.Styler at {address}>"
    outputs = [new_output("execute_result", execution_count=1, data={"text/html": html, "text/plain": text})]
    cells = [
        new_code_cell("x = 1", id=cell, metadata={"tags": ["injected-parameters"]}),
        new_code_cell("x", id="two", outputs=outputs),
    ]
    notebook = new_notebook(cells=cells, metadata={"papermill": {"start_time": "2026-01-01"}})
    return run_notebook.tidy(notebook, {}, None, ())


def test_random_names_and_addresses_are_removed():
    assert tidied("0a1b2", "0x7f66a775f210", "4c8e3d00") == tidied("c3d4e", "0x7f15e4852990", "b9430feb")
