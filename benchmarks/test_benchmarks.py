import json

import numpy as np
import pytest

from benchmarks import page, recipes, robustness, speed, summary
from coursework import files
from pipeline import parameters, verify


@pytest.mark.parametrize("name", page.PAGES)
def test_a_page_shows_the_recorded_figures(name):
    assert page.render(name, page.read(name)) == (page.FOLDER / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(("notebook", "name"), [(recipes.PART1, "lenet5"), (recipes.PART2, "iteration3")])
def test_parameters_override_the_profile(notebook, name, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path)
    result = recipes.ours(notebook, name, **parameters.read_profile("smoke", notebook))(seed=1)
    smoke = recipes.ours(notebook, name, "smoke")(seed=1)
    assert result["history"]["loss"] == smoke["history"]["loss"]
    assert result["test_classes"] == smoke["test_classes"]
    assert len(result["test_classes"]) == (10_000 if name == "lenet5" else 10_500)


@pytest.mark.slow
def test_the_reference_trains_the_same_layers():
    result = recipes.reference(recipes.PART2, "iteration2", training_images=600, iteration2_epochs=2)(seed=1)
    assert result["parameters"] == 840_586
    assert len(result["history"]["seconds"]) == len(result["history"]["val_f1"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "iteration3"])
def test_ours_and_a_plain_fit_are_timed_in_turn(name):
    result = speed.model_speed(name, images=260, rounds=2)
    assert result["plain_fit_over_ours"]["lowest"] > 0
    assert result["training_images_per_second"] > 0


def test_each_run_is_scored_against_the_test_labels(tmp_path, monkeypatch):
    labels, accuracies = np.arange(1000) % 10, [0.98, 0.99, 0.985]
    monkeypatch.setattr(summary, "test_labels", lambda recipe: labels)
    monkeypatch.setattr(recipes, "RUNS_FOLDER", tmp_path)
    for seed, accuracy in enumerate(accuracies, start=1):
        right = np.arange(1000) < 1000 * accuracy
        history = {"seconds": [10.0, 10.0 + seed, 10.0], "val_f1": [0.9, 0.94, 0.95]}
        run = {"parameters": 61_706, "history": history, "test_classes": "".join(map(str, (labels + ~right) % 10))}
        recipes.run_file("lenet5", seed).write_text(json.dumps(run), encoding="utf-8")
    recipe = summary.read_recipe("lenet5")
    assert [run["test"]["accuracy"] for run in recipe["runs"]] == accuracies
    assert [run["seconds_to_target"] for run in recipe["runs"]] == [21, 22, 23]
    assert recipe["parameters"] == 61_706
    assert "test_classes" not in json.dumps(recipe)


@pytest.mark.parametrize(("of_the_reference", "median"), [((None, 700, 500), 700), ((None, None, 500), None)])
def test_a_run_that_misses_the_score_counts_as_the_slowest(of_the_reference, median):
    runs = {name: [{"seconds": 1.0, "seconds_to_target": 200.0}] for name in recipes.RECIPES}
    runs["iteration2-reference"] = [{"seconds": 1.0, "seconds_to_target": seconds} for seconds in of_the_reference]
    found = summary.comparison({name: {"runs": of_recipe} for name, of_recipe in runs.items()}, memory={})
    times = [figure["reference"] for figure in found if figure["name"].startswith("time to")]
    assert times == ([median] * 3 if median else [])


def test_a_copy_of_the_project_has_no_results(tmp_path):
    folder = robustness.copy_project(tmp_path / "copy")
    assert sorted(path.name for path in (folder / "reports").iterdir()) == ["experiments.csv", "experiments_epochs.csv"]
    assert (folder / "data").resolve() == (files.ROOT / "data").resolve()
    assert not (folder / ".git").exists()


def test_other_machines_change_scores_by_less_than_half_the_documented_tolerance():
    measured = page.read("robustness")["machines"]["scores"]
    first = measured["as here"]
    assert 0 < max(max(page.differences(scores, first)) for scores in measured.values()) < verify.TOLERANCE / 2
    text = (files.ROOT / "docs" / "reproducibility.md").read_text(encoding="utf-8")
    assert f"agree within {verify.TOLERANCE}" in " ".join(text.split())
