"""The parameters of notebooks: declarations, profiles, and the group's file."""

import os

import nbformat
import pytest

from pipeline import parameters
from pipeline.errors import UserError

NOTEBOOK = """\
name: str = "x"  # any text
epochs: int = 20  # in [1, 1000]: passes over the images
rate: float = 1e-3  # in (0, 1]: of Adam
share: float = 0.5  # in (0, 1): held out
schedule: str = "cosine"  # in {constant, cosine}: how it falls
members: list = []  # names
"""


def write_notebook(folder, source):
    """A notebook with this cell of parameters."""
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=metadata), folder / "small.ipynb")
    return folder / "small.ipynb"


@pytest.fixture
def notebook(tmp_path):
    return write_notebook(tmp_path, NOTEBOOK)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": "", "epochs": 1, "rate": 1, "share": 0.001, "schedule": "constant", "members": ["a"]},
        {"epochs": 1000, "rate": 1.0},
    ],
)
def test_values_that_fit_are_accepted(notebook, values):
    parameters.check_parameters(notebook, values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epoch": 3}, "small.ipynb has no parameter epoch: did you mean epochs?"),
        ({"xyz": 3}, "it has name, epochs, rate, share, schedule, members"),
        ({"epochs": 0}, "epochs is 0, expected 1 to 1000"),
        ({"epochs": -1}, "epochs is -1, expected 1 to 1000"),
        ({"epochs": 1001}, "epochs is 1001"),
        ({"epochs": 1.5}, "epochs is 1.5, expected an integer"),
        ({"epochs": "20"}, "epochs is '20', expected an integer"),
        ({"epochs": True}, "epochs is True, expected an integer"),
        ({"epochs": None}, "epochs is None, expected an integer"),
        ({"rate": 0}, "rate is 0, expected above 0 to 1"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"rate": "fast"}, "rate is 'fast', expected a number"),
        ({"share": 0}, "share is 0, expected above 0 to below 1"),
        ({"share": 1}, "share is 1, expected above 0 to below 1"),
        ({"schedule": "linear"}, "schedule is 'linear', expected one of constant, cosine"),
        ({"members": "one"}, "members is 'one', expected a list"),
        ({"name": 3}, "name is 3, expected text"),
    ],
)
def test_values_that_do_not_fit_are_refused(notebook, values, words):
    with pytest.raises(UserError) as error:
        parameters.check_parameters(notebook, values)
    assert words in str(error.value)


def test_the_notebook_s_own_values_complete_the_parameters(notebook):
    assert parameters.check_parameters(notebook, {"epochs": 3, "members": ["a"]}) == {
        "name": "x",
        "epochs": 3,
        "rate": 1e-3,
        "share": 0.5,
        "schedule": "cosine",
        "members": ["a"],
    }


def test_a_value_that_the_notebook_declares_is_checked_too(tmp_path):
    notebook = write_notebook(tmp_path, "epochs: int = 0  # in [1, 9]: few")
    with pytest.raises(UserError, match=r"small\.ipynb: epochs is 0, expected 1 to 9"):
        parameters.check_parameters(notebook, {})


def test_a_value_that_is_not_a_literal_is_refused(tmp_path):
    notebook = write_notebook(tmp_path, "epochs: int = 2 * steps  # in [1, 9]: few")
    with pytest.raises(UserError, match=r"small\.ipynb: a parameter's value is not a literal such as 3 or 'text'"):
        parameters.check_parameters(notebook, {})


def test_an_edited_notebook_is_read_again(notebook, tmp_path):
    parameters.check_parameters(notebook, {"epochs": 30})
    write_notebook(tmp_path, NOTEBOOK.replace("[1, 1000]", "[1, 25]"))
    os.utime(notebook, (0, 0))  # the clock of the file system may be too coarse to tell the two versions apart
    with pytest.raises(UserError, match="epochs is 30, expected 1 to 25"):
        parameters.check_parameters(notebook, {"epochs": 30})


@pytest.mark.parametrize("text", ["", "not a notebook"])
def test_a_file_that_is_not_a_notebook_is_refused(tmp_path, text):
    (tmp_path / "small.ipynb").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"small\.ipynb can't be read as a notebook"):
        parameters.check_parameters(tmp_path / "small.ipynb", {})


@pytest.mark.parametrize("profile", sorted(path.stem for path in parameters.PROFILES_FOLDER.glob("*.yaml")))
@pytest.mark.parametrize("name", parameters.REPORTED_NOTEBOOKS)
def test_every_profile_fits_every_notebook(profile, name):
    group = {key: value for key, value in parameters.read_handin().items() if key.startswith("group_")}
    values = parameters.read_profile(profile, name) | group
    parameters.check_parameters(parameters.NOTEBOOKS_FOLDER / f"{name}.ipynb", values | {"profile": profile})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", -1),
        ("batch_size", 0),
        ("validation_share", 0),
        ("validation_share", 1.0),
        ("seed", 1.5),
        ("seed", "one"),
        ("seed", -1),
        ("learning_rate", 0),
        ("training_images", 60_001),
    ],
)
def test_part_1_declares_what_its_parameters_may_be(name, value):
    with pytest.raises(UserError, match=f"part1_mnist.ipynb: {name} is"):
        parameters.check_parameters(parameters.NOTEBOOKS_FOLDER / "part1_mnist.ipynb", {name: value})


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    monkeypatch.setattr(parameters, "PROFILES_FOLDER", tmp_path)

    def write(text):
        (tmp_path / "mine.yaml").write_text(text)
        return parameters.read_profile("mine", "part1_mnist")

    return write


def test_a_profile_sets_the_values_of_each_notebook(profiles):
    assert profiles("part1_mnist: {epochs: 3}\npart2_fashion_mnist: {seed: 2}") == {"epochs": 3}
    assert profiles("part2_fashion_mnist: {seed: 2}") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("part1: {epochs: 3}", "sets parameters of part1: expected part1_mnist, part2_fashion_mnist"),
        ("part1_mnist: [1]", "part1_mnist has no `parameter: value` lines"),
        ("part1_mnist: {profile: full}", "mine.yaml sets profile: the file's name is the profile"),
        ("part1_mnist: {group_name: B}", "mine.yaml sets group_name"),
        ("just text", "mine.yaml has no `name: value` lines: expected parameters of each notebook"),
        ("part1_mnist: {epochs: 3", "mine.yaml, line 1: not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []", "sets parameters of a"),
        ("a: !!python/name:os.getcwd ''", "line 1: '' is not a valid os.getcwd"),
        ("part1_mnist: {<<: {epochs: 3}}", r"line 1: a merge \(<<\) is not supported: write the lines out"),
        ("[1, 2]: 3", "line 1: a list or a mapping is not a valid key: expected a name"),
        ("part1_mnist: {epochs: 3}\npart1_mnist: {epochs: 4}", "line 2: part1_mnist is a duplicate"),
        (
            "part1_mnist: &x {epochs: 3}\npart2_fashion_mnist: *x",
            r"line 2: an alias \(\*name\) is not supported: write the value out",
        ),
        ("[" * 1000, "mine.yaml is nested too deeply"),
        ("part1_mnist: {seed: 2024-13-45}", "'2024-13-45' is not a valid timestamp"),
        ('part1_mnist: {seed: !!int ""}', "'' is not a valid int"),
        ("a: " + "59:" * 20_000 + "1.5", "is not a valid float"),
        ('a: "\\ud800"', r"line 1: '\\ud800' is not a valid str"),
    ],
)
def test_a_wrong_profile_is_refused(profiles, text, words):
    with pytest.raises(UserError, match=words):
        profiles(text)


def test_a_profile_that_is_not_utf_8_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parameters, "PROFILES_FOLDER", tmp_path)
    (tmp_path / "mine.yaml").write_bytes("part1_mnist: {}  # für".encode("latin-1"))
    with pytest.raises(UserError, match=r"mine\.yaml is not valid UTF-8 text"):
        parameters.read_profile("mine", "part1_mnist")


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="no profile 'fast': expected one of best, full, original, quick, smoke"):
        parameters.read_profile("fast", "part1_mnist")


HANDIN = {"course": "C", "group_number": 1, "group_name": "A", "group_members": ["B"], "leaderboard_line": 0.9}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"group_number": "one"}, "group_number is 'one', expected an integer"),
        ({"group_members": "B"}, "group_members is 'B', expected a list"),
        ({"group_members": [1]}, "expected a list of names"),
        ({"leaderboard_line": 92}, "leaderboard_line is 92, expected between 0 and 1"),
        ({"group_nmae": "A"}, "sets group_nmae: expected only"),
        ({"group_name": None}, "group_name is None, expected text"),
    ],
)
def test_a_wrong_handin_file_is_refused(tmp_path, monkeypatch, change, words):
    path = tmp_path / "handin.yaml"
    monkeypatch.setattr(parameters, "HANDIN_FILE", path)
    path.write_text(parameters.yaml.safe_dump(HANDIN))
    assert parameters.read_handin() == HANDIN
    path.write_text(parameters.yaml.safe_dump(HANDIN | change))
    with pytest.raises(UserError, match=words):
        parameters.read_handin()


def test_a_missing_line_of_the_handin_file_is_named(tmp_path, monkeypatch):
    path = tmp_path / "handin.yaml"
    monkeypatch.setattr(parameters, "HANDIN_FILE", path)
    path.write_text("group_number: 1\n")
    with pytest.raises(UserError, match="has no course"):
        parameters.read_handin()
