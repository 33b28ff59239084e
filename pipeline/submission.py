"""The submission and the local leaderboard: `python -m pipeline.submission write|check|score --profile full`."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

import utilities
from pipeline.errors import UserError, run_command
from pipeline.parameters import read_handin


def write(profile: str) -> None:
    """Predict the test set with the profile's best model and write `submission.csv`."""
    model_path = utilities.output_folder(profile) / "models" / "part2_best.keras"
    if not model_path.exists():
        raise UserError(f"there is no model {shown(model_path)}: train it with `make report PROFILE={profile}`")
    images = _test_images(profile)[..., None]
    try:
        model = utilities.load_model(model_path)
    except Exception as error:  # Keras has one of many kinds for each way in which a file can be damaged
        raise UserError(
            f"{shown(model_path)} can't be loaded ({str(error).splitlines()[0] if str(error) else type(error).__name__}): move it away, "
            f"and `make submit PROFILE={profile}` runs part 2 again"
        ) from error
    predictions = utilities.predict_probabilities(model, images).argmax(axis=1)
    metrics = _metrics(profile)
    if metrics is not None and metrics["processor"] == utilities.environment()["hardware"]["processor"]:
        expected = metrics["predictions_sha256"]
        if expected not in (None, utilities.content_hash({"Prediction": predictions})):
            raise UserError(
                f"{shown(model_path)} is not the model of the last run that was finished: move it away, and "
                f"`make submit PROFILE={profile}` runs part 2 again"
            )
    utilities.write_submission(path_of(profile), predictions, len(images))


def check(profile: str) -> None:
    """Read the submission back as the leaderboard would, and say what is in it."""
    path = path_of(profile)
    images = len(_test_images(profile))
    utilities.read_submission(path, images)
    print(
        f"{shown(path)} is valid: {images:,} rows, ID 0 to {images - 1:,}, classes 0 to 9, SHA-256 {hash_of(path)[:12]}…"
    )


def score(profile: str) -> None:
    """Compare the submission with the held-out labels, print the result, and keep it in `metrics/score.json`."""
    path = path_of(profile)
    line = read_handin()["leaderboard_line"]
    _test_images(profile)
    labels = _test_labels(profile)
    if labels is None:
        print(
            "No score: data/Fashion_MNIST.h5 is the course's own file, and the course keeps its test labels to itself. "
            "Send the submission to the leaderboard."
        )
        return
    result = utilities.score(labels, utilities.read_submission(path, len(labels)))
    low, high = result["accuracy_interval"]
    print(f"{shown(path)} on {result['images']:,} held-out images")
    print(f"  accuracy  {result['accuracy']:.4f}  (95 % interval {low:.4f} to {high:.4f})")
    print("  macro F1  {:.4f}  (95 % interval {:.4f} to {:.4f})".format(result["f1"], *result["f1_interval"]))
    verdict = "beats" if result["accuracy"] > line else "does not beat"
    certain = low > line or high < line
    print(
        f"  {verdict} the line of {line:.4f}{'' if certain else ', which lies within the interval: too close to call'}"
    )
    content = {"profile": profile, "held_out": result, "line": line, "submission_sha256": hash_of(path)}
    with utilities.replace_when_complete(utilities.output_folder(profile) / "metrics" / "score.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _test_images(profile: str) -> np.ndarray:
    """The test images (n, 28, 28), which must be those of the run that made the model and the submission."""
    data = utilities.load_fashion_mnist(_split(profile))
    metrics = _metrics(profile)
    if metrics is not None and metrics["data_sha256"] != utilities.content_hash(data):
        raise UserError(
            "data/Fashion_MNIST.h5 is not the file that part 2 was run on: `touch data/Fashion_MNIST.h5` and "
            f"`make submit PROFILE={profile}` run it again"
        )
    return data["X_test"]


def _test_labels(profile: str) -> np.ndarray | None:
    """The labels (n,) of the test images, or None if the course keeps them to itself."""
    if _split(profile) == "official":
        return utilities.load_fashion_mnist("official")["y_test"]
    return utilities.load_fashion_mnist_test_labels()


def _metrics(profile: str) -> dict[str, Any] | None:
    """What the profile's run of part 2 left, if there was one."""
    path = utilities.output_folder(profile) / "metrics" / "part2_fashion_mnist.json"
    if not path.exists():
        return None
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        return {
            "data_sha256": str(metrics["data_sha256"]),
            "parameters": dict(metrics["parameters"]),
            "processor": metrics["hardware"]["processor"],
            "predictions_sha256": metrics["scores"].get("predictions_sha256"),  # the copy in git may have none
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{shown(path)} is damaged ({type(error).__name__}: {error}): delete {shown(utilities.output_folder(profile))}/part2_fashion_mnist.ipynb, and "
            f"`make submit PROFILE={profile}` runs part 2 again"
        ) from error


def _split(profile: str) -> str:
    """How the images were split in the profile's run of part 2."""
    metrics = _metrics(profile)
    return "course" if metrics is None else metrics["parameters"].get("split", "course")


def path_of(profile: str) -> Path:
    """Where a profile's submission is."""
    return utilities.output_folder(profile) / "submission.csv"


def shown(path: Path) -> str:
    """A path as messages name it, from the project's root."""
    return path.relative_to(utilities.ROOT).as_posix()


def hash_of(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    actions = {"write": write, "check": check, "score": score}
    parser = argparse.ArgumentParser(description="Write, check or score the submission of a profile.")
    parser.add_argument("action", choices=actions)
    parser.add_argument("--profile", default="full", help="whose submission (default: full)")
    arguments = parser.parse_args()
    actions[arguments.action](arguments.profile)


if __name__ == "__main__":
    run_command(main, utilities.DataError, utilities.SubmissionError)
