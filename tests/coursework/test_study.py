"""The statistics of part 3: its tables, paired effects, verdicts, and the sentences about them."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from coursework import files, study
from coursework.data import DataError
from tests.coursework.study_runs import CLAIMS, runs_with_effects

GRID = """\
claims:
  - name: dropout
    claim: Dropout helps.
    expect: {f1: lower}
    variants:
      None: {dropout: 0}
"""
RUNS = """\
claim,variant,budget,seed,identity,status,validation_f1,training_f1
baseline,baseline,reduced,1,aa,finished,0.75,0.875
dropout,None,reduced,1,bb,finished,0.5,1.0
dropout,None,reduced,2,cc,missing,,
"""
EPOCHS = """\
identity,epoch,loss,f1,val_loss,val_f1
aa,1,0.5,0.875,0.6,0.75
bb,1,0.25,1.0,0.7,0.5
"""


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Writes the two tables of a grid, and the grid, and returns the grid's path."""
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path)

    def write(grid=GRID, runs=RUNS, epochs=EPOCHS):
        for name, text in (("small.yaml", grid), ("small.csv", runs), ("small_epochs.csv", epochs)):
            (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / "small.yaml"

    return write


def test_runs_epochs_and_claims_are_loaded(tables):
    runs, epochs, claims = study.load_experiments(tables())
    assert runs[["f1", "overfitting"]].fillna(-1).to_numpy().tolist() == [[0.75, 0.125], [0.5, 0.5], [-1, -1]]
    assert epochs[["variant", "seed", "val_f1"]].to_numpy().tolist() == [["baseline", 1, 0.75], ["None", 1, 0.5]]
    assert [claim["variants"] for claim in claims] == [{"None": {"dropout": 0}}]


def test_tables_without_a_finished_run_are_loaded(tables):
    columns, _, _, row = (line.rsplit(",", 2)[0] for line in RUNS.splitlines())
    runs, epochs, _ = study.load_experiments(tables(runs=f"{columns}\n{row}\n", epochs=EPOCHS.splitlines()[0]))
    assert runs[["f1", "overfitting"]].isna().all(axis=None) and len(epochs) == 0


def test_missing_tables_are_named():
    with pytest.raises(DataError, match=r"none\.yaml does not exist: `make experiments` writes"):
        study.load_experiments("none.yaml")


DAMAGED = r"small\.yaml, or one of its tables .* is damaged .*: restore the files"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"grid": GRID + "      half: {dropout: 0.5}\n"}, r"no run of dropout: half, which is new in small\.yaml"),
        ({"grid": "claims: [1"}, DAMAGED),
        ({"runs": "claim,variant\ndropout,None\n"}, DAMAGED),
        ({"runs": RUNS.replace("0.75", "high")}, DAMAGED),
        ({"epochs": "epoch,loss\n1,0.5\n"}, DAMAGED),
    ],
)
def test_a_damaged_table_or_grid_or_a_new_variant_is_a_data_error(tables, changed, words):
    with pytest.raises(DataError, match=words):
        study.load_experiments(tables(**changed))


@pytest.mark.parametrize(("pairs", "comparisons"), [(2, 1), (5, 10)])
def test_the_detectable_effect_is_detected_with_80_percent_power(pairs, comparisons):
    differences = np.arange(pairs) - 1.0
    effect = study.paired_effect(differences, comparisons)["detectable"] / differences.std(ddof=1)
    drawn = np.random.default_rng(0).normal(effect, 1, (20_000, pairs))
    significant = scipy.stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05 / comparisons
    assert significant.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("differences", [[], [0.1], [0.1, 0.1]])
def test_too_few_or_equal_differences_have_no_interval(differences):
    effect = study.paired_effect(differences)
    assert effect["pairs"] == len(differences)
    assert np.isnan([effect[name] for name in ("low", "high", "p_value", "detectable")]).all()


def test_pairing_by_seed_removes_the_differences_between_seeds():
    runs = runs_with_effects({"c": 0, "a": -0.01, "b": -0.01})
    assert runs.groupby("variant")["f1"].std()["a"] > 0.02
    effects = study.variant_effects(runs)
    assert effects["claim"].to_dict() == {"c": "use", "a": "harm", "b": "harm"}
    assert effects.loc["a", "mean"] == pytest.approx(-0.01, abs=0.002)
    assert effects.loc["a", "p_corrected"] < 0.05


def test_a_seed_counts_only_if_the_pair_and_for_a_claim_all_its_variants_are_complete():
    runs = runs_with_effects({"a": -0.02, "b": -0.02, "c": 0.02}).set_index(["variant", "seed"])
    runs.loc[[("b", 5), ("a", 3), ("baseline", 4)], "f1"] = np.nan
    assert study.variant_effects(runs.reset_index())["pairs"].to_dict() == {"a": 3, "b": 3, "c": 4}
    assert study.claim_effects(runs.reset_index(), CLAIMS)["pairs"].tolist() == [2, 4, 5]


@pytest.mark.parametrize(
    ("effects", "overfitting", "verdicts"),
    [
        ({"a": -0.02, "b": -0.02, "c": 0.02}, 0, ["supported", "supported", "not distinguishable"]),
        ({"a": 0.02, "b": 0.02, "c": -0.02}, 0.03, ["contradicted", "contradicted", "contradicted"]),
        ({"a": 0, "b": 0, "c": 0}, -0.03, ["not distinguishable", "not distinguishable", "supported"]),
        ({"a": -0.06, "b": 0.02, "c": 0.02}, 0, ["contradicted", "supported", "not distinguishable"]),  # b refutes it
    ],
)
def test_verdicts_follow_the_effects(effects, overfitting, verdicts):
    runs = runs_with_effects(effects)
    runs.loc[runs["variant"] == "c", "overfitting"] += overfitting
    assert study.claim_effects(runs, CLAIMS)["verdict"].tolist() == verdicts


def sentences(runs):
    return study.claim_sentences(study.claim_effects(runs, CLAIMS), CLAIMS)


def test_a_sentence_has_the_claim_the_verdict_and_the_smallest_detectable_effect():
    runs = runs_with_effects({"a": -0.06, "b": 0.02, "c": 0})
    harm, use = sentences(runs)
    assert harm.startswith("It harms. **Contradicted**: the F1 changes by −0.0")
    assert harm.endswith("; distinguishable by itself: a; distinguishable in the other direction: b.")
    detectable = study.claim_effects(runs, CLAIMS)["detectable"].iloc[1:]
    assert all(f"detectable with 80 % power is {effect:.4f}" in use for effect in detectable)
    harm, _ = sentences(runs_with_effects({"a": -0.05, "b": 0.0004, "c": 0}))
    assert harm.endswith("; distinguishable by itself: a; in the other direction, but not distinguishable: b.")


def test_sentences_say_if_there_are_no_results_or_equal_effects():
    runs = runs_with_effects({"a": 0, "b": 0, "c": 0}, scatter=0)
    assert "**Not distinguishable**: the F1 changes by +0.0000 with each of 5 seeds." in sentences(runs)[0]
    runs[["f1", "overfitting"]] = np.nan
    assert all("0 complete seeds so far" in sentence for sentence in sentences(runs))


def both_budgets(reduced, full, **options):
    one_seed = runs_with_effects(full, seeds=1, scatter=0, budget="full")
    return pd.concat([runs_with_effects(reduced, **options), one_seed]).assign(status="finished")


def test_effects_at_the_full_budget_have_their_number_of_seeds_also_as_json():
    runs = both_budgets({"a": -0.01, "b": -0.02, "c": 0.03}, {"a": -0.01, "c": 0.03})
    assert sentences(runs)[0].endswith("; at the full budget, −0.0100 with a (1 seed).")
    harm, use, _ = json.loads(json.dumps(list(study.claim_effects(runs, CLAIMS)["full_budget"])))
    assert (harm, use) == ({"a": [pytest.approx(-0.01), 1]}, {"c": [pytest.approx(0.03), 1]})


def test_the_agreement_of_the_budgets_is_a_correlation_of_ranks_the_best_first():
    runs = both_budgets({"a": -0.01, "b": -0.02, "c": 0.9}, {"a": -0.02, "b": -0.01, "c": 0.03})
    agreement = study.budget_agreement(runs)
    # Four variants, and two neighbours change places: 1 - 6 * (1 + 1) / (4 * (16 - 1)).
    assert agreement.attrs["correlation"] == pytest.approx(0.8)
    assert list(agreement.index) == ["c", "baseline", "b", "a"]
    assert agreement["full"].tolist() == pytest.approx([0.85, 0.82, 0.81, 0.8])
    two = runs[runs["variant"].isin(["baseline", "a"])]
    assert np.isnan(study.budget_agreement(two).attrs["correlation"])


def test_sentences_on_the_budgets_name_the_effects_that_change_their_sign():
    runs = both_budgets({"a": -0.05, "b": -0.02, "c": 0.03}, {"a": 0.04, "b": -0.01, "c": 0.03}, scatter=1e-6)
    finished, ranking, _, turned, verdict, others = study.budget_sentences(runs, study.variant_effects(runs))
    assert finished.startswith("4 of 4 runs")
    assert "correlation is -0.20" in ranking and "is a at the full budget and c at the reduced one" in ranking
    assert "changes its sign for a (from −0.0500 to +0.0400)." in turned
    assert "verdict on a " in verdict and "correlation is 1.00" in others
    one = runs[(runs["budget"] == "reduced") | (runs["variant"] == "b")]
    assert len(study.budget_sentences(one, study.variant_effects(one))) == 1
