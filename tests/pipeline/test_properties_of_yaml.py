"""Any text as a profile or a grid, and any values of parameters, give a correct result or a UserError."""

import json
import string

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import parameters
from pipeline.errors import UserError
from pipeline.experiments.grid import EXPERIMENT, read_grid
from pipeline.parameters import check_parameters, read_profile
from tests.pipeline.test_grid import GRID
from tests.running import FUZZ_CASES

many = settings(
    max_examples=FUZZ_CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["baseline", "course", "constant", "f1", "lower", "experiments.yaml", "relu"]),
)
nested = st.recursive(
    values, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)

PROFILE = "part1_mnist:\n  epochs: 3\n  seed: 2\npart2_fashion_mnist: {split: official}\n"


def cuts_of(pieces):
    return st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 60), pieces), min_size=1, max_size=4)


def cut(text, cuts):
    """The text with pieces removed, duplicated or replaced."""
    for place, length, piece in cuts:
        place %= len(text) + 1
        text = text[:place] + piece + text[place + length :]
    return text


def is_sentence(error):
    return len(str(error)) > 10 and "Traceback" not in str(error)


NAMES = ["seed", "epochs", "share", "dropout", "flip", "activation", "kernel_size", "noise", "l1"]


@many
@given(chosen=st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), values, max_size=4))
def test_parameters_are_valid_or_reported(chosen):
    try:
        checked = check_parameters(EXPERIMENT, chosen)
    except UserError as error:
        assert is_sentence(error)
    else:
        assert all(checked[name] is value for name, value in chosen.items())
        assert checked["epochs"] >= 1
        assert 0 < checked["share"] <= 1
        assert checked["activation"] in ("relu", "leaky relu")
        assert isinstance(checked["flip"], bool)


@pytest.fixture
def own_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(parameters, "PROFILES_FOLDER", tmp_path)
    return tmp_path / "own.yaml"


@many
@given(content=nested, cuts=cuts_of(st.text(alphabet=string.printable, max_size=6)))
def test_a_profile_is_valid_or_reported(own_profile, content, cuts):
    for text in (yaml.safe_dump(content), cut(PROFILE, cuts)):
        own_profile.write_text(text, encoding="utf-8")
        try:
            chosen = read_profile("own", "part1_mnist")
            checked = check_parameters(parameters.NOTEBOOKS_FOLDER / "part1_mnist.ipynb", chosen)
        except UserError as error:
            assert is_sentence(error)
        else:
            assert checked.items() >= chosen.items()


@many
@given(content=nested, cuts=cuts_of(st.text(alphabet=string.printable, max_size=6) | st.sampled_from(GRID.split())))
def test_a_grid_is_valid_or_reported(tmp_path, content, cuts):
    path = tmp_path / "grid.yaml"
    for text in (yaml.safe_dump(content), cut(GRID, cuts)):
        path.write_text(text, encoding="utf-8")
        try:
            runs = read_grid(path)
        except UserError as error:
            assert str(error).startswith("grid.yaml")
            assert is_sentence(error)
        else:
            assert {run.variant for run in runs} >= {"baseline"}
            assert len({json.dumps(run.parameters, sort_keys=True) for run in runs}) == len(runs)
