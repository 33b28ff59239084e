import pytest

from coursework.text import format_duration, pluralize, signed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (format_duration(59.4), "59 s"),
        (format_duration(59.6), "1 min"),
        (format_duration(3599), "59 min 59 s"),
        (format_duration(5000), "1 h 23 min"),
        (pluralize(1, "epoch"), "1 epoch"),
        (pluralize(1234, "epoch"), "1,234 epochs"),
        (signed(0.01234), "+0.0123"),
        (signed(-0.5), "−0.5000"),
    ],
)
def test_numbers_are_written_for_a_reader(words, expected):
    assert words == expected
