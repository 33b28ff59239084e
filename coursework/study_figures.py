"""The plots of part 3, from the tables of `load_experiments`, `variant_effects` and `claim_effects`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.ticker import MaxNLocator

from coursework.figures import figure_with_axes, palette_colours, with_caption
from coursework.text import pluralize

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_effects(effects: pd.DataFrame, verdicts: pd.DataFrame) -> Figure:
    """Forest plot: the effect of each variant on the validation F1 with its 95 % interval, claim by claim."""
    on_f1 = verdicts[verdicts["metric"] == "f1"].set_index("claim")["verdict"]
    names = list(dict.fromkeys(effects["claim"]))
    figure, axes = figure_with_axes(1, 1, height=0.8 + 0.22 * (len(effects) + len(names)))
    axis, position, labels, (blue, orange) = axes[0, 0], 0, {}, palette_colours(2)
    looks = {"supported": ("o", blue), "contradicted": ("s", orange), "not distinguishable": ("D", (0.45,) * 3)}
    for name in names:
        own, verdict = effects[effects["claim"] == name], on_f1.get(name)
        marker, colour = looks[verdict or "not distinguishable"]
        labels[position] = f"{name}: {verdict or 'about overfitting only'}"
        position += 1
        for variant, row in own.iterrows():
            if row["pairs"]:
                width = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]] if row["pairs"] > 1 else None
                style = {"color": colour, "markersize": 4, "elinewidth": 1.2, "capsize": 2}
                axis.errorbar(row["mean"], position, xerr=width, fmt=marker, **style)
            labels[position] = variant
            position += 1
    axis.axvline(0, color="0.3", linewidth=0.8)
    axis.set_yticks(list(labels), list(labels.values()), fontsize=8)
    for text in axis.get_yticklabels():
        if ": " in text.get_text():
            text.set_fontweight("bold")
    axis.set_ylim(position - 0.4, -0.6)
    linear = 0.02  # and logarithmic beyond: on a linear scale one large effect would compress all small ones
    axis.set_xscale("symlog", linthresh=linear)
    ticks = [-0.2, -0.1, -0.05, -0.02, -0.01, 0, 0.01, 0.02, 0.05, 0.1, 0.2]
    low, high = min(-linear, effects["low"].min()), max(linear, effects["high"].max())
    axis.set_xticks(ticks, [f"{tick:+g}".replace("-", "−") if tick else "0" for tick in ticks], fontsize=9)
    axis.set_xticks([], minor=True)
    axis.set_xlim(1.1 * low, 1.1 * high)
    axis.grid(axis="x", color="0.9")
    axis.set_axisbelow(True)
    axis.set_xlabel("change of the validation F1 against the baseline")
    description = "; ".join(
        f"{variant} {row['mean']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})"
        if row["pairs"] > 1
        else f"{variant} without an interval"
        for variant, row in effects.iterrows()
    )
    return with_caption(
        figure,
        "The effect of each variant with its 95 % interval, by claim: variants left of the line are worse than the "
        f"baseline, variants right of it better. The scale is logarithmic beyond ±{linear:g}",
        f"A point with a whisker for each variant: {description}.",
    )


def plot_learning_curves(epochs: pd.DataFrame) -> Figure:
    """Validation F1 by epoch, mean over the seeds, one chart per claim with the baseline in each."""
    reduced = epochs[epochs["budget"] == "reduced"]
    means = reduced.pivot_table(index="epoch", columns="variant", values="val_f1", sort=False)
    claim_of = reduced.drop_duplicates("variant").set_index("variant")["claim"]
    claims = [claim for claim in claim_of.unique() if claim != "baseline"]
    rows = max(1, -(-len(claims) // 3))
    figure, axes = figure_with_axes(rows, 3, height=2.3 * rows, sharex=True, sharey=True)
    for axis in axes.ravel()[len(claims) :]:
        axis.axis("off")
    for axis, claim in zip(axes.ravel(), claims, strict=False):
        if "baseline" in means:
            axis.plot(means["baseline"], color="black", linewidth=1.2, label="baseline")
        variants = list(claim_of.index[claim_of == claim])
        styles = itertools.cycle(("--", ":", "-.", (0, (5, 1, 1, 1))))
        for variant, colour, style in zip(variants, palette_colours(len(variants)), styles, strict=False):
            axis.plot(means[variant], linestyle=style, color=colour, label=variant)
        axis.set_title(claim, fontsize=9)
        axis.legend(fontsize=6, loc="lower right")
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    for axis in axes[:, 0]:
        axis.set_ylabel("validation F1")
    for axis in axes.ravel()[max(0, len(claims) - 3) : len(claims)]:  # the lowest chart of each column
        axis.set_xlabel("epoch")
        axis.tick_params(labelbottom=True)
    ends = "; ".join(f"{variant} {value:.4f}" for variant, value in means.tail(1).mean().items())
    return with_caption(
        figure,
        "Validation F1 by epoch on the images that select the epoch, means over the seeds; the solid black line is "
        "the baseline",
        f"A chart for each of {pluralize(len(claims), 'claim')}. At the last epoch: {ends}.",
    )


def plot_cost(runs: pd.DataFrame) -> Figure:
    """Mean validation F1 of each variant over the seeds, against processor time and number of parameters."""
    reduced = runs[(runs["budget"] == "reduced") & (runs["status"] == "finished")]
    columns = {"f1": "mean", "processor_seconds": "median", "model_parameters": "median"}
    table = reduced.groupby(["claim", "variant"], sort=False).agg(columns)
    claims = list(dict.fromkeys(table.index.get_level_values("claim")))
    figure, axes = figure_with_axes(1, 2, height=4.4, sharey=True)
    costs = {"processor_seconds": "processor time (s)", "model_parameters": "parameters"}
    f1 = table["f1"]
    lower_quartile, upper_quartile = f1.quantile(0.25), f1.quantile(0.75)
    floor = upper_quartile - 8 * (upper_quartile - lower_quartile)  # outliers far below are drawn on the lower edge
    for axis, (column, label) in zip(axes[0], costs.items(), strict=True):
        colours = ["black", *palette_colours(len(claims) - 1)] if claims else []
        for claim, colour, marker in zip(claims, colours, itertools.cycle("*osD^v<>PX"), strict=False):
            style = {"color": colour, "markersize": 9 if claim == "baseline" else 5, "clip_on": False}
            axis.plot(table.loc[claim, column], table.loc[claim, "f1"].clip(lower=floor), marker, label=claim, **style)
        for (_, variant), row in table[f1 < floor].iterrows():
            below = {"xytext": (6, 3), "textcoords": "offset points", "fontsize": 8}
            axis.annotate(f"{variant}: {row['f1']:.4f} ↓", (row[column], floor), **below)
        if (f1 < floor).any():
            axis.set_ylim(bottom=floor)
        axis.set_xlabel(label)
    axes[0, 0].set_ylabel("validation F1")
    axes[0, 1].xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g} M")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    description = "; ".join(
        f"{variant} {row['f1']:.4f} in {row['processor_seconds']:.0f} s with {row['model_parameters']:,.0f} parameters"
        for (_, variant), row in table.iterrows()
    )
    return with_caption(
        figure,
        "Score against cost: the validation F1 of each variant against the processor time of a run and against its "
        "parameters",
        f"Two charts with a point for each variant: {description}.",
    )
