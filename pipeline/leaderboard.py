"""Send a submission to a competition on Kaggle: `python -m pipeline.leaderboard titanic`.

The file is checked first and sent to a competition once; `reports/submissions.csv` logs each upload. Kaggle's client
does the upload, in an environment of its own (`kaggle_client.py`).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from coursework import files
from coursework.data import DataError
from coursework.submission import SubmissionError
from pipeline import lock, record, submission
from pipeline.errors import UserError, run_command
from pipeline.parameters import read_handin

CLIENT = [Path(sys.prefix) / "kaggle" / "bin" / "python", "-I", Path(__file__).with_name("kaggle_client.py")]
COLUMNS = ("time", "competition", "file", "sha256", "message", "held_out_accuracy", "outcome", "answer")
PROBLEMS = {
    "rejected": "the competition rejected the submission",
    "not sent": "the submission was not sent: check your connection and your credentials, then run it again",
    "unknown": "the answer was lost: check on the competition's page whether the submission arrived",
}
"""What an outcome other than `sent` means."""
CREDENTIALS = (
    "~/.kaggle/access_token",
    "~/.kaggle/access_token.txt",
    "~/.kaggle/credentials.json",
    "~/.config/kaggle/kaggle.json",
)
HOW_TO_GET_CREDENTIALS = """no Kaggle credentials were found, so nothing was sent. To create them:
  1. Log in at www.kaggle.com and open Settings, section API.
  2. Create a token and save it as ~/.kaggle/access_token, or a legacy key and save its file as ~/.kaggle/kaggle.json.
  3. Make the file private: chmod 600 ~/.kaggle/*
  4. Join the competition on its page, then run this command again."""


def send(competition: str, profile: str, message: str | None = None) -> None:
    """Check a profile's submission, send it unless it was sent before, show the competition's answer, and log both."""
    require_possible(competition)
    submission.check(profile)
    path, score = submission.path_of(profile), record.read_score(profile)
    row = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "competition": competition,
        "file": files.display_path(path),
        "sha256": files.file_sha256(path),
        "message": message or _message(profile),
        "held_out_accuracy": f"{score['held_out']['accuracy']:.4f}" if score else "",
        "outcome": "unknown",
        "answer": "",
    }
    # One process uploads at a time.
    with os.fdopen(lock.acquire(log_path().with_name(f".{log_path().name}.lock"), "another upload")):
        log = _read_log()
        _require_new(log, row)
        print(f"Sending {row['file']} to the competition {competition}: {row['message']!r}", flush=True)
        _write_log([*log, row])  # before the upload, so that a kill leaves a trace
        command = [*CLIENT, competition, path, row["message"]]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as client:
            for line in client.stdout:
                row |= json.loads(line)
                _write_log([*log, row])
                print(f"  {row['answer']}", flush=True)
    if row["outcome"] != "sent":
        raise UserError(f"{PROBLEMS[row['outcome']]}. The log is {files.display_path(log_path())}")
    print(f"Sent. All uploads are logged in {files.display_path(log_path())}")


def require_possible(competition: str) -> None:
    """Raise a UserError if the name of the competition is invalid or credentials are missing."""
    if not re.fullmatch(r"[\w-]+", competition):
        raise UserError(
            f"{competition!r} is not a valid competition: expected NAME as in kaggle.com/competitions/NAME, with "
            "letters, digits and dashes"
        )
    token, name, key = map(os.environ.get, ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"))
    own_file = Path(os.environ.get("KAGGLE_CONFIG_DIR") or "~/.kaggle", "kaggle.json")
    if not (token or (name and key)) and not any(Path(name).expanduser().exists() for name in (*CREDENTIALS, own_file)):
        raise UserError(HOW_TO_GET_CREDENTIALS)


def log_path() -> Path:
    return files.REPORTS_FOLDER / "submissions.csv"


def _read_log() -> list[dict[str, str]]:
    """The rows of the log, oldest first."""
    if not log_path().exists():
        return []
    try:
        log = pd.read_csv(log_path(), dtype=str, keep_default_na=False, index_col=False)
        if tuple(log) != COLUMNS:
            raise ValueError(f"expected the columns {', '.join(COLUMNS)}")
    except ValueError as error:
        raise UserError(
            f"{log_path().name}, the log of uploads, is damaged ({error}): repair it or move it away; nothing was sent"
        ) from error
    return log.to_dict("records")


def _write_log(rows: list[dict[str, Any]]) -> None:
    with files.replace_when_complete(log_path()) as temporary:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(temporary, index=False, lineterminator="\n")


def _require_new(log: list[dict[str, str]], row: dict[str, str]) -> None:
    """Raise a UserError if the file of this row was sent to its competition before, or may have been."""
    for before in log:
        if any(before[name] != row[name] for name in ("sha256", "competition")):
            continue
        about = f"this file, SHA-256 {row['sha256'][:12]}…, was sent to {row['competition']} on {before['time']}"
        if before["outcome"] == "sent":
            raise UserError(f"{about}, and would be scored the same again: {before['answer']}")
        if before["outcome"] not in ("rejected", "not sent"):
            raise UserError(
                f"{about}, and its answer was lost. If the competition's page does not show it, delete its line in "
                f"{log_path().name} and send it again"
            )


def _message(profile: str) -> str:
    """The group, the best model of the profile's run of part 2, and its validation score."""
    group, run = read_handin()["group_name"], record.read(profile, "part2_fashion_mnist")
    if run is None:
        return group
    best, validation = run["scores"]["best"], run["scores"]["validation"]
    return f"{group}: {best}, validation F1 {validation[best]['f1']:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Send a profile's submission to a competition on Kaggle, once.")
    parser.add_argument(
        "competition",
        nargs="?",
        default=os.environ.get("LEADERBOARD_COMPETITION", ""),
        help="its name as in kaggle.com/competitions/NAME (default: LEADERBOARD_COMPETITION, as make sets it)",
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
