from coursework.text import format_duration, pluralize, signed


def test_numbers_are_written_for_a_reader():
    durations = [format_duration(seconds) for seconds in (59.4, 59.6, 3599, 5000)]
    assert durations == ["59 s", "1 min", "59 min 59 s", "1 h 23 min"]
    assert [pluralize(number, "epoch") for number in (1, 1234)] == ["1 epoch", "1,234 epochs"]
    assert [signed(value) for value in (0.01234, -0.5)] == ["+0.0123", "−0.5000"]
