"""The figures of part 3 show what the tables hold."""

import gc

import numpy as np
import pandas as pd
import pytest

from coursework import study, study_figures
from tests.coursework.study_runs import CLAIMS, runs_with_effects


@pytest.fixture(scope="module", autouse=True)
def frozen_garbage():
    """statsmodels collects garbage in each correction, which takes long with the objects of other tests in memory."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def forest_plot():
    runs = runs_with_effects({"a": -0.02, "b": -0.03, "c": 0})
    effects, verdicts = study.variant_effects(runs), study.claim_effects(runs, CLAIMS)
    return effects, study_figures.plot_effects(effects, verdicts)


def tick_labels(figure):
    (axis,) = figure.axes
    return [label.get_text() for label in axis.get_yticklabels()]


def test_the_forest_plot_has_each_claim_with_its_verdict_above_its_variants(forest_plot):
    _, figure = forest_plot
    assert tick_labels(figure) == ["harm: supported", "a", "b", "use: not distinguishable", "c"]


def test_the_forest_plot_shows_each_effect_with_its_interval(forest_plot):
    effects, figure = forest_plot
    labels = tick_labels(figure)
    shown = {labels[int(container[0].get_ydata()[0])]: container for container in figure.axes[0].containers}
    assert shown.keys() == set(effects.index)
    for variant, row in effects.iterrows():
        (low, _), (high, _) = shown[variant][2][0].get_segments()[0]
        assert (low, shown[variant][0].get_xdata()[0], high) == pytest.approx((row["low"], row["mean"], row["high"]))


def test_the_description_of_the_forest_plot_has_each_effect(forest_plot):
    effects, figure = forest_plot
    for variant, row in effects.iterrows():
        assert f"{variant} {row['mean']:+.4f}" in figure.description


def curves():
    """Three epochs of runs with two seeds."""
    runs = runs_with_effects({"a": -0.02, "b": -0.03, "c": 0}, seeds=2)
    return pd.concat([runs.assign(epoch=epoch, val_f1=runs["f1"] - 0.1 / epoch) for epoch in (1, 2, 3)])


def test_the_learning_curves_of_each_claim_include_the_baseline():
    figure = study_figures.plot_learning_curves(curves())
    charts = {axis.get_title(): axis for axis in figure.axes if axis.get_title()}
    assert {name: [line.get_label() for line in axis.lines] for name, axis in charts.items()} == {
        "harm": ["baseline", "a", "b"],
        "use": ["baseline", "c"],
    }


def test_a_learning_curve_is_the_mean_over_the_seeds():
    epochs = curves()
    figure = study_figures.plot_learning_curves(epochs)
    (drawn,) = (line.get_ydata() for axis in figure.axes for line in axis.lines if line.get_label() == "a")
    own = epochs[epochs["variant"] == "a"]
    assert drawn.tolist() == pytest.approx([own.loc[own["epoch"] == epoch, "val_f1"].mean() for epoch in (1, 2, 3)])


def test_only_the_lowest_learning_curves_of_each_column_have_an_axis_of_epochs():
    runs = runs_with_effects({"a": -0.02, "b": -0.03, "c": 0})
    variants = [runs.assign(variant=name, claim=name) for name in "abcd"]
    figure = study_figures.plot_learning_curves(pd.concat(variants).assign(epoch=1, val_f1=0.5))
    labelled = {axis.get_title(): axis.get_xlabel() for axis in figure.axes if axis.get_title()}
    assert labelled == {"a": "", "b": "epoch", "c": "epoch", "d": "epoch"}


def finished(runs):
    return runs.assign(status="finished", processor_seconds=100.0, model_parameters=1000, multiply_adds=10)


def test_the_cost_plot_shows_every_variant_against_time_and_parameters():
    figure = study_figures.plot_cost(finished(runs_with_effects({"a": -0.02, "b": -0.03, "c": 0})))
    time_axis, size_axis = figure.axes
    for axis, cost in ((time_axis, 100.0), (size_axis, 1000)):
        points = [x for line in axis.lines for x in line.get_xdata()]
        assert points == [cost] * 4
    assert "in 100 s with 1,000 parameters" in figure.description


def test_the_cost_plot_has_a_variant_far_below_the_others_on_its_edge_with_the_score():
    runs = finished(runs_with_effects({"a": -0.2, "b": 0.002, "c": 0.001}))
    more = [runs[runs["variant"] == "b"].assign(variant=f"b{number}") for number in range(4)]
    figure = study_figures.plot_cost(pd.concat([runs, *more]))
    for axis in figure.axes:
        (note,) = axis.texts
        assert note.get_text().startswith(f"a: {runs.loc[runs['variant'] == 'a', 'f1'].mean():.4f}")
        assert note.xy[1] == axis.get_ylim()[0] > 0.6
        assert min(y for line in axis.lines for y in line.get_ydata()) == axis.get_ylim()[0]


def test_without_finished_runs_the_figures_have_no_points():
    runs = runs_with_effects({"a": 0, "b": 0, "c": 0}).assign(status="missing", processor_seconds=1.0)
    runs = runs.assign(model_parameters=1.0)
    runs[["f1", "overfitting"]] = np.nan
    effects, verdicts = study.variant_effects(runs), study.claim_effects(runs, CLAIMS)
    forest = study_figures.plot_effects(effects, verdicts)
    cost = study_figures.plot_cost(runs)
    learning = study_figures.plot_learning_curves(runs.assign(epoch=1, val_f1=0.0).head(0))
    assert forest.axes[0].containers == []
    assert [line for figure in (cost, learning) for axis in figure.axes for line in axis.lines] == []
