import pytest

from coursework.text import format_duration, pluralize, signed


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (5000, "1 h 23 min"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds, words):
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs"), (1234, "1,234 epochs")]
)
def test_a_noun_is_in_the_plural_unless_there_is_one(number, words):
    assert pluralize(number, "epoch") == words


@pytest.mark.parametrize(("value", "words"), [(0.01234, "+0.0123"), (-0.5, "−0.5000"), (0, "+0.0000")])
def test_a_difference_has_its_sign(value, words):
    assert signed(value) == words
