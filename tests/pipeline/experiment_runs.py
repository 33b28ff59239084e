"""A small grid of experiments, and made-up results of its runs: nothing is trained."""

import json
import re

import numpy as np
import pytest

from coursework import course_split, files
from pipeline.experiments import run as experiment_run

GRID = """\
seeds: [1, 2, 3]
baseline: {share: 0.01, epochs: 2}
claims:
  - name: dropout
    claim: Dropout helps.
    expect: {f1: lower}
    variants:
      no dropout: {dropout: 0}
"""
DATA_SHA256 = "d" * 64
LOCK = (files.ROOT / "requirements.txt").read_text(encoding="utf-8")
VERSIONS = {name: re.search(rf"^{name}==(\S+)", LOCK, re.MULTILINE)[1] for name in ("tensorflow", "keras", "numpy")}


@pytest.fixture
def folder(tmp_path, monkeypatch, enter):
    """A folder with `reports/` of its own, and a small data set in place of Fashion-MNIST."""
    enter(tmp_path)
    monkeypatch.setattr(experiment_run, "RUNS_FOLDER", tmp_path / "reports" / "experiments")
    small = {"X_train": np.zeros((2, 28, 28), np.uint8), "y_train": np.arange(2, dtype=np.uint8)}
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda **_: small)
    return tmp_path


def write_grid(folder, text=GRID):
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def metrics_path(name):
    return experiment_run.RUNS_FOLDER / name / "metrics" / "experiment.json"


def leave_result(run, name, data_sha256):
    """Leave what an execution of the notebook would, with made-up scores that depend on the identity only."""
    random, epochs = np.random.default_rng(int(name, 16)), run.parameters["epochs"]
    history = {column: random.random(epochs).tolist() for column in ("loss", "f1", "val_loss", "val_f1")}
    metrics = {
        "parameters": run.parameters,
        "scores": {
            "validation": {"f1": random.random(), "accuracy": random.random()},
            "training": {"f1": random.random()},
            "parameters": 1000,
            "multiply_adds": 10_000,
            "processor_seconds": 1.5,
            "weights_sha256": name * 4,
        },
        "trainings": {"variant": {"best_epoch": epochs, "restored_seconds": 0.0, "history": history}},
        "data_sha256": data_sha256,
        "duration_seconds": 2.5,
        "peak_memory_gib": 0.5,
        "hardware": {"processor": "abacus"},
        "versions": VERSIONS,
    }
    metrics_path(name).parent.mkdir(parents=True, exist_ok=True)
    metrics_path(name).write_text(json.dumps(metrics), encoding="utf-8")
    (experiment_run.RUNS_FOLDER / name / "experiment.ipynb").write_text("{}", encoding="utf-8")
    return experiment_run.read_result(run, name, data_sha256)
