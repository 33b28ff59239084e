"""Send a submission to a competition on Kaggle: `make submit KAGGLE=titanic`, or `python -m pipeline.leaderboard titanic`.

The file is checked first and sent to a competition once; `reports/submissions.csv` logs each upload. The official client does
the upload. It is downloaded when it is first needed, into its own cache.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import datetime
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from coursework import files
from coursework.data import DataError
from coursework.submission import SubmissionError
from pipeline import submission
from pipeline.errors import UserError, run_command
from pipeline.parameters import read_handin

CLIENT = ["tool", "run", "--quiet", "--from", "kaggle==2.2.5", "--with", "six", "kaggle"]
"""Kaggle's own client as uv runs it; it imports six without declaring it."""
SECONDS_FOR_A_SCORE = 120
"""Time that the client waits for the competition's score."""
COLUMNS = ("time", "competition", "file", "sha256", "message", "held_out_accuracy", "answer")
NO_ANSWER = "no answer"
REJECTED = "rejected"
BROKEN = re.compile(
    r"Connection|Remote end closed|Timeout|timed out|Server Error|\b5\d\d\b|cancelled|Traceback", re.IGNORECASE
)
"""Messages of the client after a lost answer, when the file may have arrived ..."""
NOT_YET_SENT = re.compile(r"StartSubmissionUpload|NameResolutionError")
"""... and before the file was sent, when it cannot have arrived."""
CREDENTIALS = (
    "~/.kaggle/access_token",
    "~/.kaggle/access_token.txt",
    "~/.kaggle/kaggle.json",
    "~/.kaggle/credentials.json",
    "~/.config/kaggle/kaggle.json",
)
HOW_TO_GET_CREDENTIALS = """no Kaggle credentials were found, so nothing was sent. To create them:
  1. Log in at www.kaggle.com and open Settings, section API.
  2. Create a token and save it as ~/.kaggle/access_token, or create a legacy key and save its file as ~/.kaggle/kaggle.json.
  3. Make the file private: chmod 600 ~/.kaggle/*
  4. Join the competition on its page, then run this command again."""


def send(competition: str, profile: str, message: str | None = None) -> None:
    """Check a profile's submission, send it, show the competition's answer, and log both.

    Args:
        competition: as in the address of its page, kaggle.com/competitions/<competition>.
        message: the message on the leaderboard; by default the group, the model and its validation score.

    Raises:
        UserError: credentials are missing, the file was sent before, it was rejected, or the answer was lost.
        SubmissionError: the file is not a valid submission; nothing was sent.
    """
    require_possible(competition)
    submission.check(profile)
    path = submission.path_of(profile)
    row = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "competition": competition,
        "file": files.display_path(path),
        "sha256": files.file_sha256(path),
        "message": message or _message(profile),
        "held_out_accuracy": _held_out_accuracy(profile),
        "answer": NO_ANSWER,
    }
    with _locked_log():
        log = read_log()
        _require_new(log, row)
        _fetch_client()
        print(f"Sending {row['file']} to the competition {competition}: {row['message']!r}", flush=True)
        write_log([*log, row])  # before the upload, so that a kill leaves a trace
        lines: list[str] = []
        ended = False
        try:
            _run_client(competition, path, row["message"], lines)
            ended = True
        finally:
            answer = _answer(lines, ended)
            write_log([*log, row | {"answer": answer}])
    log_name = files.display_path(log_path())
    if answer.startswith(REJECTED):
        raise UserError(f"the competition rejected the submission; its answer is above and in {log_name}")
    if answer.startswith(NO_ANSWER):
        raise UserError(
            f"the answer was lost: check on the competition's page whether the submission arrived. The log is {log_name}"
        )
    print(f"Sent. All uploads are logged in {log_name}")


def require_possible(competition: str) -> None:
    """Raise a UserError if the name of the competition is invalid or credentials are missing."""
    if not re.fullmatch(r"[\w-]+", competition):
        raise UserError(
            f"{competition!r} is not a valid competition: expected NAME as in kaggle.com/competitions/NAME, with letters, "
            "digits and dashes"
        )
    in_environment = os.environ.get("KAGGLE_API_TOKEN") or (
        os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY")
    )
    own_folder = os.environ.get("KAGGLE_CONFIG_DIR")
    files = [*CREDENTIALS, *([f"{own_folder}/kaggle.json"] if own_folder else [])]
    if not in_environment and not any(Path(name).expanduser().exists() for name in files):
        raise UserError(HOW_TO_GET_CREDENTIALS)


def _answer(lines: list[str], ended: bool) -> str:
    """The answer for the log, from the lines that the client printed until it ended or was stopped."""
    said = " | ".join(lines)
    if any(line.startswith(("Submission ref:", "Successfully submitted")) for line in lines):
        return said
    lost = not ended or not lines or any(BROKEN.search(line) and not NOT_YET_SENT.search(line) for line in lines)
    kind = NO_ANSWER if lost else REJECTED
    return f"{kind}: {said}" if said else kind


@contextlib.contextmanager
def _locked_log() -> Iterator[None]:
    """Hold the lock on the log, so that one process uploads at a time."""
    files.REPORTS_FOLDER.mkdir(exist_ok=True)
    lock = filelock.FileLock(log_path().with_name(f".{log_path().name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print("Another submission is being sent: waiting until it is done ...", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def log_path() -> Path:
    return files.REPORTS_FOLDER / "submissions.csv"


def read_log() -> list[dict[str, str]]:
    """The rows of the log, oldest first."""
    if not log_path().exists():
        return []
    try:
        reader = csv.DictReader(io.StringIO(log_path().read_text(encoding="utf-8")), strict=True)
        rows = list(reader)
        if tuple(reader.fieldnames or ()) != COLUMNS or any(None in row or None in row.values() for row in rows):
            raise ValueError("its columns are others")
    except (ValueError, csv.Error) as error:
        raise UserError(
            f"{log_path().name}, the log of uploads, is damaged ({error}): repair it or move it away; nothing was sent"
        ) from error
    return rows


def write_log(rows: list[dict[str, Any]]) -> None:
    with (
        files.replace_when_complete(log_path()) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _require_new(log: list[dict[str, str]], row: dict[str, str]) -> None:
    for before in log:
        same = before["sha256"] == row["sha256"] and before["competition"] == row["competition"]
        if same and not before["answer"].startswith(REJECTED):
            about = f"this file, SHA-256 {row['sha256'][:12]}…, was sent to {row['competition']} on {before['time']}"
            if before["answer"].startswith(NO_ANSWER):
                raise UserError(
                    f"{about}, and its answer was lost. If the competition's page does not show it, delete its line in "
                    f"{log_path().name} and send it again"
                )
            raise UserError(f"{about}, and would be scored the same again: {before['answer']}")


def _message(profile: str) -> str:
    """The group, the best model of the profile's run of part 2, and its validation score."""
    group = read_handin()["group_name"]
    try:
        path = files.output_folder(profile) / "metrics" / "part2_fashion_mnist.json"
        scores = json.loads(path.read_text(encoding="utf-8"))["scores"]
        return f"{group}: {scores['best']}, validation F1 {scores['validation'][scores['best']]['f1']:.4f}"
    except (OSError, ValueError, LookupError, TypeError):
        return group


def _held_out_accuracy(profile: str) -> str:
    """The accuracy that `make score` wrote for this file, or an empty text."""
    try:
        score = json.loads((files.output_folder(profile) / "metrics" / "score.json").read_text(encoding="utf-8"))
        same = score["submission_sha256"] == files.file_sha256(submission.path_of(profile))
        return f"{score['held_out']['accuracy']:.4f}" if same else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _client() -> list[str]:
    return [str(Path(sys.prefix) / "bin" / "uv"), *CLIENT]


def _fetch_client() -> None:
    """Download the client; a UserError if that fails, before anything is sent."""
    result = subprocess.run([*_client(), "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        said = (result.stderr or result.stdout).strip() or f"status {result.returncode}"
        raise UserError(f"Kaggle's client can't be downloaded or started, so nothing was sent: {said}")


def _run_client(competition: str, path: Path, message: str, lines: list[str]) -> None:
    """Run the client, print its output while it runs, and add it to `lines`."""
    command = [*_client(), "competitions", "submit", competition, "-f", str(path), f"--message={message}"]
    command += ["--wait", str(SECONDS_FOR_A_SCORE)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace"
    ) as client:
        for line in map(str.strip, client.stdout):
            if line and "%|" not in line:  # except progress bars
                print(f"  {line}", flush=True)
                lines.append(line)


def main() -> None:
    parser = argparse.ArgumentParser(description="Send a profile's submission to a competition on Kaggle, once.")
    parser.add_argument(
        "competition",
        nargs="?",
        default=os.environ.get("LEADERBOARD_COMPETITION", ""),
        help="its name as in kaggle.com/competitions/NAME (default: LEADERBOARD_COMPETITION of the environment, as make sets it)",
    )
    parser.add_argument("--profile", default="full", help="whose submission (default: full)")
    parser.add_argument(
        "--message",
        default=os.environ.get("LEADERBOARD_MESSAGE"),
        help="message on the leaderboard (default: LEADERBOARD_MESSAGE, or group, model and validation score)",
    )
    parser.add_argument("--check", action="store_true", help="only check the competition's name and the credentials")
    arguments = parser.parse_args()
    if arguments.check:
        require_possible(arguments.competition)
        return
    send(arguments.competition, arguments.profile, arguments.message)


if __name__ == "__main__":
    run_command(main, DataError, SubmissionError)
