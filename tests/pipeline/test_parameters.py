import json
import re

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
OWN = {"name": "x", "epochs": 20, "rate": 1e-3, "share": 0.5, "schedule": "cosine", "members": []}


def write(folder, source=NOTEBOOK):
    """Write a notebook with this cell of parameters, and return its path."""
    path, cell = folder / "small.ipynb", nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=metadata), path)
    return path


def test_values_that_fit_are_completed_with_the_notebook_s_own(tmp_path):
    values = {"name": "", "epochs": 1, "rate": 1, "share": 0.001, "schedule": "constant"}
    assert parameters.check_parameters(write(tmp_path), values) == OWN | values


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epoch", 3, "can't be set here: did you mean epochs?"),
        ("epochs", True, "is True: it should be a valid integer"),
        ("rate", float("nan"), "is nan: it should be a finite number"),
        ("share", 1, "is 1: it should be less than 1"),
        ("schedule", "linear", "is 'linear': it should be 'constant' or 'cosine'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(tmp_path, name, value, words):
    with pytest.raises(UserError, match=re.escape(f"small.ipynb: {name} {words}")):
        parameters.check_parameters(write(tmp_path), {name: value})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("epochs: int = 0  # in [1, 9]: few", "epochs is 0: it should be greater"),
        ("epochs: int = 2 * steps  # in [1, 9]: few", "a parameter's value is not a literal"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path, source, words):
    with pytest.raises(UserError, match=rf"^small\.ipynb: {words}"):
        parameters.check_parameters(write(tmp_path, source), {})


def test_a_damaged_notebook_is_refused(tmp_path):
    (tmp_path / "small.ipynb").write_text("not a notebook", encoding="utf-8")
    with pytest.raises(UserError, match=r"^small\.ipynb can't be read as a notebook"):
        parameters.check_parameters(tmp_path / "small.ipynb", {})


@pytest.mark.parametrize("profile", sorted(path.stem for path in parameters.PROFILES_FOLDER.glob("*.yaml")))
def test_every_committed_profile_is_valid(profile):
    assert parameters.read_profile(profile, "part1_mnist")


@pytest.fixture
def read_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(parameters, "PROFILES_FOLDER", tmp_path)
    path = tmp_path / "mine.yaml"

    def write_and_read(content):
        path.write_text(content, "utf-8", "surrogateescape")
        return parameters.read_profile("mine", "part1_mnist")

    return write_and_read


def test_a_profile_sets_the_values_of_each_notebook(read_profile):
    text = "part1_mnist: {epochs: 3, learning_rate: 1e-3}\npart2_fashion_mnist: {seed: 2}"
    assert read_profile(text) == {"epochs": 3, "learning_rate": 0.001}
    assert read_profile("part1_mnist:\npart2_fashion_mnist: {seed: 2}") == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("part1_mnist: {}\npart1: {epochs: 3}", "line 2: part1 can't be set here: did you mean part1_mnist?"),
        ("part1_mnist:\n  epochs: 3\n  seed: -1", "line 3: part1_mnist.seed is -1: it should be greater"),
        ("part1_mnist:\n  group_name: B", "line 2: group_name can't be set here"),
        ("", "line 1: the content is None: it should be lines of `name: value`"),
        ("part1_mnist: !!python/object/apply:os.getcwd []", "line 1: not valid YAML: could not determine"),
        ("part1_mnist:\n  seed: 2024-13-45", ": not valid YAML: month must be in 1..12"),
        ("part1_mnist: {}  # f\udcfcr", " is not valid UTF-8 text"),
    ],
)
def test_a_wrong_profile_is_refused_with_the_line(read_profile, content, words):
    with pytest.raises(UserError, match=rf"^mine\.yaml(, )?{re.escape(words)}"):
        read_profile(content)


HANDIN = {"course": "C", "group_number": 1, "group_name": "A", "group_members": ["B"], "leaderboard_line": 0.9}


def test_a_wrong_handin_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "handin.yaml"
    monkeypatch.setattr(parameters, "HANDIN_FILE", path)
    path.write_text(json.dumps(HANDIN))
    assert parameters.read_handin() == HANDIN
    for content, words in (
        (HANDIN | {"leaderboard_line": 92}, "leaderboard_line is 92: it should be less than 1"),
        ({"group_number": 1}, "course is missing"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match=re.escape(f"handin.yaml, line 1: {words}")):
            parameters.read_handin()
