"""The submission and the local leaderboard: `python -m pipeline.submission write|check|score --profile full`."""

from __future__ import annotations

import argparse
import codecs
import json
from pathlib import Path
from typing import Any

import numpy as np

from coursework import course_split, evaluation, files
from coursework.data import DataError
from coursework.submission import SubmissionError, read_submission, write_submission
from pipeline import record
from pipeline.errors import UserError, run_command
from pipeline.parameters import read_handin


def write(profile: str) -> None:
    """Predict the test set with the profile's best model and write `submission.csv`."""
    from coursework import models, run_record  # which load TensorFlow

    model_path = files.output_folder(profile) / "models" / "part2_best.keras"
    name = files.display_path(model_path)
    if not model_path.exists():
        raise UserError(f"{name} does not exist: train the model with `make report PROFILE={profile}`")
    run, data = _run_and_data(profile)
    images = data["X_test"][..., None]
    run_again = f"delete it and run `make submit PROFILE={profile}`, which runs part 2 again"
    try:
        model = models.load_model(model_path)
    except Exception as error:  # each way in which a file can be damaged raises another kind
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{name} can't be loaded ({reason}): {run_again}") from error
    predictions = models.predict_probabilities(model, images).argmax(axis=1)
    if run and run["hardware"].get("processor") == run_record.environment()["hardware"]["processor"]:
        expected = run["scores"].get("predictions_sha256")  # missing in old files
        if expected not in (None, files.content_hash({"Prediction": predictions})):
            raise UserError(f"{name} is not the model of the last finished run: {run_again}")
    write_submission(path_of(profile), predictions, len(images))


def check(profile: str) -> None:
    """Check the submission as the leaderboard would, and print a summary. One that Excel saved is written again."""
    path = path_of(profile)
    images = len(_run_and_data(profile)[1]["X_test"])
    predictions = read_submission(path, images)
    if b"\r" in path.read_bytes() or path.read_bytes().startswith(codecs.BOM_UTF8):
        write_submission(path, predictions, images)
    print(
        f"{files.display_path(path)} is valid: {images:,} rows, ID 0 to {images - 1:,}, classes 0 to 9, "
        f"SHA-256 {files.file_sha256(path)[:12]}…"
    )


def score(profile: str) -> None:
    """Score the submission against the held-out labels; print the result and write it to `metrics/score.json`."""
    path = path_of(profile)
    line = read_handin()["leaderboard_line"]
    _, data = _run_and_data(profile)
    labels = data["y_test"] if "y_test" in data else course_split.load_fashion_mnist_test_labels()
    if labels is None:
        print(
            "No score: data/Fashion_MNIST.h5 is the course's own file, and the course does not publish its test "
            "labels. Upload the submission to the leaderboard."
        )
        return
    result = evaluation.score(labels, read_submission(path, len(labels)))
    low, high = result["accuracy_interval"]
    print(f"{files.display_path(path)} on {result['images']:,} held-out images")
    print(f"  accuracy  {result['accuracy']:.4f}  (95 % interval {low:.4f} to {high:.4f})")
    print("  macro F1  {:.4f}  (95 % interval {:.4f} to {:.4f})".format(result["f1"], *result["f1_interval"]))
    verdict = "beats" if result["accuracy"] > line else "does not beat"
    doubt = ", which lies within the interval: the result is inconclusive" if low <= line <= high else ""
    print(f"  {verdict} the line of {line:.4f}{doubt}")
    content = {"profile": profile, "held_out": result, "line": line, "submission_sha256": files.file_sha256(path)}
    with files.replace_when_complete(files.output_folder(profile) / "metrics" / "score.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _run_and_data(profile: str) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """The profile's run of part 2, None without one, and its data; a UserError unless it was run on the same data."""
    run = record.read(profile, "part2_fashion_mnist")
    data = course_split.load_fashion_mnist(run["parameters"].get("split", "course") if run else "course")
    if run and run["data_sha256"] != files.content_hash(data):
        raise UserError(
            "data/Fashion_MNIST.h5 is not the file that part 2 was run on: `touch data/Fashion_MNIST.h5` and "
            f"`make submit PROFILE={profile}` run it again"
        )
    return run, data


def path_of(profile: str) -> Path:
    """The path of a profile's submission."""
    return files.output_folder(profile) / "submission.csv"


def main() -> None:
    actions = {"write": write, "check": check, "score": score}
    parser = argparse.ArgumentParser(description="Write, check or score the submission of a profile.")
    parser.add_argument("action", choices=actions)
    parser.add_argument("--profile", default="full", help="whose submission (default: full)")
    arguments = parser.parse_args()
    actions[arguments.action](arguments.profile)


if __name__ == "__main__":
    run_command(main, DataError, SubmissionError)
