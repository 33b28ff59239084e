"""Property tests: their settings, and damaged content."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.running import FUZZ_CASES

many = settings(max_examples=FUZZ_CASES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def cuts(pieces=None, min_size=1):
    """Places, lengths and replacements for `cut`, by default of bytes."""
    pieces = st.binary(max_size=9) if pieces is None else pieces
    return st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 60), pieces), min_size=min_size, max_size=4)


def cut(content, cuts):
    """The content with pieces removed, duplicated or replaced."""
    for place, length, piece in cuts:
        place %= len(content) + 1
        content = content[:place] + piece + content[place + length :]
    return content
