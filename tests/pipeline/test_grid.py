"""The grid of the experiments: its runs, and the errors in its file."""

from types import SimpleNamespace

import keras
import nbformat
import pytest
import yaml

from pipeline.errors import UserError
from pipeline.experiments.grid import EXPERIMENT, GRID_FILE, read_grid
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


@pytest.fixture
def grid_file(tmp_path):
    def write(text):
        path = tmp_path / "grid.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def runs(grid_file):
    return read_grid(grid_file(GRID))


def test_a_grid_has_every_variant_with_every_seed_and_the_full_budget_last(runs):
    assert [(run.variant, run.seed, run.budget) for run in runs] == [
        *((variant, seed, "reduced") for seed in (1, 2) for variant in ("baseline", "no dropout", "half the dropout")),
        ("baseline", 7, "full"),
        ("no dropout", 7, "full"),
    ]


def test_a_variant_changes_its_own_parameters_of_the_baseline(runs):
    baseline, variant = runs[3], runs[4]
    changed = {name for name in baseline.parameters if baseline.parameters[name] != variant.parameters[name]}
    assert changed == {"dropout"}
    assert (variant.parameters["dropout"], variant.parameters["share"], variant.parameters["epochs"]) == (0, 0.01, 2)


def test_the_seed_of_a_run_is_one_of_its_parameters(runs):
    assert [run.parameters["seed"] for run in runs] == [1, 1, 1, 2, 2, 2, 7, 7]


def test_the_full_budget_overrides_the_parameters_of_the_variant(runs):
    assert (runs[7].parameters["share"], runs[7].parameters["epochs"]) == (1, 2)
    assert (runs[7].parameters["dropout"], runs[7].claim) == (0, "dropout")


def test_the_cost_of_a_run_is_in_passes_over_the_whole_training_set(runs):
    assert (runs[0].cost, runs[6].cost) == (pytest.approx(0.02), 2)


def test_the_name_of_a_run_tells_the_variant_the_seed_and_the_full_budget(runs):
    assert (runs[1].name, runs[7].name) == ("no dropout, seed 1", "no dropout, seed 7, full budget")


@pytest.mark.parametrize(("old", "new"), [("dropout: 0}", "dropout: 0.0}"), ("{share: 1.0}", "{share: 1}")])
def test_a_whole_number_and_its_decimal_form_are_the_same_run(grid_file, old, new):
    assert old in GRID
    first, second = (read_grid(grid_file(text)) for text in (GRID, GRID.replace(old, new)))
    assert [repr(run.parameters) for run in first] == [repr(run.parameters) for run in second]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("dropout: 0}", "droput: 0}", 12, "has no parameter droput: did you mean dropout?"),
        ("dropout: 0}", "dropout: 3}", 12, "dropout is 3, expected 0 to 2"),
        ("dropout: 0}", "dropout: none}", 12, "dropout is 'none', expected a number"),
        ("dropout: 0}", "profile: full}", 12, "profile is reserved: the sweep sets it"),
        ("dropout: 0}", "seed: 3}", 12, "seed is reserved: the sweep sets it"),
        (
            "dropout: 0}",
            "dropout: 0.5}",
            13,
            "'half the dropout' is a duplicate: it has the parameters of 'no dropout'",
        ),
        ("dropout: 0}", "dropout: 1}", 12, "'no dropout' is a duplicate: it has the parameters of 'baseline'"),
        ("half the dropout:", "no dropout:", 13, "no dropout is a duplicate"),
        ("half the dropout:", "baseline:", 13, "'baseline' is a duplicate: it has the name of 'baseline'"),
        ("half the dropout:", "3:", 13, "the variant's name is 3: expected text"),
        ("seeds: [1, 2]", "seeds: []", 1, "seeds is []: expected a list of at least one seed"),
        ("seeds: [1, 2]", "seeds: [1, -2]", 1, "seed is -2, expected 0 to 4294967295"),
        ("seeds: [1, 2]", "seeds: [1, 1]", 1, "the seed 1 is a duplicate"),
        ("seeds: [1, 2]\n", "", 1, "seeds is missing"),
        ("baseline: {share: 0.01, epochs: 2}\n", "", 1, "baseline is missing: the claims are compared with it"),
        ("share: 0.01", "share: 0", 2, "share is 0, expected above 0 to 1"),
        ("expect: {f1: lower,", "expect: {f1: worse,", 10, "expected f1 or overfitting, lower or higher"),
        ("claim: Dropout helps.", "claim: 3", 9, "claim is 3: expected the claim in a sentence"),
        ("    claim: Dropout helps.\n", "", 8, "claim is missing: expected the claim in a sentence"),
        ("[baseline, no dropout]", "[baseline, noise]", 6, "no claim has a variant 'noise'"),
        ("[baseline, no dropout]", "[baseline, baseline]", 6, "'baseline' is a duplicate"),
        ("[baseline, no dropout]", "[[baseline]]", 6, "no claim has a variant ['baseline']"),
        ("{share: 1.0}", "{share: 0.01}", 6, "'baseline' at the full budget has the same parameters as 'baseline'"),
        (
            "{share: 1.0}",
            "{dropout: 0.2}",
            4,
            "the variant 'no dropout' changes dropout, so the full budget can't set it",
        ),
        ("dropout: 0}", "dropout: !foo 0}", 12, "'0' is not a valid !foo"),
        ("dropout: 0}", "dropout: !!float abc}", 12, "'abc' is not a valid float"),
        ("dropout: 0}", "dropout: 2021-13-45}", 12, "'2021-13-45' is not a valid timestamp"),
        ("dropout: 0}", "stride: 4}", 12, "stride is 4, expected 1 to 3"),
        ("full_budget:", "full:", 3, "full is unknown: expected seeds, baseline, full_budget, claims"),
        ("seeds: [1, 2]", "seeds: [1, 2", 2, "not valid YAML"),
        (GRID[GRID.index("claims:") :], "claims: []", 7, "claims is []: expected a list of claims"),
    ],
)
def test_an_invalid_grid_is_refused_with_the_line(grid_file, old, new, line, words):
    assert old in GRID
    with pytest.raises(UserError) as refusal:
        read_grid(grid_file(GRID.replace(old, new, 1)))
    assert str(refusal.value).startswith(f"grid.yaml, line {line}: ")
    assert words in str(refusal.value)


@pytest.mark.parametrize("text", ["", "3", "[1, 2]", "a: &x [*x]", "\x00", "? [1, 2]\n: 3", "[" * 1000])
def test_a_file_that_is_not_a_grid_is_refused(grid_file, text):
    with pytest.raises(UserError, match=r"grid\.yaml"):
        read_grid(grid_file(text))


def test_a_missing_grid_is_refused(tmp_path):
    with pytest.raises(UserError, match="can't be read"):
        read_grid(tmp_path / "none.yaml")


def test_the_committed_grid_is_as_large_as_the_assignment_s_claims_ask_for():
    runs = [run for run in read_grid() if run.budget == "reduced"]
    claims = yaml.safe_load(GRID_FILE.read_text(encoding="utf-8"))["claims"]
    assert len(claims) >= 9
    assert len({run.variant for run in runs}) >= 25
    assert len({run.seed for run in runs}) >= 5
    assert all(run.parameters["threads"] == 1 for run in runs)


def layers_of(model):
    """Class, output and weights of each layer; an activation counts as a layer of its own."""
    for layer in model.layers:
        activation = getattr(layer, "activation", None)
        yield type(layer).__name__, layer.output.shape, layer.count_params(), getattr(layer, "rate", None)
        if type(layer).__name__ in ("Conv2D", "Dense") and activation is keras.activations.relu:
            yield "ReLU", layer.output.shape, 0, None


def experiment_model(modules=keras, **values):
    """The model that the cells of the experiment build with these parameters."""
    namespace = check_parameters(EXPERIMENT, values) | {"keras": modules}
    for cell in nbformat.read(EXPERIMENT, as_version=4).cells:
        if "network" in cell.metadata.get("tags", []):
            exec(cell.source.replace("model.summary()", ""), namespace)
    return namespace["model"]


def test_the_baseline_is_iteration_2():
    assert list(layers_of(experiment_model())) == list(layers_of(notebook_model("part2_fashion_mnist", "iteration2")))


class UnbuiltModel:
    """Collects the layers of a model without building them, which takes most of the time."""

    def __init__(self, layers, name):
        self.layers = list(layers)

    def add(self, layer):
        self.layers.append(layer)


def configurations(parameters):
    """Class and configuration of each layer, without the names."""
    model = experiment_model(SimpleNamespace(**vars(keras) | {"Sequential": UnbuiltModel}), **parameters)
    layers = [layer for layer in model.layers if isinstance(layer, keras.Layer)]
    return [(type(layer), layer.get_config() | {"name": None}) for layer in layers]


def test_each_variant_of_the_committed_grid_changes_the_network_or_its_training():
    baseline = configurations({})
    unchanged = {
        run.variant
        for run in read_grid()
        if run.seed == 1 and run.budget == "reduced" and configurations(run.parameters) == baseline
    }
    assert unchanged == {"baseline", "batch of 32", "batch of 64", "batch of 256", "batch of 512"}
