"""What the promises of reproducibility hold against: `python -m benchmarks.robustness PART`, the parts being:

- `faults` runs the tests that inject faults, and counts what they injected. Ten minutes.
- `setup` makes the environment and the data from nothing, killed (SIGKILL) at random moments until it has got to the end, and compares
  what is there with an undisturbed one. A quarter of an hour.
- `kills` runs the smoke profile from nothing to the score once undisturbed, then again and again; each time all its processes are
  killed (SIGKILL) at random moments, every other time soon after a new file, until it has got to the end, and what it leaves is compared
  bit for bit with the undisturbed run. An hour or two.
- `training` does the same with the full profile, compared with the hand-in in `reports/`. An hour.
- `overhead` times what a checkpoint adds to an epoch, and what it costs to draw order and augmentation from the seed. A quarter of an hour.
- `machines` trains with other numbers of threads and without oneDNN, as another machine would. Half an hour; goes on where it was stopped.

Each writes its part of `robustness.json` and all of `robustness.md` beside itself.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psutil

from coursework import augmentation, checkpoint, files, run_record, session, text, training
from benchmarks import speed
from benchmarks.summary import markdown_table
from pipeline import verify
from pipeline.parameters import TRAINING_NOTEBOOKS

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "robustness.json"
# --- Faults ---------------------------------------------------------------------------------------


def faults() -> dict[str, Any]:
    """Run the tests that inject faults: how often each was injected, and survived with nothing lost."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "fault", "-o", "junit_family=xunit1"]
        command.append(f"--junitxml={report}")
        subprocess.run(command, cwd=files.ROOT)
        return count_faults(ElementTree.parse(report).getroot())


def count_faults(report: ElementTree.Element) -> dict[str, Any]:
    """From pytest's report: each fault with the number of times it was injected and survived; tests that did not run."""
    injected, survived, skipped = Counter(), Counter(), []
    for case in report.iter("testcase"):
        found = [part.get("value") for part in case.iter("property") if part.get("name") == "fault"]
        if (reason := case.find("skipped")) is not None:
            skipped.append(f"{', '.join(found)}: {reason.get('message')}")
            continue
        injected.update(found)
        if case.find("failure") is None and case.find("error") is None:
            survived.update(found)
    return {"injected": dict(sorted(injected.items())), "survived": dict(survived), "skipped": skipped}


# --- Kills ----------------------------------------------------------------------------------------

MARK = "COURSEWORK_KILLS"
MOST_KILLS_OF_A_RUN = 12
WRITTEN = (
    "checkpoints/lenet5.npz", "metrics/part1_mnist.json", "part1_mnist.ipynb", "part1_mnist.pdf", "checkpoints/iteration1.npz",
    "checkpoints/iteration2.npz", "checkpoints/iteration3.npz", "models/part2_best.keras", "submission.csv", "part2_fashion_mnist.ipynb",
    "part2_fashion_mnist.pdf", "part3_experiments.ipynb", "part3_experiments.pdf", "metrics/score.json",
)  # fmt: skip
"""What a run leaves, in this order: every other kill comes soon after one of the next two, so that no step is left out."""
SOON = 3.0


def copy_project(folder: Path, links: Iterable[str] = (".venv", "data")) -> Path:
    """A copy of the project with nothing made yet; data and environment are ours, unless they are not among the links."""
    ignored = shutil.ignore_patterns(".git", ".venv*", "data", "packages", "runs", "__pycache__", ".*_cache", "*.lock")

    def ignore(path: str, names: list[str]) -> set[str]:
        made = [name for name in names if Path(name).suffix != ".csv" or name == "submission.csv"]
        return {*ignored(path, names), *(made if Path(path) == files.ROOT / "reports" else ())}

    shutil.copytree(files.ROOT, folder, ignore=ignore)
    for name in links:
        (folder / name).symlink_to(files.ROOT / name)
    return folder


class Run:
    """Make's targets with a profile, in a copy of the project."""

    def __init__(self, place: Path, profile: str, targets: Iterable[str] = ("report", "submit", "score")) -> None:
        self.place, self.profile, self.targets = place, profile, targets
        self.output = place / files.output_folder(profile).relative_to(files.ROOT)

    def start(self) -> subprocess.Popen:
        environment = {
            name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        }
        return subprocess.Popen(
            ["make", f"PROFILE={self.profile}", *self.targets],
            cwd=self.place,
            env=environment | {MARK: str(os.getpid()), "PYTHONPATH": str(self.place)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def finish(self) -> None:
        process = self.start()
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"it does not get to the end: {errors.decode()[-2000:]}")

    def kill_after(self, seconds: float, file: str | None = None) -> str | None:
        """Kill all its processes so long after their start, or after a file of the output was there: what was at work then; None if it got
        to the end before."""
        process = self.start()
        while file is not None and process.poll() is None and not (self.output / file).exists():
            time.sleep(0.01)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            what = at_work(ours())
            while processes := ours():
                for one in processes:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.send_signal(signal.SIGKILL)
            process.communicate()
            return what
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"it does not go on after a kill: {errors.decode()[-2000:]}")
        return None


def ours() -> list[psutil.Process]:
    """All processes of the run, whoever their parent is by now."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(os.getpid()):
                found.append(process)
    return found


def at_work(processes: list[psutil.Process]) -> str:
    """The module that runs, and whether it has a kernel."""
    modules, kernel = [], False
    for process in processes:
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            kernel |= "ipykernel_launcher" in command
            if "pipeline/set_up.py" in command:
                modules.append("set-up")
            if "-m" in command and (module := command[command.index("-m") + 1]).startswith("pipeline."):
                modules.append(" ".join([module.removeprefix("pipeline."), *command[command.index("-m") + 2 :][:1]]))
    name = modules[0].replace("reports/smoke/", "") if modules else "make"
    return f"{name}, its kernel" if kernel else name


def kill_until(part: str, kills: int, seed: int, profile: str, undisturbed: Path | None) -> None:
    """Runs of the pipeline, each killed several times, until there were so many kills; recorded after every run.

    Args:
        part: under which name.
        undisturbed: what an undisturbed run has made; None runs one.
    """
    chosen, when, differing, runs = random.Random(seed), Counter(), [], 0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if undisturbed is None:
            run = Run(copy_project(Path(folder) / "undisturbed"), profile)
            run.finish()
            undisturbed = run.output
        # A run of the smoke profile is mostly the start of its processes: with less time, it would not get on between two kills.
        metrics = [json.loads(path.read_text(encoding="utf-8")) for path in undisturbed.glob("metrics/part*.json")]
        latest = sum(one["duration_seconds"] for one in metrics) / (2 if profile == "smoke" else kills)
        while when.total() < kills:
            run = Run(copy_project(Path(folder) / str(runs)), profile)
            for number in range(min(MOST_KILLS_OF_A_RUN, kills - when.total())):
                file, seconds = None, chosen.uniform(0, latest)
                missing = [name for name in WRITTEN if not (run.output / name).exists()]
                if number % 2 and missing:
                    file, seconds = chosen.choice(missing[:2]), chosen.uniform(0, SOON)
                if (what := run.kill_after(seconds, file)) is None:
                    break
                when[what] += 1
            run.finish()
            runs += 1
            found = verify.differences(undisturbed, run.output)
            differing += found
            print(f"{when.total()} kills, {runs} runs, {len(differing)} differences {found or ''}", flush=True)
            shutil.rmtree(run.place)
            result = {"profile": profile, "kills": when.total(), "runs": runs, "differences": differing}
            took = time.perf_counter() - began
            record(part, result | {"killed": dict(when.most_common()), "seconds": took})


def kill_set_up(kills: int, seed: int) -> dict[str, Any]:
    """The making of environment and data, killed so many times, beside an undisturbed one."""
    chosen, when = random.Random(seed), Counter()
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = (
            Run(copy_project(Path(folder) / name, links=()), "smoke", ["data"]) for name in ("undisturbed", "killed")
        )
        began = time.perf_counter()
        undisturbed.finish()
        took = time.perf_counter() - began
        while when.total() < kills and (what := killed.kill_after(chosen.uniform(0, took))) is not None:
            when[what] += 1
        killed.finish()
        found = {run: made_by_set_up(run.place) for run in (undisturbed, killed)}
    names = found[undisturbed].keys() | found[killed].keys()
    different = sorted(name for name in names if found[undisturbed].get(name) != found[killed].get(name))
    return {"kills": when.total(), "killed": dict(when.most_common()), "seconds": took, "differences": different}


def made_by_set_up(place: Path) -> dict[str, str]:
    """The packages of an environment, and the hashes of the data files."""
    command = [place / ".venv" / "bin" / "python", "-m", "pip", "list", "--format", "freeze"]
    packages = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    files = sorted(path for path in (place / "data").rglob("*") if path.is_file() and path.suffix != ".lock")
    return {"packages": packages} | {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


# --- Overhead -------------------------------------------------------------------------------------

EPOCH_IMAGES = {"lenet5": 52_500, "iteration2": 12_800, "iteration3": 12_800}


def overhead(rounds: int) -> dict[str, Any]:
    """Seconds of an epoch with its validation, of writing its checkpoint, of drawing order and augmentation, and of a plain `fit`, in turn."""
    return {name: overhead_of(name, images, rounds) for name, images in EPOCH_IMAGES.items()}


def overhead_of(name: str, images: int, rounds: int) -> dict[str, Any]:
    model, cells = speed.build(name)
    X, y = speed.training_set(cells, images)
    augmentation = augmentation.Augmentation(flips=True, shift=2, erase=0.25) if name == "iteration3" else None
    trainer = training.EpochTrainer(model, X, y, speed.BATCH_SIZES[name], seed=0, augmentation=augmentation)
    numbers, validation = iter(range(1, 10_000)), (X[: images // 7], y[: images // 7])
    share = images / len(cells["X_train"])
    with tempfile.TemporaryDirectory(dir=files.REPORTS_FOLDER, prefix=".overhead.") as folder:
        path = Path(folder) / "checkpoint.npz"
        contestants = {
            "epoch": lambda: training.train_epoch(trainer, next(numbers), *validation, lambda share: None),
            "checkpoint": lambda: checkpoint.save(path, {}, model, [], model.get_weights()),
            "drawing": lambda: draw(trainer),
        }
        if augmentation is None:
            plain, _ = speed.build(name)
            settings = {"batch_size": trainer.batch_size, "verbose": 0, "validation_data": validation}
            settings["validation_batch_size"] = training.PREDICTION_BATCH_SIZE
            contestants["plain"] = lambda: plain.fit(X, y, **settings)
        seconds = speed.in_turn(contestants, rounds)
        size = path.stat().st_size
    epoch, checkpoint, drawing = (statistics.median(seconds[part]) for part in ("epoch", "checkpoint", "drawing"))
    over_plain_fit = None
    if "plain" in seconds:
        rounds_of_both = zip(seconds["epoch"], seconds["plain"], strict=True)
        over_plain_fit = statistics.median((own + checkpoint * share) / fit for own, fit in rounds_of_both)
    return {
        "images": images,
        "rounds": rounds,
        "epoch_seconds": epoch / share,
        "checkpoint_seconds": checkpoint,
        "checkpoint_bytes": size,
        "checkpoint_share": checkpoint / (epoch / share),
        "drawing_share": drawing / epoch,
        "over_plain_fit": over_plain_fit,
    }


def draw(trainer: training.EpochTrainer) -> None:
    """What makes an epoch the same again: its order and augmentation, drawn from (seed, epoch)."""
    for _ in trainer._shuffled_batches(1):
        pass
    if trainer.augmentation is not None:
        trainer.augmentation.draw(*trainer.images.shape[:3], trainer.seed, 1)


# --- Other machines -------------------------------------------------------------------------------

MACHINES = {
    "as here": {},
    "one thread": {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}
RUN = "import sys; from pipeline.run_notebook import run_notebook; run_notebook(*sys.argv[1:])"


def machines(profile: str) -> dict[str, Any]:
    """Scores of a profile with other settings of TensorFlow, which take sums in another order as another machine would."""
    metrics: dict[str, Any] = {}
    for number, (name, settings) in enumerate(MACHINES.items()):
        output = f"machines/{number}"
        metrics[name] = {}
        for notebook in TRAINING_NOTEBOOKS:
            command = [sys.executable, "-c", RUN, notebook, profile, output]
            subprocess.run(command, cwd=files.ROOT, env=os.environ | settings, check=True)
            path = files.output_folder(output) / "metrics" / f"{notebook}.json"
            metrics[name] |= scores(verify.read_metrics(path)["scores"], notebook)
    return {"profile": profile, "scores": metrics}


def scores(found: Any, place: str) -> dict[str, float]:
    """The accuracies and F1 scores in nested metrics, by their place."""
    if not isinstance(found, dict):
        return {}
    flat = {f"{place}/{name}": found[name] for name in ("accuracy", "f1") if isinstance(found.get(name), float)}
    for name, part in found.items():
        flat |= scores(part, f"{place}/{name}")
    return flat


# --- The page -------------------------------------------------------------------------------------


def page(results: dict[str, Any]) -> str:
    parts = ["# What the promises hold against", "Written by `python -m benchmarks.robustness`, do not edit."]
    for part, describe in (
        ("faults", describe_faults),
        ("setup", describe_set_up),
        ("kills", describe_kills),
        ("training", describe_kills),
        ("overhead", describe_overhead),
        ("machines", describe_machines),
        ("fuzzing", describe_fuzzing),
    ):
        if part in results:
            heading, *sections = describe(results[part])
            machine = results.get("machine", {}).get(part)
            parts += [heading, *([f"Measured on {machine}."] if machine else []), *sections]
    return "\n\n".join(parts) + "\n"


def describe_faults(faults: dict[str, Any]) -> list[str]:
    rows = [
        [
            fault,
            str(count),
            str(faults["survived"].get(fault, 0)),
            "nothing" if faults["survived"].get(fault) == count else "**see the test**",
        ]
        for fault, count in faults["injected"].items()
    ]
    parts = [
        "## Faults",
        "What the tests inject. Survived means that the command ended with a right result or with a sentence that says what to do, that what was "
        "finished is still there, and that it goes on to the right result once the cause is gone.",
        markdown_table(["fault", "injected", "survived", "lost"], rows),
    ]
    return [*parts, *(f"Not tried: {reason}" for reason in faults["skipped"])]


def describe_set_up(kills: dict[str, Any]) -> list[str]:
    return [
        "## Kills of the set-up",
        f"{kills['kills']} times all processes of `make data` were killed at once (SIGKILL) while they made environment and data from "
        f"nothing, beside an undisturbed one that took {kills['seconds']:.0f} s. Packages and the content of all data files in the end: "
        f"**{', '.join(kills['differences']) or 'the same'}**. What was at work when it was killed:",
        markdown_table(["at work", "kills"], [[what, str(count)] for what, count in kills["killed"].items()]),
    ]


def describe_kills(kills: dict[str, Any]) -> list[str]:
    differences = len(kills["differences"])
    lost = text.pluralize(differences, "difference") if differences else "nothing lost, nothing different"
    return [
        f"## Kills at random moments, profile `{kills['profile']}`",
        f"{kills['kills']} times all processes of `make report submit score PROFILE={kills['profile']}` were killed at once (SIGKILL), in "
        f"{text.pluralize(kills['runs'], 'run')}, from nothing to the end, compared bit for bit with an undisturbed one: **{lost}**. "
        "What was at work when it was killed:",
        markdown_table(["at work", "kills"], [[what, str(count)] for what, count in kills["killed"].items()]),
    ]


def describe_overhead(overhead: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            f"{row['epoch_seconds']:.1f} s",
            f"{1000 * row['checkpoint_seconds']:.0f} ms, {row['checkpoint_bytes'] / 1e6:.1f} MB",
            f"{row['checkpoint_share']:.2%}",
            f"{row['drawing_share']:.2%}",
            "–" if row["over_plain_fit"] is None else f"{row['over_plain_fit']:.2f}",
        ]
        for name, row in overhead.items()
    ]
    return [
        "## What it costs",
        "Medians of measurements in turn. What reproducibility adds to a training on a processor is the checkpoint after each epoch, and that "
        "order and augmentation are drawn from the seed and the number of the epoch. The last column is our epoch with its checkpoint over one "
        "of Keras's `fit`, which draws a new order each time and keeps nothing; it has no augmentation to compare iteration 3's with.",
        markdown_table(
            ["network", "epoch", "checkpoint", "of an epoch", "drawing, of an epoch", "over a plain `fit`"], rows
        ),
    ]


def describe_machines(machines: dict[str, Any]) -> list[str]:
    found = machines["scores"]
    first = found["as here"]
    rows = [
        [
            name,
            f"{sum(value == first[place] for place, value in own.items())} of {len(own)}",
            f"{max(abs(value - first[place]) for place, value in own.items()):.4f}",
        ]
        for name, own in found.items()
        if own is not first
    ]
    return [
        "## Other machines",
        f"The profile `{machines['profile']}` with other settings of TensorFlow, which take sums in another order as another processor does, "
        "beside a run with this machine's.",
        markdown_table(["", "scores the same to the last digit", "largest difference of a score"], rows),
    ]


FOUND = (
    "The HDF5 library hangs, crashes or fills the memory for some damaged files: they are read in a process of its own, with limits.",
    "A checkpoint with a damaged directory or header raised errors that were not foreseen, and one whose array's header was damaged was used "
    "without a word: its content has a hash, and whatever is raised while it is read counts as damage.",
    "`\\phantom`, and quotation marks that pandoc does not escape, let code for Typst through in formulas: a formula with a number sign "
    "that pandoc has not written itself is printed as its source.",
    "A formula that never ends took twice as long with every two backslashes more: the pattern reads them in one way only.",
    "Tables of impossible size, words for which a lexer takes for ever, pictures of gigabytes: an export has limits of time and memory.",
    "Sessions of a terminal lost their last line in the PDF, and lists below the 48th level were left out: both are printed.",
    "An EPS file as a picture made Pillow start another program: only formats that it reads itself are read.",
    "YAML with aliases, impossible dates and numbers, or half letters ended in a stack trace: it is told in a sentence with the line.",
    "A course file whose hash was wrong was overwritten: it is moved aside.",
)


def describe_fuzzing(fuzzing: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            f"{row['cases']:,}",
            f"{row['seconds'] / 60:.0f} min",
            f"{row['reached']} of {row['lines']}" if "lines" in row else "–",
            str(row.get("survived", "–")),
            str(row["findings"]),
        ]
        for name, row in fuzzing.items()
    ]
    return [
        "## Hostile files",
        "Damaged and made-up files for the readers, guided by the coverage of their code, and the property tests with many cases; a finding is "
        "whatever ends neither in a right result nor in our own error.",
        markdown_table(
            ["", "cases", "time", "lines reached", "hangs and crashes of a library, survived", "findings left"], rows
        ),
        "What was found by fuzzing and by reading with a hostile eye, and what was done about it:",
        "\n".join(f"- {found}" for found in FOUND),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure what the promises of reproducibility hold against, and what they cost."
    )
    parser.add_argument("part", choices=("faults", "setup", "kills", "training", "overhead", "machines"))
    parser.add_argument("--kills", type=int, help="how many (default: 200, of the training 5, of the set-up 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills (default: 0)")
    parser.add_argument("--rounds", type=int, default=9, help="of the overhead (default: 9)")
    parser.add_argument("--profile", default="quick", help="of the machines (default: quick)")
    arguments = parser.parse_args()
    if arguments.part == "faults":
        record("faults", faults())
    elif arguments.part == "setup":
        record("setup", kill_set_up(arguments.kills or 10, arguments.seed))
    elif arguments.part == "kills":
        kill_until("kills", arguments.kills or 200, arguments.seed, "smoke", None)
    elif arguments.part == "training":
        kill_until("training", arguments.kills or 5, arguments.seed, "full", files.REPORTS_FOLDER)
    elif arguments.part == "overhead":
        session.start(seed=0)
        record("overhead", overhead(arguments.rounds))
    else:
        record("machines", machines(arguments.profile))


def record(part: str, result: dict[str, Any]) -> None:
    """Put a part's result in the place of an older one, and write the page anew."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    hardware = run_record.environment()["hardware"]
    machine = f"{text.pluralize(hardware['cores'], 'core')} ({hardware['processor']}, {hardware['system']})"
    results |= {part: result, "machine": results.get("machine", {}) | {part: machine}}
    for path, text in ((RESULTS, json.dumps(results, indent=2) + "\n"), (RESULTS.with_suffix(".md"), page(results))):
        with files.replace_when_complete(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
