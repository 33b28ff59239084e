import re
import urllib.parse

import nbformat
import pytest

from pipeline.parameters import NOTEBOOKS_FOLDER, REPORTED_NOTEBOOKS


def read(name):
    return nbformat.read(NOTEBOOKS_FOLDER / f"{name}.ipynb", as_version=4)


@pytest.fixture(params=[*REPORTED_NOTEBOOKS, "experiment"])
def notebook(request):
    return read(request.param)


def text_of(notebook):
    return "\n".join(cell.source for cell in notebook.cells)


@pytest.mark.parametrize("name", [*REPORTED_NOTEBOOKS, "experiment", "welcome"])
def test_a_notebook_is_valid_and_stripped_of_outputs(name):
    notebook = read(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_a_notebook_defines_nothing_and_reaches_its_helpers_through_utilities(notebook):
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert not re.search(r"^\s*(def|class) ", code, re.MULTILINE)
    assert not re.search(r"import \*|\bfrom utilities\b|\b(coursework|pipeline)\b", code)


def test_the_parameters_are_typed_literals_with_a_comment_each(notebook):
    (declarations,) = (cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    for line in declarations.splitlines():
        assert re.fullmatch(r"\w+: (int|float|str|list|bool) = \S.*", line), line
        assert "#" in line or line.startswith("group_members")


def test_a_notebook_loads_its_data_once_and_no_test_labels_of_fashion_mnist(notebook):
    text = text_of(notebook)
    assert len(re.findall(r"utilities\.load_(?:mnist|fashion_mnist)\b", text)) == (0 if "part 3:" in text else 1)
    assert "test_labels" not in text
    assert "fashion" not in text.lower() or "y_test" not in text  # which the official split has


def test_a_notebook_names_no_absolute_path(notebook):
    assert not re.search(r"['\"]/", text_of(notebook))


def test_the_second_cell_says_how_to_run_it_by_hand_with_other_values_and_no_report_has_it(notebook):
    hint = notebook.cells[1]
    assert hint.metadata.tags == ["by-hand", "remove-cell"]
    declared = dict(re.findall(r"^(\w+: \w+) = (\S+)", notebook.cells[2].source, re.MULTILINE))
    for parameter, value in re.findall(r"`(\w+: \w+) = ([\d.]+)`", hint.source):
        assert value != declared[parameter]


def test_the_welcome_page_links_to_every_notebook_and_its_links_lead_somewhere():
    links = {urllib.parse.unquote(link) for link in re.findall(r"\]\(([^)]+)\)", text_of(read("welcome")))}
    assert [link for link in links if not (NOTEBOOKS_FOLDER / link).exists()] == []
    assert {path.name for path in NOTEBOOKS_FOLDER.glob("*.ipynb")} - links == {"welcome.ipynb"}
