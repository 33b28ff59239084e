"""Send a submission to a competition on Kaggle: `make submit KAGGLE=titanic`, or `python -m pipeline.leaderboard titanic`.

The file is checked first, each one is sent to a competition once, and `reports/submissions.csv` keeps what was sent. The official client
does the sending; it is fetched the first time that it is needed, into a cache of its own.
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

import utilities
from pipeline import submission
from pipeline.errors import UserError, run_command
from pipeline.parameters import read_handin

CLIENT = ["tool", "run", "--quiet", "--from", "kaggle==2.2.5", "--with", "six", "kaggle"]
"""Kaggle's own client as uv runs it; it imports six, and does not say that it needs it."""
SECONDS_FOR_A_SCORE = 120
"""How long the client waits for the competition's score."""
COLUMNS = ("time", "competition", "file", "sha256", "message", "held_out_accuracy", "answer")
NO_ANSWER = "no answer"
NOT_TAKEN = "not taken"
BROKEN = re.compile(
    r"Connection|Remote end closed|Timeout|timed out|Server Error|\b5\d\d\b|cancelled|Traceback", re.IGNORECASE
)
"""What the client says if an answer was lost: then a file may be among the competition's submissions, but not ..."""
NOT_YET_SENT = re.compile(r"StartSubmissionUpload|NameResolutionError")
"""... if that was before the file itself was sent."""
CREDENTIALS = (
    "~/.kaggle/access_token",
    "~/.kaggle/access_token.txt",
    "~/.kaggle/kaggle.json",
    "~/.kaggle/credentials.json",
    "~/.config/kaggle/kaggle.json",
)
HOW_TO_GET_CREDENTIALS = """there are no credentials of Kaggle on this machine, so nothing was sent. To get them:
  1. Log in at www.kaggle.com, open Settings, and there the section API.
  2. Make a new token, and put it into the file ~/.kaggle/access_token; or, with the older kind of key, save its file as ~/.kaggle/kaggle.json.
  3. Let nobody else read it: chmod 600 ~/.kaggle/*
  4. Join the competition on its page, then run this command again."""


def send(competition: str, profile: str, message: str | None = None) -> None:
    """Check a profile's submission, send it, show the competition's answer, and write it down.

    Args:
        competition: as in the address of its page, kaggle.com/competitions/<competition>.
        message: what the leaderboard shows beside it; by default the group, the model and its validation score.

    Raises:
        UserError: there are no credentials, the file was sent before, the competition did not take it, or it is not known whether it did.
        SubmissionError: the file is no valid submission; nothing was sent.
    """
    require_possible(competition)
    submission.check(profile)
    path = submission.path_of(profile)
    row = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "competition": competition,
        "file": submission.shown(path),
        "sha256": submission.hash_of(path),
        "message": message or _message(profile),
        "held_out_accuracy": _held_out_accuracy(profile),
        "answer": NO_ANSWER,
    }
    with _log_to_itself():
        log = read_log()
        _require_new(log, row)
        _fetch_client()
        print(f"Sending {row['file']} to the competition {competition}: {row['message']!r}", flush=True)
        write_log([*log, row])  # before it is sent: should this be killed, it is known that it may have arrived
        lines: list[str] = []
        ended = False
        try:
            _run_client(competition, path, row["message"], lines)
            ended = True
        finally:
            answer = _answer(lines, ended)
            write_log([*log, row | {"answer": answer}])
    where = submission.shown(log_path())
    if answer.startswith(NOT_TAKEN):
        raise UserError(f"the competition did not take it; what was said is above and in {where}")
    if answer.startswith(NO_ANSWER):
        raise UserError(
            f"whether it arrived is not known: look at the competition's page. What was said is above and in {where}"
        )
    print(f"Sent. The log of what was sent is {where}")


def require_possible(competition: str) -> None:
    """Refuse what can't be sent whatever the file is: with a UserError, if the competition can't be one or there are no credentials."""
    if not re.fullmatch(r"[\w-]+", competition):
        raise UserError(
            f"{competition!r} is no competition: expected its name as in kaggle.com/competitions/NAME, letters, digits and dashes"
        )
    in_environment = os.environ.get("KAGGLE_API_TOKEN") or (
        os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY")
    )
    own_folder = os.environ.get("KAGGLE_CONFIG_DIR")
    files = [*CREDENTIALS, *([f"{own_folder}/kaggle.json"] if own_folder else [])]
    if not in_environment and not any(Path(name).expanduser().exists() for name in files):
        raise UserError(HOW_TO_GET_CREDENTIALS)


def _answer(lines: list[str], ended: bool) -> str:
    """What the log says of a sending, from what the client said until it ended or was stopped."""
    said = " | ".join(lines)
    if any(line.startswith(("Submission ref:", "Successfully submitted")) for line in lines):
        return said
    lost = not ended or not lines or any(BROKEN.search(line) and not NOT_YET_SENT.search(line) for line in lines)
    kind = NO_ANSWER if lost else NOT_TAKEN
    return f"{kind}: {said}" if said else kind


@contextlib.contextmanager
def _log_to_itself() -> Iterator[None]:
    """Let nobody else send or write the log meanwhile."""
    utilities.REPORTS_FOLDER.mkdir(exist_ok=True)
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
    return utilities.REPORTS_FOLDER / "submissions.csv"


def read_log() -> list[dict[str, str]]:
    """The rows of the log; none if nothing was sent yet."""
    if not log_path().exists():
        return []
    try:
        reader = csv.DictReader(io.StringIO(log_path().read_text(encoding="utf-8")), strict=True)
        rows = list(reader)
        if tuple(reader.fieldnames or ()) != COLUMNS or any(None in row or None in row.values() for row in rows):
            raise ValueError("its columns are others")
    except (ValueError, csv.Error) as error:
        raise UserError(
            f"{log_path().name}, the log of what was sent, is damaged ({error}): mend it or move it away; nothing was sent"
        ) from error
    return rows


def write_log(rows: list[dict[str, Any]]) -> None:
    with (
        utilities.replace_when_complete(log_path()) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _require_new(log: list[dict[str, str]], row: dict[str, str]) -> None:
    for before in log:
        same = before["sha256"] == row["sha256"] and before["competition"] == row["competition"]
        if same and not before["answer"].startswith(NOT_TAKEN):
            about = f"this file, SHA-256 {row['sha256'][:12]}…, was sent to {row['competition']} on {before['time']}"
            if before["answer"].startswith(NO_ANSWER):
                raise UserError(
                    f"{about}, and no answer was seen. If the competition's page does not show it, delete its line in "
                    f"{log_path().name} and send it again"
                )
            raise UserError(f"{about}, and would be scored the same again: {before['answer']}")


def _message(profile: str) -> str:
    """The group, the model and its validation score, as the profile's run of part 2 left it."""
    group = read_handin()["group_name"]
    try:
        path = utilities.output_folder(profile) / "metrics" / "part2_fashion_mnist.json"
        scores = json.loads(path.read_text(encoding="utf-8"))["scores"]
        return f"{group}: {scores['best']}, validation F1 {scores['validation'][scores['best']]['f1']:.4f}"
    except (OSError, ValueError, LookupError, TypeError):
        return group


def _held_out_accuracy(profile: str) -> str:
    """What `make score` found for this very file, or nothing."""
    try:
        score = json.loads((utilities.output_folder(profile) / "metrics" / "score.json").read_text(encoding="utf-8"))
        same = score["submission_sha256"] == submission.hash_of(submission.path_of(profile))
        return f"{score['held_out']['accuracy']:.4f}" if same else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _client() -> list[str]:
    return [str(Path(sys.prefix) / "bin" / "uv"), *CLIENT]


def _fetch_client() -> None:
    """Have the client there; if it can't be, that is said before anything is sent."""
    result = subprocess.run([*_client(), "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        said = (result.stderr or result.stdout).strip() or f"status {result.returncode}"
        raise UserError(f"Kaggle's client can't be fetched or started, so nothing was sent: {said}")


def _run_client(competition: str, path: Path, message: str, lines: list[str]) -> None:
    """Run the client; show what it prints as it prints it, and add it to the lines."""
    command = [*_client(), "competitions", "submit", competition, "-f", str(path), f"--message={message}"]
    command += ["--wait", str(SECONDS_FOR_A_SCORE)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace"
    ) as client:
        for line in map(str.strip, client.stdout):
            if line and "%|" not in line:  # but for its bars of progress
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
        help="what the leaderboard shows (default: LEADERBOARD_MESSAGE, or else group, model and validation score)",
    )
    parser.add_argument(
        "--check", action="store_true", help="only whether it could be sent: the competition's name and the credentials"
    )
    arguments = parser.parse_args()
    if arguments.check:
        require_possible(arguments.competition)
        return
    send(arguments.competition, arguments.profile, arguments.message)


if __name__ == "__main__":
    run_command(main, utilities.DataError, utilities.SubmissionError)
