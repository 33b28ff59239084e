"""Any text as a profile or a grid is read or reported."""

import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import parameters
from pipeline.errors import UserError
from pipeline.experiments.grid import read_grid
from tests.pipeline.test_grid import GRID
from tests.running import FUZZ_CASES

PROFILE = "part1_mnist:\n  epochs: 3\n  seed: 2\npart2_fashion_mnist: {split: official}\n"


@st.composite
def damaged(draw):
    """The text of a profile or a grid with pieces removed, duplicated or replaced."""
    text = draw(st.sampled_from([PROFILE, GRID]))
    pieces = st.text(alphabet=string.printable, max_size=6) | st.sampled_from(text.split())
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(pieces) + text[start + draw(st.integers(0, 60)) :]
    return text


@settings(max_examples=2 * FUZZ_CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=damaged())
def test_a_profile_or_a_grid_is_read_or_reported(tmp_path, monkeypatch, text):
    monkeypatch.setattr(parameters, "PROFILES_FOLDER", tmp_path)
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    for read in (lambda: parameters.read_profile("own", "part1_mnist"), lambda: read_grid(tmp_path / "own.yaml")):
        try:
            read()
        except UserError as error:
            assert str(error).startswith("own.yaml")
