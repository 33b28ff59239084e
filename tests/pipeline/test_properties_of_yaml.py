"""Any text as a profile or a grid gives a correct result or a UserError."""

import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import parameters
from pipeline.errors import UserError
from pipeline.experiments.grid import read_grid
from tests.pipeline.test_grid import GRID
from tests.running import FUZZ_CASES

PROFILE = "part1_mnist:\n  epochs: 3\n  seed: 2\npart2_fashion_mnist: {split: official}\n"
many = settings(max_examples=FUZZ_CASES, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def cuts_of(draw, text):
    """A YAML text with pieces removed, duplicated or replaced."""
    pieces = st.text(alphabet=string.printable, max_size=6) | st.sampled_from(text.split())
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(pieces) + text[start + draw(st.integers(0, 60)) :]
    return text


@many
@given(text=cuts_of(PROFILE))
def test_a_profile_is_valid_or_reported(tmp_path, monkeypatch, text):
    monkeypatch.setattr(parameters, "PROFILES_FOLDER", tmp_path)
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    try:
        assert parameters.read_profile("own", "part1_mnist").keys() <= {"seed", "epochs"}
    except UserError as error:
        assert str(error).startswith("own.yaml")


@many
@given(text=cuts_of(GRID))
def test_a_grid_is_valid_or_reported(tmp_path, text):
    (tmp_path / "grid.yaml").write_text(text, encoding="utf-8")
    try:
        runs = read_grid(tmp_path / "grid.yaml")
        assert len({repr(run.parameters) for run in runs}) == len(runs)
    except UserError as error:
        assert str(error).startswith("grid.yaml")
