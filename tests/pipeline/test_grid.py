import keras
import nbformat
import pytest
import yaml
from tests.models import notebook_model

from pipeline.errors import UserError
from pipeline.experiments.grid import EXPERIMENT, GRID_FILE, read_grid
from pipeline.parameters import check_parameters

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


def test_a_grid_asks_for_every_variant_with_every_seed_and_the_full_budget_last(grid_file):
    runs = read_grid(grid_file(GRID))
    assert [(run.variant, run.seed, run.budget) for run in runs] == [
        *((variant, seed, "reduced") for seed in (1, 2) for variant in ("baseline", "no dropout", "half the dropout")),
        ("baseline", 7, "full"),
        ("no dropout", 7, "full"),
    ]
    assert runs[4].parameters["dropout"] == 0
    assert runs[4].parameters["seed"] == 2
    assert (runs[4].parameters["share"], runs[4].parameters["epochs"]) == (0.01, 2)
    assert (runs[7].parameters["share"], runs[7].parameters["epochs"]) == (1, 2)
    assert runs[7].claim == "dropout"


def test_whole_and_decimal_numbers_ask_for_the_same_run(grid_file):
    decimal = read_grid(grid_file(GRID.replace("dropout: 0}", "dropout: 0.0}")))
    assert repr(read_grid(grid_file(GRID))) == repr(decimal)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("dropout: 0}", "droput: 0}", 12, "has no parameter droput: did you mean dropout?"),
        ("dropout: 0}", "dropout: 3}", 12, "dropout is 3, expected 0 to 2"),
        ("dropout: 0}", "dropout: none}", 12, "dropout is 'none', expected a number"),
        ("dropout: 0}", "seed: 3}", 12, "seed can't be set here"),
        (
            "dropout: 0}",
            "dropout: 0.5}",
            13,
            "'half the dropout' is a duplicate: it has the parameters of 'no dropout'",
        ),
        ("dropout: 0}", "dropout: 1}", 12, "'no dropout' is a duplicate: it has the parameters of 'baseline'"),
        ("half the dropout:", "no dropout:", 13, "no dropout is there twice"),
        ("half the dropout:", "baseline:", 13, "'baseline' is a duplicate: it has the name of 'baseline'"),
        ("half the dropout:", "3:", 13, "the variant's name is 3: expected text"),
        ("seeds: [1, 2]", "seeds: []", 1, "seeds is []: expected a list of at least one seed"),
        ("seeds: [1, 2]", "seeds: [1, -2]", 1, "seed is -2, expected 0 to 4294967295"),
        ("seeds: [1, 2]", "seeds: [1, 1]", 1, "the seed 1 is there twice"),
        ("seeds: [1, 2]\n", "", 1, "seeds is missing"),
        ("baseline: {share: 0.01, epochs: 2}\n", "", 1, "baseline is missing: without it the claims have nothing"),
        ("share: 0.01", "share: 0", 2, "share is 0, expected above 0 to 1"),
        ("expect: {f1: lower,", "expect: {f1: worse,", 10, "expected f1 or overfitting, lower or higher"),
        ("claim: Dropout helps.", "claim: 3", 9, "claim is 3: expected the claim in a sentence"),
        ("    claim: Dropout helps.\n", "", 8, "claim is missing: expected the claim in a sentence"),
        ("[baseline, no dropout]", "[baseline, noise]", 6, "there is no variant 'noise'"),
        ("[baseline, no dropout]", "[baseline, baseline]", 6, "'baseline' is a duplicate"),
        ("[baseline, no dropout]", "[[baseline]]", 6, "there is no variant ['baseline']"),
        ("{share: 1.0}", "{share: 0.01}", 6, "'baseline' at the full budget has the parameters of 'baseline'"),
        ("{share: 1.0}", "{dropout: 0.2}", 4, "dropout is what the variant 'no dropout' changes"),
        ("dropout: 0}", "dropout: !foo 0}", 12, "'0' is no !foo"),
        ("dropout: 0}", "dropout: !!float abc}", 12, "'abc' is no float"),
        ("dropout: 0}", "dropout: 2021-13-45}", 12, "'2021-13-45' is no timestamp"),
        ("dropout: 0}", "stride: 4}", 12, "stride is 4, expected 1 to 3"),
        ("full_budget:", "full:", 3, "full is unknown: expected seeds, baseline, full_budget, claims"),
        ("seeds: [1, 2]", "seeds: [1, 2", 2, "not valid YAML"),
        (GRID[GRID.index("claims:") :], "claims: []", 7, "claims is []: expected a list of claims"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused_with_its_line(grid_file, old, new, line, words):
    assert old in GRID
    with pytest.raises(UserError) as refusal:
        read_grid(grid_file(GRID.replace(old, new, 1)))
    assert str(refusal.value).startswith(f"grid.yaml, line {line}: ")
    assert words in str(refusal.value)


@pytest.mark.parametrize("text", ["", "3", "[1, 2]", "a: &x [*x]", "\x00", "? [1, 2]\n: 3", "[" * 5000])
def test_what_is_no_grid_is_refused(grid_file, text):
    with pytest.raises(UserError, match=r"grid\.yaml"):
        read_grid(grid_file(text))


def test_a_whole_number_and_its_decimal_form_are_one_run(grid_file):
    first, second = (read_grid(grid_file(GRID.replace("{share: 1.0}", f"{{share: {one}}}"))) for one in ("1", "1.0"))
    assert [repr(run.parameters) for run in first] == [repr(run.parameters) for run in second]


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
    """Kind, output and weights of each layer; an activation counts as a layer of its own."""
    for layer in model.layers:
        activation = getattr(layer, "activation", None)
        yield type(layer).__name__, layer.output.shape, layer.count_params(), getattr(layer, "rate", None)
        if type(layer).__name__ in ("Conv2D", "Dense") and activation is keras.activations.relu:
            yield "ReLU", layer.output.shape, 0, None


def experiment_model(**values):
    keras.backend.clear_session()  # names and seeds of layers begin anew
    keras.utils.set_random_seed(1)
    namespace = check_parameters(EXPERIMENT, values) | {"keras": keras}
    for cell in nbformat.read(EXPERIMENT, as_version=4).cells:
        if "network" in cell.metadata.get("tags", []):
            exec(cell.source.replace("model.summary()", ""), namespace)
    return namespace["model"]


def test_the_baseline_is_iteration_2():
    assert list(layers_of(experiment_model())) == list(layers_of(notebook_model("part2_fashion_mnist", "iteration2")))


def test_each_variant_of_the_committed_grid_changes_the_network_or_its_training():
    baseline = experiment_model().to_json()
    unchanged = {
        run.variant
        for run in read_grid()
        if run.seed == 1 and run.budget == "reduced" and experiment_model(**run.parameters).to_json() == baseline
    }
    assert unchanged == {"baseline", "batch of 32", "batch of 64", "batch of 256", "batch of 512"}
