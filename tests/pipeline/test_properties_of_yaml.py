"""Any text as a profile or a grid, and any values of parameters, give a correct result or a UserError."""

import string

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
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PROFILE = "part1_mnist:\n  epochs: 3\n  seed: 2\npart2_fashion_mnist: {split: official}\n"


@st.composite
def cuts_of(draw, text):
    """A YAML text with pieces removed, duplicated or replaced."""
    pieces = st.text(alphabet=string.printable, max_size=6) | st.sampled_from(text.split())
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(pieces) + text[start + draw(st.integers(0, 60)) :]
    return text


names = st.sampled_from(["seed", "epochs", "share", "dropout", "flip", "activation"]) | st.text(max_size=8)
values = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20)


@many
@given(chosen=st.dictionaries(names, values, max_size=4))
def test_parameters_are_valid_or_reported(chosen):
    try:
        checked = check_parameters(EXPERIMENT, chosen)
    except UserError as error:
        assert str(error).startswith("experiment.ipynb: ")
    else:
        assert checked.items() >= chosen.items()
        assert checked["epochs"] >= 1
        assert 0 < checked["share"] <= 1
        assert checked["activation"] in ("relu", "leaky relu")
        assert isinstance(checked["flip"], bool)


@many
@given(text=cuts_of(PROFILE))
def test_a_profile_is_valid_or_reported(tmp_path, monkeypatch, text):
    monkeypatch.setattr(parameters, "PROFILES_FOLDER", tmp_path)
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    try:
        assert read_profile("own", "part1_mnist").keys() <= {"seed", "epochs"}
    except UserError as error:
        assert str(error).startswith("own.yaml")


@many
@given(text=cuts_of(GRID))
def test_a_grid_is_valid_or_reported(tmp_path, text):
    path = tmp_path / "grid.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        runs = read_grid(path)
    except UserError as error:
        assert str(error).startswith("grid.yaml")
    else:
        assert runs[0].variant == "baseline"
        assert len({repr(run.parameters) for run in runs}) == len(runs)
