import re
from types import SimpleNamespace

import keras
import nbformat
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.experiments.grid import EXPERIMENT, read_grid
from pipeline.parameters import check_parameters
from tests.models import notebook_model

GRID = """\
seeds: [1, 2]
baseline: {share: 0.01, epochs: 2}
full_budget:
  parameters: {share: 1.0}
  seeds: [7]
  variants: [baseline, no dropout]
claims:
  - name: dropout
    claim: Dropout helps.
    expect: {f1: lower, overfitting: higher}
    variants:
      no dropout: {dropout: 0}
      half the dropout: {dropout: 0.5}
"""
CLAIM = "{name: dropout, claim: C, expect: {f1: lower}, variants: {a: {l1: 1}}}"


@pytest.fixture
def read(tmp_path):
    path = tmp_path / "grid.yaml"
    return lambda text: path.write_text(text, encoding="utf-8") and read_grid(path)


def test_a_grid_has_every_variant_with_every_seed_and_the_full_budget_last(read):
    runs = read(GRID)
    assert [run.name for run in runs] == [
        *(f"{variant}, seed {seed}" for seed in (1, 2) for variant in ("baseline", "no dropout", "half the dropout")),
        "baseline, seed 7, full budget",
        "no dropout, seed 7, full budget",
    ]
    baseline, variant, full = runs[0].parameters, runs[1].parameters, runs[7].parameters
    assert {name: variant[name] for name in variant if variant[name] != baseline[name]} == {"dropout": 0}
    assert {name: full[name] for name in full if full[name] != variant[name]} == {"share": 1, "seed": 7}
    assert (runs[0].cost, runs[6].cost) == (pytest.approx(0.02), 2)  # in passes over the whole training set


def test_a_whole_number_and_its_decimal_form_are_the_same_run(read):
    first, second = (read(text) for text in (GRID, GRID.replace("dropout: 0}", "dropout: 0.0}").replace("1.0", "1")))
    assert [repr(run.parameters) for run in first] == [repr(run.parameters) for run in second]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("dropout: 0}", "seed: 3}", 12, "seed can't be set here"),
        ("dropout: 0}", "dropout: 0.5}", 13, "'half the dropout' has the same parameters as 'no dropout'"),
        ("half the dropout:", "baseline:", 13, "the name of the variant 'baseline' is a duplicate"),
        ("seeds: [1, 2]", "seeds: [1, -2]", 1, "seeds.1 is -2: it should be greater than or equal to 0"),
        ("seeds: [1, 2]", "seeds: [1, 1]", 1, "seeds is [1, 1]: 1 is a duplicate"),
        ("[baseline, no dropout]", "[baseline, noise]", 6, "no claim has a variant 'noise'"),
        ("{share: 1.0}", "{dropout: 0.2}", 6, "'no dropout' changes dropout, so the full budget can't set it"),
        ("claims:", f"claims:\n  - {CLAIM}", 9, "the name 'dropout' is a duplicate"),
    ],
)
def test_an_invalid_grid_is_refused_with_the_line(read, old, new, line, words):
    assert old in GRID
    with pytest.raises(UserError, match=rf"^grid\.yaml, line {line}: .*{re.escape(words)}"):
        read(GRID.replace(old, new, 1))


def experiment_model(modules=keras, **values):
    """The model that the cells of the experiment build with these parameters."""
    namespace = check_parameters(EXPERIMENT, values) | {"keras": modules}
    for cell in nbformat.read(EXPERIMENT, as_version=4).cells:
        if "network" in cell.metadata.get("tags", []):
            exec(cell.source.replace("model.summary()", ""), namespace)
    return namespace["model"]


def test_the_baseline_is_iteration_2():
    ours, theirs = models = experiment_model(), notebook_model("part2_fashion_mnist", "iteration2")
    ours.set_weights(theirs.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1), np.uint8)
    np.testing.assert_array_equal(*(model(images) for model in models))
    rates = [[layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] for model in models]
    assert rates[0] == rates[1] == [0.3, 0.4, 0.25]


def test_each_variant_of_the_committed_grid_changes_the_network_or_its_training():
    runs, configurations = [run for run in read_grid() if run.seed == 1 and run.budget == "reduced"], {}
    assert len(runs) >= 25 and len({run.claim for run in runs}) >= 10  # the baseline, and as the assignment asks
    modules = SimpleNamespace(**vars(keras))  # its models do not build their layers, which takes most of the time
    modules.Sequential = lambda layers, name: SimpleNamespace(layers=layers, add=layers.append)
    for run in runs:
        layers = experiment_model(modules, **run.parameters).layers[1:]  # without the input
        configurations[run.variant] = [layer.get_config() | {"name": type(layer)} for layer in layers]
    unchanged = {variant for variant, layers in configurations.items() if layers == configurations["baseline"]}
    assert unchanged == {"baseline", "batch of 32", "batch of 64", "batch of 256", "batch of 512"}
