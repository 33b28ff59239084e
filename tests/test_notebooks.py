import re
import urllib.parse

import nbformat
import pytest

from pipeline.parameters import NOTEBOOKS_FOLDER, REPORTED_NOTEBOOKS


@pytest.fixture(params=[*REPORTED_NOTEBOOKS, "experiment"])
def notebook(request):
    return nbformat.read(NOTEBOOKS_FOLDER / f"{request.param}.ipynb", as_version=4)


reported = pytest.mark.parametrize("notebook", REPORTED_NOTEBOOKS, indirect=True)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_is_valid_and_stripped_of_outputs(notebook):
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in code_cells(notebook))


def test_defines_no_function_or_class_and_stars_no_import(notebook):
    for cell in code_cells(notebook):
        assert not re.search(r"^\s*(def|class) |import \*", cell.source, re.MULTILINE)


def test_has_one_parameters_cell_of_typed_literals_with_a_comment_each(notebook):
    (cell,) = (cell for cell in code_cells(notebook) if "parameters" in cell.metadata.get("tags", []))
    for line in cell.source.splitlines():
        assert re.fullmatch(r"\w+: (int|float|str|list|bool) = \S.*", line), line
        assert "#" in line or line.startswith("group_members")


@reported
def test_has_the_headings_in_the_order_a_reader_asks(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[:3] == ["Introduction", "Setup", "Data"]
    assert headings[-1] == "Conclusion"
    assert re.match(r"# Convolutional neural networks, part \d", notebook.cells[0].source)


def test_reads_no_test_labels_of_fashion_mnist(notebook):
    text = "\n".join(cell.source for cell in notebook.cells)
    assert "test_labels" not in text
    if "fashion" in text.lower():
        assert "y_test" not in text  # which the official split has


def test_calls_the_data_once_and_in_no_absolute_place(notebook):
    text = "\n".join(cell.source for cell in notebook.cells)
    assert len(re.findall(r"utilities\.load_(?!experiments)", text)) == (0 if "part 3:" in text else 1)
    assert len(re.findall(r"utilities\.load_experiments", text)) <= 1
    assert not re.search(r"['\"]/", text)


def test_no_line_of_text_begins_like_a_list_by_chance(notebook):
    """A year at the beginning of a line, before a bracket, is the number of an item to JupyterLab."""
    lines = [line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    assert not [line for line in lines if re.match(r"\s*\d{3,}[.)]", line)]


def test_the_second_cell_says_how_to_run_it_by_hand_and_no_report_has_it(notebook):
    hint = notebook.cells[1]
    assert hint.cell_type == "markdown" and hint.source.startswith("**Run by hand**")
    assert hint.metadata.tags == ["by-hand", "remove-cell"]
    declared = dict(re.findall(r"^(\w+: \w+) = (\S+)", notebook.cells[2].source, re.MULTILINE))
    for parameter, value in re.findall(r"`(\w+: \w+) = ([\d.]+)`", hint.source):
        assert value != declared[parameter], "what it is already"


def test_the_welcome_names_every_notebook_and_its_links_lead_somewhere():
    welcome = nbformat.read(NOTEBOOKS_FOLDER / "welcome.ipynb", as_version=4)
    nbformat.validate(welcome)
    assert all(not cell.outputs and cell.execution_count is None for cell in code_cells(welcome))
    text = "\n".join(cell.source for cell in welcome.cells)
    links = [urllib.parse.unquote(link) for link in re.findall(r"\]\(([^)]+)\)", text)]
    assert all((NOTEBOOKS_FOLDER / link).exists() for link in links)
    assert {path.name for path in NOTEBOOKS_FOLDER.glob("*.ipynb")} - set(links) == {"welcome.ipynb"}
