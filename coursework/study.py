"""The statistics of part 3: paired effects of variants, and verdicts on claims.

`runs` and `claims` are those of `load_experiments`, `metric` is a key of `EXPERIMENT_METRICS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coursework import files
from coursework.data import DataError
from coursework.text import pluralize, signed

EXPERIMENTS_FILE = files.ROOT / "experiments.yaml"
EXPERIMENT_METRICS = {"f1": "macro F1", "overfitting": "overfitting"}
"""What the experiments compare: validation macro F1, and overfitting, training F1 minus validation F1."""


def load_experiments(grid: Path | str = EXPERIMENTS_FILE) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """Load the tables that `make experiments` wrote to `reports/`, and the claims of the grid.

    Returns:
        The runs, one row each: `claim`, `variant`, `budget` ("reduced" or "full"), `seed`, `status` ("finished",
        "missing" or "failed"), the parameters, and for finished runs `f1`, `overfitting`, `seconds`,
        `processor_seconds`, `model_parameters`, `multiply_adds` and more. Their epochs, with the run's variant, budget
        and seed in each row. The claims of the grid: `name`, `claim`, `expect`, `variants`.

    Raises:
        DataError: the tables do not exist, are damaged, or lack a variant of the grid.
    """
    import ruamel.yaml

    grid = Path(grid)
    paths = [files.REPORTS_FOLDER / f"{grid.stem}{part}.csv" for part in ("", "_epochs")]
    for path in (grid, *paths):
        if not path.exists():
            raise DataError(
                f"{files.display_path(path)} does not exist: `make experiments` writes the tables of experiments.yaml"
            )
    try:
        runs, epochs = map(read_table, paths)
        claims = ruamel.yaml.YAML(typ="safe", pure=True).load(grid)["claims"]
        for claim in claims:
            for variant in claim["variants"]:
                if not ((runs["claim"] == claim["name"]) & (runs["variant"] == variant)).any():
                    raise DataError(
                        f"{files.display_path(paths[0])} has no run of {claim['name']}: {variant}, which is new in "
                        f"{files.display_path(grid)}: run `make experiments` to add it"
                    )
        runs = runs.reindex(columns=list(dict.fromkeys([*runs.columns, "validation_f1", "training_f1"])))
        runs["f1"], runs["overfitting"] = runs["validation_f1"], runs["training_f1"] - runs["validation_f1"]
        epochs = epochs.merge(runs[["identity", "claim", "variant", "budget", "seed"]], on="identity")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, ruamel.yaml.YAMLError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(
            f"{files.display_path(grid)}, or one of its tables {', '.join(map(files.display_path, paths))}, is "
            f"damaged ({reason}): restore the files from git, or delete the tables and run `make experiments` to "
            "write them again"
        ) from error
    return runs, epochs, claims


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a CSV table in which only an empty field is a missing value, and "None" is a valid name."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def paired_effect(differences: np.ndarray, comparisons: int = 1) -> dict[str, float]:
    """Mean of paired differences, (n,), with its 95 % interval and the p-value of the paired t-test (Student, 1908).

    With five pairs, tests on ranks or signs cannot reach p < 0.06. The t-test can; it assumes that the differences are
    normally distributed.

    Args:
        comparisons: number of effects that the p-values will be corrected for.

    Returns:
        `pairs`, `mean`, `low`, `high`, `p_value`, and `detectable`: the smallest true difference that this number of
        pairs with this standard deviation detects at p < 0.05 / `comparisons` with 80 % power (Cohen, 1988). With fewer
        than two pairs, what cannot be computed is NaN.
    """
    from scipy.stats import ttest_1samp

    differences = np.asarray(differences, float)
    pairs, nan = len(differences), float("nan")
    effect = {"pairs": pairs, "mean": differences.mean() if pairs else nan}
    deviation = differences.std(ddof=1) if pairs > 1 else nan
    if not deviation > 0:
        return effect | dict.fromkeys(("low", "high", "p_value", "detectable"), nan)
    test = ttest_1samp(differences, 0)
    interval = test.confidence_interval(0.95)
    return effect | {
        "low": interval.low,
        "high": interval.high,
        "p_value": float(test.pvalue),
        "detectable": _detectable(pairs, 0.05 / comparisons) * deviation,
    }


def _detectable(pairs: int, level: float, power: float = 0.8) -> float:
    """The true mean, in standard deviations, that a two-sided paired t-test at this level detects with this power."""
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    # The other tail adds far less than 0.001 to the power, and SciPy cannot compute it for large effects.
    critical = t.isf(level / 2, pairs - 1)
    return brentq(lambda mean: nct.sf(critical, pairs - 1, mean * math.sqrt(pairs)) - power, 0, 2 * (critical + 3))


def holm(p_values: pd.Series) -> pd.Series:
    """P-values corrected for their number (Holm, 1979); NaN stays NaN and counts as not significant."""
    from statsmodels.stats.multitest import multipletests

    corrected = multipletests(p_values.fillna(1.0), method="holm")[1]
    return pd.Series(corrected, p_values.index).where(p_values.notna())


def _differences(runs: pd.DataFrame, metric: str, budget: str = "reduced") -> pd.DataFrame:
    """Each variant's metric minus the baseline's with the same seed: rows are seeds, columns variants in order."""
    chosen = runs[runs["budget"] == budget]
    scores = chosen.pivot(index="seed", columns="variant", values=metric)
    scores = scores.reindex(columns=list(dict.fromkeys(["baseline", *chosen["variant"]])))
    return scores.drop(columns="baseline").sub(scores["baseline"], axis=0)


def variant_effects(runs: pd.DataFrame, metric: str = "f1") -> pd.DataFrame:
    """The effect of each variant against the baseline, paired by seed (see `paired_effect`).

    Returns:
        One row per variant, in the table's order: `claim`, the fields of `paired_effect`, and `p_corrected`, the
        p-value after Holm's correction for the number of variants.
    """
    differences = _differences(runs, metric)
    table = pd.DataFrame({name: paired_effect(differences[name].dropna()) for name in differences}).T
    table.insert(0, "claim", runs.drop_duplicates("variant").set_index("variant")["claim"].reindex(table.index))
    table["p_corrected"] = holm(table["p_value"])
    return table.astype({"pairs": int}).rename_axis("variant")


def claim_effects(runs: pd.DataFrame, claims: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The verdict on each claim: the mean effect of its variants, paired by seed, against the claimed direction.

    A seed counts if the baseline and all variants of the claim are finished with it. A claim is

    - contradicted, if the mean effect is distinguishable from zero in the other direction, or if the effect of one of
      its variants is: a claim speaks of every such change, so one counterexample refutes it;
    - supported, if the mean effect is distinguishable from zero in the claimed direction, and it is not contradicted;
    - not distinguishable otherwise.

    Distinguishable means p < 0.05 after Holm's correction, for the number of claims or, for single variants, of all
    variants.

    Returns:
        One row for each metric of each claim: `claim`, `metric`, `expected` ("lower" or "higher"), the fields of
        `paired_effect`, `p_corrected`, and `verdict`. For a claim with several variants, the names of those that are
        distinguishable by themselves in the claimed direction (`alone`) and in the other (`contrary`), and of those
        whose mean effect is in the other direction (`other_way`). `full_budget` holds the effects of the variants that
        were also run at the full budget, by name: (mean, number of seeds).
    """
    statements = [(claim, metric, expected) for claim in claims for metric, expected in claim["expect"].items()]
    rows = []
    for claim, metric, expected in statements:
        names = list(claim["variants"])
        differences = _differences(runs, metric)[names].dropna().mean(axis=1)
        at_full = _differences(runs, metric, "full").reindex(columns=names).dropna(axis=1, how="all")
        full_budget = {name: (at_full[name].mean(), int(at_full[name].count())) for name in at_full}
        row = {"claim": claim["name"], "metric": metric, "expected": expected}
        rows.append(row | paired_effect(differences, comparisons=len(statements)) | {"full_budget": full_budget})
    table = pd.DataFrame(rows)
    table["p_corrected"] = holm(table["p_value"])
    variants = {metric: variant_effects(runs, metric) for metric in table["metric"].unique()}
    verdicts = pd.DataFrame([_verdict(row, variants[row["metric"]]) for _, row in table.iterrows()], table.index)
    return table.join(verdicts)


def _verdict(row: pd.Series, variants: pd.DataFrame) -> dict[str, Any]:
    """The columns of `claim_effects` on the direction of a claim's effect and of the effects of its variants."""
    sign = 1 if row["expected"] == "higher" else -1
    own = variants[variants["claim"] == row["claim"]]
    if len(own) == 1:  # its effect is the claim's own
        own = own.head(0)
    certain, as_claimed, against = own["p_corrected"] < 0.05, own["mean"] * sign > 0, own["mean"] * sign < 0
    contrary, distinguishable = list(own.index[certain & against]), row["p_corrected"] < 0.05
    if contrary or (distinguishable and not row["mean"] * sign > 0):
        verdict = "contradicted"
    else:
        verdict = "supported" if distinguishable else "not distinguishable"
    alone, other_way = list(own.index[certain & as_claimed]), list(own.index[against])
    return {"alone": alone, "contrary": contrary, "other_way": other_way, "verdict": verdict}


def claim_sentences(effects: pd.DataFrame, claims: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence on each claim in Markdown: the verdict and the effect, from `claim_effects`, with its uncertainty."""
    parts = effects.apply(_effect_sentence, axis=1).groupby(effects["claim"]).agg(" ".join)
    return [f"{claim['claim']} {parts[claim['name']]}" for claim in claims]


def _effect_sentence(row: pd.Series) -> str:
    subject = {"f1": "the F1", "overfitting": "the overfitting"}[row["metric"]]
    verdict, open_ = row["verdict"].capitalize(), row["verdict"] == "not distinguishable"
    if row["pairs"] < 2:
        sentence = f"**{verdict}**: {pluralize(row['pairs'], 'complete seed')} so far, at least two are needed"
    elif np.isnan(row["p_value"]):
        sentence = f"**{verdict}**: {subject} changes by {signed(row['mean'])} with each of {row['pairs']} seeds"
    else:
        mean, low, high = (signed(row[name]) for name in ("mean", "low", "high"))
        seeds = f" with {row['pairs']} seeds" if open_ else ""
        sentence = f"**{verdict}{seeds}**: {subject} changes by {mean} on average "
        sentence += f"({low} to {high}, n = {row['pairs']}, p = {row['p_corrected']:.2g})"
        if open_:
            sentence += f"; the smallest effect detectable with 80 % power is {row['detectable']:.4f}"
    if row["alone"]:
        sentence += f"; distinguishable by itself: {', '.join(row['alone'])}"
    if row["contrary"]:
        sentence += f"; distinguishable in the other direction: {', '.join(row['contrary'])}"
    if row["verdict"] == "supported" and row["other_way"]:
        sentence += f"; in the other direction, but not distinguishable: {', '.join(row['other_way'])}"
    if row["full_budget"]:
        differences = (
            f"{signed(mean)} with {name} ({pluralize(seeds, 'seed')})"
            for name, (mean, seeds) in row["full_budget"].items()
        )
        sentence += f"; at the full budget, {', '.join(differences)}"
    return sentence + "."


def budget_agreement(runs: pd.DataFrame) -> pd.DataFrame:
    """F1 at both budgets of the variants that were also run at the full budget, means over the seeds.

    Returns:
        `reduced` and `full`, one row per variant with both, the best at the full budget first. The attribute
        `attrs["correlation"]` is Spearman's rank correlation of the two, NaN with fewer than three variants.
    """
    from scipy.stats import spearmanr

    scores = runs.pivot_table(index="variant", columns="budget", values="f1").reindex(columns=["reduced", "full"])
    scores = scores.dropna().sort_values("full", ascending=False)
    scores.attrs["correlation"] = float(spearmanr(scores)[0]) if len(scores) > 2 else float("nan")
    return scores


def budget_sentences(runs: pd.DataFrame, effects: pd.DataFrame) -> list[str]:
    """Sentences that compare the two budgets: agreement of the rankings, and `variant_effects` that change sign."""
    full, agreement = runs[runs["budget"] == "full"], budget_agreement(runs)
    finished = (full["status"] == "finished").sum()
    sentences = [
        f"{finished} of {pluralize(len(full), 'run')} at the full budget finished, for "
        f"{pluralize(len(agreement), 'variant')} in total."
    ]
    if len(agreement) > 2:
        sentences += [_ranking_sentence(agreement), "So few variants give an indication only."]
    if "baseline" not in agreement.index:
        return sentences
    change = agreement - agreement.loc["baseline"]
    turned = change[change["reduced"] * change["full"] < 0]
    if len(turned):
        changes = (
            f"{name} (from {signed(row['reduced'])} to {signed(row['full'])})" for name, row in turned.iterrows()
        )
        sentences.append(f"At the full budget the effect changes its sign for {', '.join(changes)}.")
    certain = [name for name in turned.index if effects.loc[name, "p_corrected"] < 0.05]
    if certain:
        sentences.append(f"The verdict on {' and '.join(certain)} therefore holds for the reduced budget only.")
        others = budget_agreement(runs[~runs["variant"].isin(certain)])
        if len(others) > 2:
            sentences.append(f"For the other variants the correlation is {others.attrs['correlation']:.2f}.")
    return sentences


def _ranking_sentence(agreement: pd.DataFrame) -> str:
    correlation, best, best_reduced = agreement.attrs["correlation"], agreement.index[0], agreement["reduced"].idxmax()
    strong = "agree" if correlation > 0.7 else "agree partly" if correlation > 0.3 else "do not agree"
    places = f"the same, {best}"
    if best != best_reduced:
        places = f"{best} at the full budget and {best_reduced} at the reduced one"
    return f"The rankings {strong}: Spearman's correlation is {correlation:.2f}, and the best variant is {places}."
