"""What `make report` says it will take."""

import pytest

from pipeline import calibration, record

HERE = {"matrix_product_gflops": 100.0, "training_step_ms": 20.0}
TWICE_AS_FAST = {"matrix_product_gflops": 200.0, "training_step_ms": 10.0}


@pytest.mark.parametrize(
    ("measured_there", "sentence"),
    [
        (TWICE_AS_FAST, "about 4 min on this machine, less after an interruption (measured: 100 GFLOP/s; 2 min where"),
        (HERE, "about 2 min on this machine"),
        (None, "2 min where they were run last; this machine may be slower or faster"),
    ],
)
def test_the_estimate_carries_a_recorded_duration_over_to_this_machine(monkeypatch, measured_there, sentence):
    run = {"duration_seconds": 60.0, "hardware": {"calibration": measured_there} if measured_there else {}}
    monkeypatch.setattr(record, "read", lambda profile, name: run)
    assert calibration.estimate("full", ["part1_mnist", "part2_fashion_mnist"], HERE).startswith(sentence)


def test_without_a_recorded_run_the_estimate_says_so(monkeypatch):
    monkeypatch.setattr(record, "read", lambda profile, name: None)
    assert "no run of this profile is recorded" in calibration.estimate("mine", ["part1_mnist"], HERE)


def test_the_measured_speed_is_that_of_a_processor():
    measured = calibration.measure()
    assert 0.1 < measured["matrix_product_gflops"] < 100_000
    assert 0.01 < measured["training_step_ms"] < 100_000
