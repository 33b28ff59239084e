"""The rules that the notebooks keep."""

import ast
import re
import urllib.parse

import nbformat
import pytest

import utilities
from pipeline.parameters import NOTEBOOKS_FOLDER, REPORTED_NOTEBOOKS


@pytest.fixture(params=[*REPORTED_NOTEBOOKS, "experiment"])
def notebook(request):
    return nbformat.read(NOTEBOOKS_FOLDER / f"{request.param}.ipynb", as_version=4)


reported = pytest.mark.parametrize("notebook", REPORTED_NOTEBOOKS, indirect=True)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(notebook):
    return "\n".join(cell.source for cell in notebook.cells)


def test_a_notebook_is_valid(notebook):
    nbformat.validate(notebook)


def test_a_notebook_is_stripped_of_outputs(notebook):
    assert all(not cell.outputs and cell.execution_count is None for cell in code_cells(notebook))


def test_a_notebook_defines_no_function_or_class(notebook):
    for cell in code_cells(notebook):
        assert not re.search(r"^\s*(def|class) ", cell.source, re.MULTILINE)


def test_a_notebook_reaches_its_helpers_through_utilities(notebook):
    for cell in code_cells(notebook):
        assert not re.search(r"import \*|\bfrom utilities\b|\b(coursework|pipeline)\b", cell.source)


def test_the_parameters_are_typed_literals_with_a_comment_each(notebook):
    (cell,) = (cell for cell in code_cells(notebook) if "parameters" in cell.metadata.get("tags", []))
    for line in cell.source.splitlines():
        assert re.fullmatch(r"\w+: (int|float|str|list|bool) = \S.*", line), line
        assert "#" in line or line.startswith("group_members")


@pytest.mark.parametrize("notebook", ["part1_mnist", "part2_fashion_mnist", "experiment"], indirect=True)
def test_the_metrics_hold_the_declared_parameters_and_no_variable_of_a_reader(notebook):
    sources = [cell.source for cell in code_cells(notebook)]
    (declarations,) = (cell.source for cell in code_cells(notebook) if "parameters" in cell.metadata.get("tags", []))
    namespace = {"iteration4_history": object(), "utilities": utilities}
    exec(declarations, namespace)
    for line in re.findall(r"^parameters = .+", "\n".join(sources), re.MULTILINE):
        exec(line, namespace)
    (call,) = (
        node
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "utilities.write_metrics"
    )
    (value,) = (keyword.value for keyword in call.keywords if keyword.arg == "parameters")
    parameters = eval(compile(ast.Expression(value), "parameters", "eval"), namespace)
    assert parameters.keys() - {"profile", "group_number", "group_name", "group_members"} == set(
        re.findall(r"^(?!profile|group)(\w+): ", declarations, re.MULTILINE)
    )


@reported
def test_a_part_begins_with_introduction_setup_and_data_and_ends_with_a_conclusion(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[:3] == ["Introduction", "Setup", "Data"]
    assert headings[-1] == "Conclusion"
    assert re.match(r"# Convolutional neural networks, part \d", notebook.cells[0].source)


def test_a_notebook_reads_no_test_labels_of_fashion_mnist(notebook):
    text = text_of(notebook)
    assert "test_labels" not in text
    if "fashion" in text.lower():
        assert "y_test" not in text  # which the official split has


def test_a_notebook_loads_its_data_once(notebook):
    text = text_of(notebook)
    assert len(re.findall(r"utilities\.load_(?:mnist|fashion_mnist)\b", text)) == (0 if "part 3:" in text else 1)
    assert len(re.findall(r"utilities\.load_experiments", text)) <= 1


def test_a_notebook_names_no_absolute_path(notebook):
    assert not re.search(r"['\"]/", text_of(notebook))


def test_no_line_of_text_begins_like_an_item_of_a_list_by_chance(notebook):
    """A year at the beginning of a line, before a bracket, is the number of an item to JupyterLab."""
    lines = [line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    assert not [line for line in lines if re.match(r"\s*\d{3,}[.)]", line)]


def test_the_second_cell_says_how_to_run_it_by_hand_and_no_report_has_it(notebook):
    hint = notebook.cells[1]
    assert hint.cell_type == "markdown" and hint.source.startswith("**Run by hand**")
    assert hint.metadata.tags == ["by-hand", "remove-cell"]


def test_the_values_for_runs_by_hand_differ_from_the_declared_ones(notebook):
    declared = dict(re.findall(r"^(\w+: \w+) = (\S+)", notebook.cells[2].source, re.MULTILINE))
    for parameter, value in re.findall(r"`(\w+: \w+) = ([\d.]+)`", notebook.cells[1].source):
        assert value != declared[parameter]


@pytest.fixture
def welcome():
    return nbformat.read(NOTEBOOKS_FOLDER / "welcome.ipynb", as_version=4)


def links_of(notebook):
    return [urllib.parse.unquote(link) for link in re.findall(r"\]\(([^)]+)\)", text_of(notebook))]


def test_the_welcome_page_is_valid_and_stripped_of_outputs(welcome):
    nbformat.validate(welcome)
    assert all(not cell.outputs and cell.execution_count is None for cell in code_cells(welcome))


def test_the_links_of_the_welcome_page_lead_somewhere(welcome):
    assert all((NOTEBOOKS_FOLDER / link).exists() for link in links_of(welcome))


def test_the_welcome_page_links_to_every_notebook(welcome):
    assert {path.name for path in NOTEBOOKS_FOLDER.glob("*.ipynb")} - set(links_of(welcome)) == {"welcome.ipynb"}
