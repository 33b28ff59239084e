import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from coursework import data, files, training
from benchmarks import recipes, robustness, scaling, speed, summary
from pipeline import verify
from pipeline.experiments.grid import read_grid


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Runs and reports of the tests go where no benchmark looks."""
    monkeypatch.setattr(recipes, "RUNS_FOLDER", tmp_path / "runs")
    monkeypatch.setattr(summary, "RUNS_FOLDER", tmp_path / "runs")
    monkeypatch.setattr(summary, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notebook", "name", "settings"),
    [
        (recipes.PART1, "lenet5", {"epochs": 1}),
        (recipes.PART2, "iteration3", {"iteration3_epochs": 1, "iteration3_width": 8}),
    ],
)
def test_a_recipe_trains_what_the_notebook_trains(notebook, name, settings):
    result = recipes.ours(notebook, name, **settings, training_images=600)(seed=1)
    again = recipes.ours(notebook, name, "smoke")(seed=1)
    assert result["history"]["loss"] == again["history"]["loss"]
    assert result["test_classes"] == again["test_classes"]
    assert len(result["test_classes"]) == (10_000 if name == "lenet5" else 10_500)
    assert set(result["test_classes"]) <= set("0123456789")
    assert result["parameters"] < 850_000


@pytest.mark.slow
def test_the_reference_trains_the_same_layers_on_the_same_images_without_our_loop(monkeypatch):
    monkeypatch.setattr(training, "train", None)
    result = recipes.reference(recipes.PART2, "iteration2", training_images=600, iteration2_epochs=2)(seed=1)
    assert result["parameters"] == 840_586
    assert len(result["history"]["seconds"]) == len(result["history"]["val_f1"]) == 2
    assert len(result["test_classes"]) == 10_500


def write_runs(folder, accuracies):
    """Runs of made-up recipes, as right on MNIST's test images as is asked for."""
    folder.mkdir()
    labels = data.load_mnist()["y_test"]
    for seed, accuracy in enumerate(accuracies, start=1):
        predicted = labels.copy()
        wrong = round((1 - accuracy) * len(labels))
        predicted[:wrong] = (predicted[:wrong] + 1) % 10
        history = {"seconds": [10.0, 10.0 + seed, 10.0], "val_f1": [0.9, 0.94, 0.95], "val_accuracy": [0.9, 0.94, 0.95]}
        run = {
            "recipe": "lenet5",
            "seed": seed,
            "parameters": 61_706,
            "multiply_adds": 416_520,
            "history": history,
            "validation": {"accuracy": 0.95, "f1": 0.95},
            "test_classes": "".join(map(str, predicted)),
            "peak_memory_gib": 1.0,
        }
        (folder / f"lenet5-{seed}.json").write_text(json.dumps(run))


def test_the_summary_scores_each_run_against_the_test_labels(tmp_path):
    write_runs(tmp_path / "runs", [0.98, 0.99, 0.985])
    recipe = summary.read_recipe("lenet5")
    assert [run["test"]["accuracy"] for run in recipe["runs"]] == [0.98, 0.99, 0.985]
    assert [run["seconds_to_target"] for run in recipe["runs"]] == [21, 22, 23]
    row = summary.recipe_table({"lenet5": recipe}).splitlines()[2]
    assert "| 0.9850 ± 0.0050 |" in row
    assert "| 32 |" in row
    assert "test_classes" not in json.dumps(recipe)


def test_a_recipe_without_a_run_is_left_out():
    assert summary.read_recipe("best") is None


def test_time_to_a_score_is_that_of_the_first_epoch_that_reaches_it():
    history = {"seconds": [1.0, 2.0, 4.0], "val_f1": [0.5, 0.9, 0.8]}
    assert summary.seconds_to(history, 0.8) == 3.0
    assert summary.seconds_to(history, 0.91) is None


def test_contestants_take_turns_and_the_first_round_does_not_count():
    order = []
    seconds = speed.in_turn({"first": lambda: order.append(1), "second": lambda: order.append(2)}, rounds=3)
    assert order == [1, 2] * 4
    assert [len(values) for values in seconds.values()] == [3, 3]


def test_memory_is_the_median_of_processes_that_take_turns(monkeypatch):
    found = iter([3.0, 1.0, 2.0, 0.9, 2.5, 1.1])
    asked = []

    def alone(option, notebook, whose):
        asked.append((option, notebook, whose))
        return {"peak_gib": next(found)}

    monkeypatch.setattr(speed, "alone", alone)
    assert speed.memory_in_turn("part1_mnist") == {"reference": 2.5, "ours": 1.0}
    assert asked == [("--memory", "part1_mnist", whose) for whose in ("reference", "ours")] * 3


def test_a_reference_that_misses_the_score_is_compared_by_the_time_to_its_best():
    reference = {"runs": [{"seconds_to_target": None, "seconds_to_best": 800.0}]}
    ours = {"runs": [{"seconds_to_target": 200.0, "seconds_to_best": 300.0}]}
    (figure,) = summary.comparison({"iteration2-reference": reference, "iteration3": ours}, {"memory": {}})
    assert (figure["reference"], figure["ours"]) == (800.0, 200.0)
    assert figure["name"].endswith("(the reference: to its own best score, which is lower)")


def test_a_run_that_misses_the_score_counts_as_the_slowest():
    runs = [{"seconds_to_target": seconds, "seconds_to_best": 1.0} for seconds in (None, 700.0, 500.0)]
    ours = {"runs": [{"seconds_to_target": 200.0}]}
    (figure,) = summary.comparison({"iteration2-reference": {"runs": runs}, "iteration3": ours}, {"memory": {}})
    assert figure["reference"] == 700.0
    missed = {"runs": [{"seconds_to_target": None}]}
    assert summary.comparison({"iteration2-reference": {"runs": runs}, "iteration3": missed}, {"memory": {}}) == []


@pytest.mark.parametrize(
    ("seconds", "cell"), [([None, 700.0, 500.0], "| 700 (2 of 3) |"), ([None, 700.0, None], "| – (1 of 3) |")]
)
def test_the_table_says_how_many_runs_reached_the_score(seconds, cell):
    rest = {"epochs": 8, "seconds": 900.0, "validation": {"f1": 0.9}, "test": {"accuracy": 0.9}}
    runs = [{"seconds_to_target": value, **rest} for value in seconds]
    recipe = {"parameters": 418_474, "multiply_adds": 25_488_128, "runs": runs}
    assert cell in summary.recipe_table({"iteration3": recipe})


def test_an_unknown_recipe_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["recipes", "lenet6"])
    with pytest.raises(SystemExit):
        recipes.main()
    assert "there is no recipe lenet6: expected some of lenet5-reference" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", speed.MODELS)
def test_training_on_one_batch_takes_as_many_steps(name):
    model, _ = speed.build(name)
    random = np.random.default_rng(0)
    X, y = random.integers(0, 256, (130, 28, 28, 1), np.uint8), np.eye(10)[random.integers(0, 10, 130)]
    speed.epochs_on_one_batch(model, X, y, 64)()
    assert int(model.optimizer.iterations) == 3


def made_up_measurements():
    model = {
        "multiply_adds": 416_520,
        "training_images_per_second": 10_000.0,
        "prediction_images_per_second": 50_000.0,
        "peak_gflops": 200.0,
        "training_share_of_peak": 0.125,
        "prediction_share_of_peak": 0.25,
        "plain_fit_over_ours": {"median": 1.66, "lowest": 1.5, "highest": 1.9},
    }
    environment = {
        "hardware": {"cores": 2, "processor": "a processor", "system": "Linux"},
        "versions": {"python": "3.11", "tensorflow": "2.21"},
    }
    growth = [{"images": n, "seconds": n / 1000, "before_gib": 0.8, "peak_gib": 0.9} for n in (1000, 2000)]
    return {
        "models": {"lenet5": model},
        "waiting_for_data": {"share": 0.021, "shares": [-0.01, 0.021, 0.04], "rounds": 3},
        "growth": growth,
        "memory": {"part1_mnist": {"reference": 3.0, "ours": 1.0}},
        **environment,
    }, {
        "models": {
            "lenet5": {
                "peers": {
                    "ours": {"images_per_second": 100.0, "seconds": [1.0, 1.0]},
                    "another": {"images_per_second": 25.0, "seconds": [4.0, 4.0]},
                }
            }
        }
    }


def test_the_summary_puts_all_measurements_on_one_page(tmp_path):
    write_runs(tmp_path / "runs", [0.98, 0.99, 0.985])
    for name, content in zip(("speed", "peers"), made_up_measurements(), strict=True):
        (tmp_path / "runs" / f"{name}.json").write_text(json.dumps(content))
    summary.main()
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    for part in (
        "| LeNet-5, ours | 61,706 | 0.4 M | 3 |",
        "| peak memory, part1_mnist | 3.00 GiB | 1.00 GiB | 3.00 |",
        "| lenet5 | 0.42 M | 10,000 | 50,000 | 12% | 25% | 1.66 (1.50 to 1.90) |",
        "| another | 25 (0.25) |",
        "| 2,000 | 2.0 | 1.00 | 0.80 | 0.90 |",
        "takes 2.1% of a training step",
        "-1% to 4%",
        "| WRN-28-10 with random erasing | 0.963 |",
    ):
        assert part in page
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["speed"]["growth"][0]["images"] == 1000
    assert results["comparison"][0]["reference"] == 3.0
    assert results["recipes"]["lenet5"]["runs"][2]["epochs"] == 3
    assert "<svg" in (tmp_path / "results.svg").read_text(encoding="utf-8")


def test_the_page_on_scaling_tells_what_was_measured():
    row = {"workers": 500, "runs": 10_000, "seconds": 450.0, "ideal_seconds": 400.0, "seconds_longer": 2.5}
    row |= {"scheduler_memory_gib": 0.5, "client_memory_gib": 0.25, "restart_seconds": 12.0}
    results = {
        "hardware": {"cores": 2, "processor": "abacus", "memory_gib": 24},
        "run_seconds": 20,
        "runs_an_hour": {"1": [10.0, 12.0, 11.0], "2": [22.0, 20.0, 21.0]},
        "simulated": [row],
    }
    page = scaling.page(results, real_seconds=250.0)
    assert "two workers are 1.91 times as fast as one" in page
    assert "| 2 | 21.0 | 20.0 to 22.0 |" in page
    assert "| 500 | 10,000 | 450 s | 400 s | 2.50 s | 1.0% | 0.50 GiB | 0.25 GiB | 12.0 s |" in page


def test_the_grid_of_the_simulated_cluster_has_as_many_runs_as_are_asked_for(tmp_path):
    grid = scaling._grid(tmp_path / "simulated.yaml", range(10), 19, {"epochs": 6})
    assert len(read_grid(grid)) == 200


def test_the_page_on_robustness_tells_what_was_measured_and_only_that():
    kills = {
        "profile": "smoke",
        "kills": 7,
        "runs": 2,
        "differences": [],
        "killed": {"run_notebook part1_mnist, its kernel": 7},
    }
    costs = {"epoch_seconds": 12.0, "checkpoint_seconds": 0.024, "checkpoint_bytes": 1.5e6}
    costs |= {"checkpoint_share": 0.002, "drawing_share": 0.011, "over_plain_fit": 0.97}
    scores = {"as here": {"f1": 0.5, "accuracy": 0.6}, "one thread": {"f1": 0.5, "accuracy": 0.597}}
    fuzzing = {"IDX files": {"cases": 60_000, "seconds": 300.0, "lines": 32, "reached": 31, "findings": 0}}
    found = {
        "injected": {"no network": 2, "Ctrl-C": 1},
        "survived": {"no network": 2},
        "skipped": ["SIGTERM: none here"],
    }
    parts = {
        "faults": (
            found,
            "| no network | 2 | 2 | nothing |\n| Ctrl-C | 1 | 0 | **see the test** |\n\nNot tried: SIGTERM",
        ),
        "setup": (
            {"kills": 3, "seconds": 100.0, "differences": [], "killed": {"set-up": 3}},
            "**the same**. What was at work when it was killed:\n\n| at work | kills |\n| --- | --: |\n| set-up | 3 |",
        ),
        "kills": (kills, "| run_notebook part1_mnist, its kernel | 7 |"),
        "overhead": ({"lenet5": costs}, "| lenet5 | 12.0 s | 24 ms, 1.5 MB | 0.20% | 1.10% | 0.97 |"),
        "machines": ({"profile": "quick", "scores": scores}, "| one thread | 1 of 2 | 0.0030 |"),
        "fuzzing": (fuzzing, "| IDX files | 60,000 | 5 min | 31 of 32 | – | 0 |"),
    }
    for name, (result, line) in parts.items():
        assert robustness.page({name: result}).count("\n## ") == 1
        assert line in robustness.page({part: result for part, (result, _) in parts.items()})
    measured = robustness.page({"kills": kills, "machine": {"kills": "2 cores (abacus)", "training": "1 core"}})
    assert re.findall("Measured on (.*)\\.", measured) == ["2 cores (abacus)"]
    assert "**nothing lost, nothing different**" in robustness.page({"kills": kills})
    assert "**1 difference**" in robustness.page({"kills": kills | {"differences": ["weights"]}})


def test_faults_are_counted_from_the_report_of_pytest():
    def case(*faults, outcome=""):
        properties = "".join(f'<property name="fault" value="{fault}"/>' for fault in faults)
        return f"<testcase><properties>{properties}</properties>{outcome}</testcase>"

    cases = [
        case("no network"),
        case("no network", "Ctrl-C", outcome="<failure/>"),
        case("a full disk", outcome='<skipped message="none here"/>'),
    ]
    assert robustness.count_faults(ElementTree.fromstring(f"<testsuite>{''.join(cases)}</testsuite>")) == {
        "injected": {"Ctrl-C": 1, "no network": 2},
        "survived": {"no network": 1},
        "skipped": ["a full disk: none here"],
    }


def test_a_copy_of_the_project_has_nothing_made_in_it(tmp_path):
    folder = robustness.copy_project(tmp_path / "copy")
    assert sorted(path.name for path in (folder / "reports").iterdir()) == ["experiments.csv", "experiments_epochs.csv"]
    assert (folder / "data").resolve() == (files.ROOT / "data").resolve()
    assert not (folder / ".git").exists()


def test_what_other_machines_change_is_well_within_the_tolerance_that_the_readme_promises():
    measured = json.loads(robustness.RESULTS.read_text(encoding="utf-8"))["machines"]["scores"]
    first = measured["as here"]
    most = max(abs(value - first[place]) for own in measured.values() for place, value in own.items())
    assert 0 < most < verify.TOLERANCE / 2
    assert f"agree within {verify.TOLERANCE}" in " ".join((files.ROOT / "README.md").read_text().split())
