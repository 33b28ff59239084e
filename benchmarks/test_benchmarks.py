import json
import subprocess
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import fuzz, pdf_export, recipes, scaling, speed, summary
from benchmarks.robustness import faults, kills, page, results
from coursework import data, files, training
from pipeline import verify
from pipeline.experiments.grid import read_grid


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "RUNS_FOLDER", tmp_path / "runs")
    monkeypatch.setattr(summary, "RUNS_FOLDER", tmp_path / "runs")
    monkeypatch.setattr(summary, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")


# --- Recipes and speed ----------------------------------------------------------------------------


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
    smoke = recipes.ours(notebook, name, "smoke")(seed=1)
    assert result["history"]["loss"] == smoke["history"]["loss"]
    assert result["test_classes"] == smoke["test_classes"]
    assert len(result["test_classes"]) == (10_000 if name == "lenet5" else 10_500)


@pytest.mark.slow
def test_the_reference_trains_the_same_layers_without_our_loop(monkeypatch):
    monkeypatch.setattr(training, "train", None)
    result = recipes.reference(recipes.PART2, "iteration2", training_images=600, iteration2_epochs=2)(seed=1)
    assert result["parameters"] == 840_586
    assert len(result["history"]["seconds"]) == len(result["history"]["val_f1"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", speed.MODELS)
def test_an_epoch_on_one_batch_has_the_steps_of_an_epoch(name):
    model, _ = speed.build(name)
    random = np.random.default_rng(0)
    X, y = random.integers(0, 256, (130, 28, 28, 1), np.uint8), np.eye(10)[random.integers(0, 10, 130)]
    speed.epochs_on_one_batch(model, X, y, 64)()
    assert int(model.optimizer.iterations) == 3


def test_an_unknown_recipe_is_rejected(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["recipes", "lenet6"])
    with pytest.raises(SystemExit):
        recipes.main()
    assert "unknown recipe lenet6: expected some of lenet5-reference" in capsys.readouterr().err


def test_peers_other_than_ours_run_without_tensorflow():
    code = "import sys, benchmarks.peers; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=files.ROOT).returncode == 0


def test_contestants_take_turns_and_the_first_round_does_not_count():
    order = []
    seconds = speed.in_turn({"first": lambda: order.append(1), "second": lambda: order.append(2)}, rounds=3)
    assert order == [1, 2] * 4
    assert [len(values) for values in seconds.values()] == [3, 3]


def test_the_memory_is_the_median_of_processes_in_turn(monkeypatch):
    found, asked = iter([3.0, 1.0, 2.0, 0.9, 2.5, 1.1]), []

    def run_self(*arguments):
        asked.append(arguments)
        return {"peak_gib": next(found)}

    monkeypatch.setattr(speed, "run_self", run_self)
    assert speed.memory_in_turn("part1_mnist") == {"reference": 2.5, "ours": 1.0}
    assert asked == [("--memory", "part1_mnist", whose) for whose in ("reference", "ours")] * 3


# --- Summary --------------------------------------------------------------------------------------


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three runs of LeNet-5 with test accuracies of 0.98, 0.99 and 0.985, and measurements of speed and peers."""
    labels = np.random.default_rng(0).integers(0, 10, 1000)
    monkeypatch.setattr(summary, "test_labels", lambda recipe: labels)
    folder = tmp_path / "runs"
    folder.mkdir()
    for seed, accuracy in enumerate([0.98, 0.99, 0.985], start=1):
        predicted = labels.copy()
        wrong = round((1 - accuracy) * len(labels))
        predicted[:wrong] = (predicted[:wrong] + 1) % 10
        history = {"seconds": [10.0, 10.0 + seed, 10.0], "val_f1": [0.9, 0.94, 0.95], "val_accuracy": [0.9, 0.94, 0.95]}
        run = {"recipe": "lenet5", "seed": seed, "parameters": 61_706, "multiply_adds": 416_520, "history": history}
        run |= {"validation": {"accuracy": 0.95, "f1": 0.95}, "test_classes": "".join(map(str, predicted))}
        (folder / f"lenet5-{seed}.json").write_text(json.dumps(run))
    recorded = json.loads((files.ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    for name in ("speed", "peers"):
        (folder / f"{name}.json").write_text(json.dumps(recorded[name]))


def test_the_summary_scores_each_run_against_the_test_labels(runs):
    recipe = summary.read_recipe("lenet5")
    assert [run["test"]["accuracy"] for run in recipe["runs"]] == [0.98, 0.99, 0.985]
    assert [run["seconds_to_target"] for run in recipe["runs"]] == [21, 22, 23]
    assert "test_classes" not in json.dumps(recipe)


def test_the_summary_shows_only_recipes_with_a_run(runs, tmp_path):
    summary.main()
    found = json.loads((tmp_path / "results.json").read_text())
    assert list(found["recipes"]) == ["lenet5"]
    assert [figure["name"] for figure in found["comparison"]] == [
        "peak memory, part1_mnist",
        "peak memory, part2_fashion_mnist",
    ]
    assert "0.9850 ± 0.0050" in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert ElementTree.parse(tmp_path / "results.svg").getroot().tag.endswith("svg")


def test_the_time_to_a_score_is_that_of_the_first_epoch_that_reaches_it():
    history = {"seconds": [1.0, 2.0, 4.0], "val_f1": [0.5, 0.9, 0.8]}
    assert summary.seconds_to(history, 0.8) == 3.0
    assert summary.seconds_to(history, 0.91) is None


def test_a_reference_that_misses_the_score_is_compared_by_the_time_to_its_own_best_score():
    reference = {"runs": [{"seconds_to_target": None, "seconds_to_best": 800.0}]}
    ours = {"runs": [{"seconds_to_target": 200.0, "seconds_to_best": 300.0}]}
    (figure,) = summary.comparison({"iteration2-reference": reference, "iteration3": ours}, {"memory": {}})
    assert (figure["reference"], figure["ours"]) == (800.0, 200.0)
    assert figure["name"].endswith("(the reference: to its own best score, which is lower)")


def test_a_run_that_misses_the_score_counts_as_the_slowest():
    reference = [{"seconds_to_target": seconds, "seconds_to_best": 1.0} for seconds in (None, 700.0, 500.0)]
    found = {"iteration2-reference": {"runs": reference}, "iteration3": {"runs": [{"seconds_to_target": 200.0}]}}
    (figure,) = summary.comparison(found, {"memory": {}})
    assert figure["reference"] == 700.0
    found["iteration3"] = {"runs": [{"seconds_to_target": None}]}
    assert summary.comparison(found, {"memory": {}}) == []


# --- Pages and scaling ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("results", lambda found: summary.report(found["recipes"], found["speed"], found["peers"])),
        ("robustness", page.page),
        ("scaling", scaling.page),
        ("pdf_export", lambda found: pdf_export.page(found) + "\n"),
    ],
)
def test_a_page_shows_the_recorded_figures(name, write):
    recorded = (files.ROOT / "benchmarks" / name).with_suffix(".json").read_text(encoding="utf-8")
    shown = (files.ROOT / "benchmarks" / name).with_suffix(".md").read_text(encoding="utf-8")
    assert write(json.loads(recorded)) == shown


def test_the_grid_of_the_simulated_cluster_has_the_wanted_number_of_runs(tmp_path):
    grid = scaling.write_grid(tmp_path / "simulated.yaml", range(10), 19, {"epochs": 6})
    assert len(read_grid(grid)) == 200


# --- Robustness and fuzzing -----------------------------------------------------------------------


def test_faults_are_counted_from_the_report_of_pytest():
    def case(*faults, outcome=""):
        properties = "".join(f'<property name="fault" value="{fault}"/>' for fault in faults)
        return f"<testcase><properties>{properties}</properties>{outcome}</testcase>"

    cases = [
        case("no network"),
        case("no network", "Ctrl-C", outcome="<failure/>"),
        case("a full disk", outcome='<skipped message="none here"/>'),
    ]
    assert faults.count_faults(ElementTree.fromstring(f"<testsuite>{''.join(cases)}</testsuite>")) == {
        "injected": {"Ctrl-C": 1, "no network": 2},
        "survived": {"no network": 1},
        "skipped": ["a full disk: none here"],
    }


def test_the_page_never_hides_a_lost_result():
    injected = page.describe_faults(
        {"injected": {"Ctrl-C": 2}, "survived": {"Ctrl-C": 1}, "skipped": ["SIGTERM: none"]}
    )
    assert "**see the test**" in injected[-2]
    assert "SIGTERM" in injected[-1]
    killed = {"profile": "smoke", "kills": 7, "runs": 2, "killed": {"make": 7}, "seconds": 1.0}
    for describe in (page.describe_kills, page.describe_set_up):
        same, other = (
            "\n".join(describe(killed | {"differences": differences})) for differences in ([], ["data/weights"])
        )
        assert same != other
        assert "identical" not in other
        assert "nothing different" not in other


def test_a_copy_of_the_project_has_no_results(tmp_path):
    folder = kills.copy_project(tmp_path / "copy")
    assert sorted(path.name for path in (folder / "reports").iterdir()) == ["experiments.csv", "experiments_epochs.csv"]
    assert (folder / "data").resolve() == (files.ROOT / "data").resolve()
    assert not (folder / ".git").exists()


@pytest.mark.parametrize(
    ("commands", "shown"),
    [
        ([["make", "report"]], "make"),
        ([["python", "pipeline/set_up.py", ".venv"]], "set-up"),
        (
            [["python", "-m", "notebook_pdf", "reports/smoke/part1_mnist.ipynb", "x.pdf"]],
            "notebook_pdf part1_mnist.ipynb",
        ),
        (
            [
                ["make"],
                ["python", "-m", "pipeline.run_notebook", "part1_mnist"],
                ["python", "-m", "ipykernel_launcher"],
            ],
            "run_notebook part1_mnist and its kernel",
        ),
    ],
)
def test_a_kill_is_recorded_with_the_command_that_was_running(commands, shown):
    processes = [SimpleNamespace(cmdline=lambda command=command: command) for command in commands]
    assert kills.running_command(processes) == shown


def test_other_machines_change_scores_by_less_than_half_the_documented_tolerance():
    measured = results.read_results()["machines"]["scores"]
    first = measured["as here"]
    largest = max(abs(value - first[place]) for own in measured.values() for place, value in own.items())
    assert 0 < largest < verify.TOLERANCE / 2
    text = (files.ROOT / "docs" / "reproducibility.md").read_text(encoding="utf-8")
    assert f"agree within {verify.TOLERANCE}" in " ".join(text.split())


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_seeds_and_damaged_seeds_are_not_findings(name, tmp_path, monkeypatch):
    for constant in ("IDX_SIZES", "IDX_SHA256"):
        monkeypatch.setattr(data, constant, getattr(data, constant))  # which the reader of IDX files replaces
    monkeypatch.setattr(files, "REPORTS_FOLDER", files.ROOT / "reports")
    read, seeds, _ = fuzz.TARGETS[name]
    cases = [seed for _, seed in zip(range(8), seeds(), strict=False)]
    assert cases
    for case in cases:
        read(case, tmp_path)
        read(case[: len(case) // 2], tmp_path)


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_the_code_of_a_fuzzed_reader_exists(name):
    for path, lines in fuzz.code_of(name):
        assert path.is_relative_to(files.ROOT / ("notebook_pdf" if name == "notebooks" else "coursework"))
        assert len(lines) > 0


def test_the_property_tests_are_found():
    assert len(fuzz.property_tests()) >= 2
