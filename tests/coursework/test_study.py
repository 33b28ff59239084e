"""The statistics of part 3: its tables, paired effects, verdicts, and the sentences about them."""

import gc
import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from coursework import files, study
from coursework.data import DataError
from tests.coursework.study_runs import CLAIMS, runs_with_effects


@pytest.fixture(scope="module", autouse=True)
def frozen_garbage():
    """statsmodels collects garbage in each correction, which takes long with the objects of other tests in memory."""
    gc.freeze()
    yield
    gc.unfreeze()


# --- Tables ---------------------------------------------------------------------------------------

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


def test_overfitting_is_training_f1_minus_validation_f1(tables):
    runs, _, _ = study.load_experiments(tables())
    assert runs["f1"].tolist()[:2] == [0.75, 0.5]
    assert runs["overfitting"].tolist()[:2] == [0.125, 0.5]


def test_a_run_that_is_not_finished_has_no_scores(tables):
    runs, _, _ = study.load_experiments(tables())
    assert runs.loc[runs["status"] == "missing", ["f1", "overfitting"]].isna().all(axis=None)


def test_tables_without_a_finished_run_have_no_scores(tables):
    header, *rows = (line.rsplit(",", 2)[0] for line in RUNS.replace("finished", "missing").splitlines())
    runs, epochs, _ = study.load_experiments(tables(runs="\n".join([header, *rows]), epochs=EPOCHS.splitlines()[0]))
    assert runs[["f1", "overfitting"]].isna().all(axis=None)
    assert len(epochs) == 0


def test_each_epoch_has_the_variant_the_budget_and_the_seed_of_its_run(tables):
    _, epochs, _ = study.load_experiments(tables())
    columns = ["claim", "variant", "budget", "seed", "val_f1"]
    assert epochs[columns].to_numpy().tolist() == [
        ["baseline", "baseline", "reduced", 1, 0.75],
        ["dropout", "None", "reduced", 1, 0.5],
    ]


def test_the_claims_are_those_of_the_grid(tables):
    _, _, claims = study.load_experiments(tables())
    assert claims == [
        {
            "name": "dropout",
            "claim": "Dropout helps.",
            "expect": {"f1": "lower"},
            "variants": {"None": {"dropout": 0}},
        }
    ]


def test_a_grid_that_is_newer_than_its_table_is_named(tables):
    grid = tables(GRID + "      half the dropout: {dropout: 0.5}\n")
    with pytest.raises(DataError, match=r"has no run of dropout: half the dropout, which is new in small\.yaml"):
        study.load_experiments(grid)


def test_missing_tables_are_named():
    with pytest.raises(DataError, match=r"none\.yaml does not exist: `make experiments` writes"):
        study.load_experiments("none.yaml")


@pytest.mark.parametrize(
    "damaged",
    [
        {"grid": "claims: [1"},
        {"grid": "claims: 3"},
        {"grid": ""},
        {"runs": ""},
        {"runs": "claim,variant\ndropout,None\n"},
        {"runs": RUNS.replace("0.75", "high")},
        {"epochs": ""},
        {"epochs": "epoch,loss\n1,0.5\n"},
    ],
)
def test_a_damaged_table_or_grid_is_a_data_error(tables, damaged):
    with pytest.raises(DataError, match=r"small\.yaml, or one of its tables .* is damaged .*: restore the files"):
        study.load_experiments(tables(**damaged))


# --- Effects --------------------------------------------------------------------------------------


def test_the_paired_effect_is_that_of_the_textbook():
    differences = np.array([0.8, 1.1, 0.3, 0.9, 0.4])
    effect = study.paired_effect(differences)
    error = differences.std(ddof=1) / np.sqrt(5)
    assert effect["mean"] == pytest.approx(0.7)
    assert (effect["low"], effect["high"]) == pytest.approx((0.7 - 2.776445 * error, 0.7 + 2.776445 * error))
    assert effect["p_value"] == pytest.approx(2 * scipy.stats.t.sf(0.7 / error, 4))


@pytest.mark.parametrize("pairs", [2, 4, 5])
@pytest.mark.parametrize("comparisons", [1, 10])
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


def test_a_missing_p_value_stays_missing_and_counts_as_not_significant():
    corrected = study.holm(pd.Series([0.01, np.nan, 0.04]))
    assert corrected.fillna(-1).tolist() == pytest.approx([0.03, -1, 0.08])


def test_pairing_by_seed_removes_the_differences_between_seeds():
    runs = runs_with_effects({"a": -0.01, "b": -0.01, "c": 0})
    assert runs.groupby("variant")["f1"].std()["a"] > 0.02
    effect = study.variant_effects(runs).loc["a"]
    assert effect["mean"] == pytest.approx(-0.01, abs=0.002)
    assert effect["p_corrected"] < 0.05


def test_effects_keep_the_order_and_the_claims_of_the_table():
    runs = runs_with_effects({"c": 0, "a": -0.01, "b": -0.01})
    assert study.variant_effects(runs)["claim"].to_dict() == {"c": "use", "a": "harm", "b": "harm"}
    assert list(study.variant_effects(runs).index) == ["c", "a", "b"]


def test_a_seed_counts_only_if_the_pair_is_complete():
    runs = runs_with_effects({"a": -0.02, "b": -0.02, "c": 0.02})
    runs.loc[(runs["variant"] == "b") & (runs["seed"] == 5), "f1"] = np.nan
    runs.loc[(runs["variant"] == "baseline") & (runs["seed"] == 4), "f1"] = np.nan
    assert study.variant_effects(runs)["pairs"].to_dict() == {"a": 4, "b": 3, "c": 4}


def test_a_seed_counts_for_a_claim_only_if_all_its_variants_are_complete():
    runs = runs_with_effects({"a": -0.02, "b": -0.02, "c": 0.02})
    runs.loc[(runs["variant"] == "b") & (runs["seed"] == 5), "f1"] = np.nan
    runs.loc[(runs["variant"] == "a") & (runs["seed"] == 4), "f1"] = np.nan
    assert study.claim_effects(runs, CLAIMS)["pairs"].tolist() == [3, 5, 5]


# --- Verdicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effects", "verdicts"),
    [
        ({"a": -0.02, "b": -0.02, "c": 0.02}, ["supported", "supported"]),
        ({"a": 0.02, "b": 0.02, "c": -0.02}, ["contradicted", "contradicted"]),
        ({"a": 0, "b": 0, "c": 0}, ["not distinguishable", "not distinguishable"]),
        ({"a": -0.06, "b": 0.02, "c": 0.02}, ["contradicted", "supported"]),  # one variant refutes the claim
    ],
)
def test_verdicts_follow_the_effects(effects, verdicts):
    table = study.claim_effects(runs_with_effects(effects), CLAIMS)
    assert list(table.loc[table["metric"] == "f1", "verdict"]) == verdicts
    assert list(table.loc[table["metric"] == "overfitting", "verdict"]) == ["not distinguishable"]


def test_a_lower_overfitting_supports_a_claim_of_lower_overfitting():
    runs = runs_with_effects({"a": 0, "b": 0, "c": 0})
    runs.loc[runs["variant"] == "c", "overfitting"] -= 0.03
    table = study.claim_effects(runs, CLAIMS)
    assert list(table.loc[table["metric"] == "overfitting", "verdict"]) == ["supported"]


def test_more_statements_need_a_larger_effect_to_be_detected():
    runs = runs_with_effects({"a": 0, "b": 0, "c": 0})
    of_one, of_three = (study.claim_effects(runs, claims)["detectable"].iloc[0] for claims in (CLAIMS[:1], CLAIMS))
    assert of_three > of_one


def test_a_claim_with_an_unfinished_variant_is_refuted_by_another_variant():
    runs = runs_with_effects({"a": 0.02, "b": 0, "c": 0})
    runs.loc[runs["variant"] == "b", "f1"] = np.nan
    table = study.claim_effects(runs, CLAIMS)
    assert table["verdict"].iloc[0] == "contradicted"
    assert study.claim_sentences(table, CLAIMS)[0] == (
        "It harms. **Contradicted**: 0 complete seeds so far, at least two are needed; "
        "distinguishable in the other direction: a."
    )


# --- Sentences ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opposite_effects():
    """The verdicts if two variants of the first claim have opposite effects, and that of the second has none."""
    return study.claim_effects(runs_with_effects({"a": -0.06, "b": 0.02, "c": 0}), CLAIMS)


def test_a_sentence_has_the_claim_the_verdict_the_effect_and_the_number_of_seeds(opposite_effects):
    harm, _ = study.claim_sentences(opposite_effects, CLAIMS)
    assert harm.startswith("It harms. **Contradicted**: the F1 changes by −0.0")
    assert "n = 5" in harm
    assert harm.endswith("; distinguishable by itself: a; distinguishable in the other direction: b.")


def test_a_sentence_without_a_verdict_has_the_detectable_effect(opposite_effects):
    _, use = study.claim_sentences(opposite_effects, CLAIMS)
    assert use.count("**Not distinguishable with 5 seeds**") == 2
    for detectable in opposite_effects.loc[opposite_effects["claim"] == "use", "detectable"]:
        assert f"the smallest effect detectable with 80 % power is {detectable:.4f}" in use


def test_without_results_the_sentences_say_so():
    runs = runs_with_effects({"a": 0, "b": 0, "c": 0})
    runs[["f1", "overfitting"]] = np.nan
    for sentence in study.claim_sentences(study.claim_effects(runs, CLAIMS), CLAIMS):
        assert "0 complete seeds so far" in sentence


def test_the_sentence_about_an_effect_of_zero_has_no_interval():
    runs = runs_with_effects({"a": 0, "b": 0, "c": 0}, scatter=0)
    sentence, _ = study.claim_sentences(study.claim_effects(runs, CLAIMS), CLAIMS)
    assert sentence == "It harms. **Not distinguishable**: the F1 changes by +0.0000 with each of 5 seeds."


def test_a_supported_claim_names_the_variants_with_an_effect_in_the_other_direction():
    verdicts = study.claim_effects(runs_with_effects({"a": -0.05, "b": 0.0004, "c": 0.03}), CLAIMS)
    assert list(verdicts["other_way"]) == [["b"], [], []]
    harm, use = study.claim_sentences(verdicts, CLAIMS)
    assert harm.startswith("It harms. **Supported**")
    assert harm.endswith("; distinguishable by itself: a; in the other direction, but not distinguishable: b.")
    assert "the other direction" not in use


def with_full_budget():
    full = runs_with_effects({"a": -0.01, "c": 0.03}, seeds=1, scatter=0, budget="full")
    return pd.concat([runs_with_effects({"a": -0.01, "b": -0.02, "c": 0.03}), full])


@pytest.fixture(scope="module")
def verdicts_with_full_budget():
    return study.claim_effects(with_full_budget(), CLAIMS)


def test_sentences_have_the_effects_at_the_full_budget_with_their_number_of_seeds(verdicts_with_full_budget):
    harm, use = study.claim_sentences(verdicts_with_full_budget, CLAIMS)
    assert harm.endswith("; at the full budget, −0.0100 with a (1 seed).")
    assert "; at the full budget, +0.0300 with c (1 seed)." in use


def test_effects_at_the_full_budget_fit_into_a_metrics_file(verdicts_with_full_budget):
    harm, use, _ = json.loads(json.dumps(list(verdicts_with_full_budget["full_budget"])))
    assert harm == {"a": [pytest.approx(-0.01), 1]}
    assert use == {"c": [pytest.approx(0.03), 1]}


# --- The two budgets ------------------------------------------------------------------------------


def test_the_agreement_of_the_budgets_has_the_variants_with_both_the_best_first():
    agreement = study.budget_agreement(with_full_budget())
    assert list(agreement.index) == ["c", "baseline", "a"]
    assert agreement["full"].tolist() == pytest.approx([0.85, 0.82, 0.81])
    assert agreement.loc["c", "reduced"] == pytest.approx(0.8 + 0.02 * 3 + 0.03, abs=0.002)


def test_the_agreement_is_a_correlation_of_ranks():
    reduced = runs_with_effects({"a": -0.01, "b": -0.02, "c": 0.9})
    full = runs_with_effects({"a": -0.02, "b": -0.01, "c": 0.03}, seeds=1, scatter=0, budget="full")
    # Four variants, and two neighbours change places: 1 - 6 * (1 + 1) / (4 * (16 - 1)).
    assert study.budget_agreement(pd.concat([reduced, full])).attrs["correlation"] == pytest.approx(0.8)


def test_two_variants_have_no_correlation():
    runs = with_full_budget()
    two = runs[runs["variant"].isin(["baseline", "a"])]
    assert np.isnan(study.budget_agreement(two).attrs["correlation"])


@pytest.fixture
def disagreeing_budgets():
    reduced = runs_with_effects({"a": -0.05, "b": -0.02, "c": 0.03}, scatter=1e-6)
    full = runs_with_effects({"a": 0.04, "b": -0.01, "c": 0.03}, seeds=1, scatter=0, budget="full")
    return pd.concat([reduced, full]).assign(status="finished")


def test_sentences_on_the_budgets_name_the_effects_that_change_their_sign(disagreeing_budgets):
    runs = disagreeing_budgets
    assert study.budget_sentences(runs, study.variant_effects(runs)) == [
        "4 of 4 runs at the full budget finished, for 4 variants in total.",
        "The rankings do not agree: Spearman's correlation is -0.20, "
        "and the best variant is a at the full budget and c at the reduced one.",
        "So few variants give an indication only.",
        "At the full budget the effect changes its sign for a (from −0.0500 to +0.0400).",
        "The verdict on a therefore holds for the reduced budget only.",
        "For the other variants the correlation is 1.00.",
    ]


def test_one_variant_at_the_full_budget_is_not_ranked(disagreeing_budgets):
    runs = disagreeing_budgets
    runs = runs[(runs["budget"] == "reduced") | (runs["variant"] == "b")]
    assert study.budget_sentences(runs, study.variant_effects(runs)) == [
        "1 of 1 run at the full budget finished, for 1 variant in total."
    ]
