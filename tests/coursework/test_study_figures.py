"""The figures of part 3 show what the tables hold."""

import numpy as np
import pandas as pd
import pytest

from coursework import study, study_figures
from tests.coursework.study_runs import CLAIMS, runs_with_effects


def plot_effects(runs):
    effects = study.variant_effects(runs)
    return effects, study_figures.plot_effects(effects, study.claim_effects(runs, CLAIMS))


def test_the_forest_plot_has_each_claim_with_its_verdict_and_each_effect_with_its_interval():
    effects, figure = plot_effects(runs_with_effects({"a": -0.02, "b": -0.03, "c": 0}))
    (axis,) = figure.axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["harm: supported", "a", "b", "use: not distinguishable", "c"]
    shown = {labels[int(container[0].get_ydata()[0])]: container for container in axis.containers}
    assert shown.keys() == set(effects.index)
    for variant, row in effects.iterrows():
        (low, _), (high, _) = shown[variant][2][0].get_segments()[0]
        assert (low, shown[variant][0].get_xdata()[0], high) == pytest.approx((row["low"], row["mean"], row["high"]))
        assert f"{variant} {row['mean']:+.4f}" in figure.description


def test_the_learning_curves_of_each_claim_are_means_over_the_seeds_and_include_the_baseline():
    runs = runs_with_effects({"a": -0.02, "b": -0.03, "c": 0}, seeds=2)
    epochs = pd.concat([runs.assign(epoch=epoch, val_f1=runs["f1"] - 0.1 / epoch) for epoch in (1, 2, 3)])
    charts = {axis.get_title(): axis.lines for axis in study_figures.plot_learning_curves(epochs).axes}
    assert [line.get_label() for line in charts["harm"]] == ["baseline", "a", "b"]
    assert [line.get_label() for line in charts["use"]] == ["baseline", "c"]
    expected = epochs[epochs["variant"] == "a"].groupby("epoch")["val_f1"].mean()
    assert charts["harm"][1].get_ydata().tolist() == pytest.approx(expected.tolist())


def plot_cost(runs, status="finished"):
    return study_figures.plot_cost(runs.assign(status=status, processor_seconds=100.0, model_parameters=1000))


def test_the_cost_plot_shows_every_variant_against_time_and_parameters():
    figure = plot_cost(runs_with_effects({"a": -0.02, "b": -0.03, "c": 0}))
    for axis, cost in zip(figure.axes, (100.0, 1000), strict=True):
        assert [x for line in axis.lines for x in line.get_xdata()] == [cost] * 4
    assert "in 100 s with 1,000 parameters" in figure.description


def test_the_cost_plot_has_a_variant_far_below_the_others_on_its_edge_with_the_score():
    runs = runs_with_effects({"a": -0.2, "b": 0.002, "c": 0.001})
    more = [runs[runs["variant"] == "b"].assign(variant=f"b{number}") for number in range(4)]
    for axis in plot_cost(pd.concat([runs, *more])).axes:
        (note,) = axis.texts
        assert note.get_text().startswith(f"a: {runs.loc[runs['variant'] == 'a', 'f1'].mean():.4f}")
        assert note.xy[1] == axis.get_ylim()[0] > 0.6
        assert min(y for line in axis.lines for y in line.get_ydata()) == axis.get_ylim()[0]


def test_without_finished_runs_the_figures_have_no_points():
    runs = runs_with_effects({"a": 0, "b": 0, "c": 0})
    runs[["f1", "overfitting"]] = np.nan
    learning = study_figures.plot_learning_curves(runs.assign(epoch=1, val_f1=0.0).head(0))
    assert plot_effects(runs)[1].axes[0].containers == []
    assert not any(axis.lines for figure in (plot_cost(runs, "missing"), learning) for axis in figure.axes)
