"""Uploads to a competition: once, checked, logged. Slow tests run Kaggle's own client, the others a client of their own."""

import csv
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from coursework import course_split, files
from coursework.submission import SubmissionError, write_submission
from pipeline import leaderboard, submission
from pipeline.errors import UserError
from tests.pipeline.kaggle import Kaggle
from tests.running import make

PREDICTIONS = np.arange(10_500) % 10
SUCCESS = "Successfully submitted to clothes"
INTERRUPTED = "here Ctrl-C is pressed"
CLIENT = """
import json, pathlib, sys, time
if "--version" not in sys.argv:
    folder, lines = pathlib.Path(__file__).parent, json.loads(sys.argv[1])
    began = time.time()
    print(*lines, sep="\\n", flush=True)
    time.sleep(0.2)
    (folder / f"{began}.call").write_text(json.dumps([began, time.time(), sys.argv[2:]]))
"""


@pytest.fixture
def reports(tmp_path, monkeypatch, fashion_mnist):
    """A reports folder of its own with a valid submission, and a home folder without credentials of Kaggle."""
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda split: fashion_mnist)
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")
    write_submission(submission.path_of("full"), PREDICTIONS, len(PREDICTIONS))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    uv = Path(sys.prefix) / "bin" / "uv"
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("UV_CACHE_DIR", cache)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return files.REPORTS_FOLDER


@pytest.fixture
def credentials(reports, monkeypatch):
    monkeypatch.setenv("KAGGLE_USERNAME", "student")
    monkeypatch.setenv("KAGGLE_KEY", "secret")


class Client:
    """A client that prints the given lines in place of Kaggle's."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        self.folder.mkdir()
        (self.folder / "client.py").write_text(CLIENT)

    def answers(self, *lines):
        command = ["run", "--quiet", "--offline", "--no-project", "--python", sys.executable]
        self.monkeypatch.setattr(
            leaderboard, "CLIENT", [*command, str(self.folder / "client.py"), json.dumps(lines or [""])]
        )

    def calls(self):
        """The uploads: when each began and ended, and the arguments."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("*.call"))]


@pytest.fixture
def client(credentials, tmp_path, monkeypatch):
    client = Client(tmp_path / "client", monkeypatch)
    client.answers(SUCCESS)
    return client


@pytest.fixture
def kaggle(credentials, monkeypatch):
    """A server that Kaggle's own client takes for Kaggle."""
    server = Kaggle()
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, server.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    yield server
    server.close()


def logged():
    with leaderboard.log_path().open() as file:
        return list(csv.DictReader(file))


# --- Kaggle's own client --------------------------------------------------------------------------


@pytest.mark.slow
def test_kaggles_client_uploads_the_file_with_its_message(kaggle, capsys):
    leaderboard.send("clothes", "full", "our best")
    assert kaggle.uploaded == submission.path_of("full").read_bytes()
    assert kaggle.user == "student"
    assert kaggle.submitted["competitionName"] == "clothes"
    assert kaggle.submitted["submissionDescription"] == "our best"
    printed = capsys.readouterr().out
    (row,) = logged()
    for answer in (printed, row["answer"]):
        assert SUCCESS in answer and "0.9528" in answer
    assert "secret" not in leaderboard.log_path().read_text() + printed


@pytest.mark.slow
def test_kaggles_refusal_is_printed_and_can_be_followed_by_another_upload(kaggle, capsys):
    kaggle.refusal = "You have submitted too often today"
    with pytest.raises(UserError, match="the competition rejected the submission"):
        leaderboard.send("clothes", "full")
    assert "You have submitted too often today" in capsys.readouterr().out
    kaggle.refusal = None
    leaderboard.send("clothes", "full")
    assert [row["answer"].startswith("rejected") for row in logged()] == [True, False]


@pytest.mark.slow
@pytest.mark.fault("a connection that breaks while a submission is sent")
def test_after_a_broken_connection_the_submission_is_not_sent_again(kaggle):
    kaggle.refusal = kaggle.BREAK
    with pytest.raises(UserError, match="the answer was lost: check on the competition's page"):
        leaderboard.send("clothes", "full")
    assert logged()[0]["answer"].startswith("no answer: ")
    with pytest.raises(UserError, match="its answer was lost"):
        leaderboard.send("clothes", "full")


# --- What is sent and logged ----------------------------------------------------------------------


def test_an_upload_is_logged_with_file_message_and_answer(client):
    leaderboard.send("clothes", "full", "our best")
    (row,) = logged()
    assert row["competition"] == "clothes" and row["file"] == "reports/submission.csv"
    assert row["sha256"] == files.file_sha256(submission.path_of("full"))
    assert row["message"] == "our best" and row["answer"] == SUCCESS


def test_the_client_is_given_the_competition_the_file_and_the_message(client):
    leaderboard.send("clothes", "full", "--our best")
    ((_, _, arguments),) = client.calls()
    assert arguments[:3] == ["competitions", "submit", "clothes"]
    assert arguments[arguments.index("-f") + 1] == str(submission.path_of("full"))
    assert "--message=--our best" in arguments


def test_a_file_is_sent_to_a_competition_once(client):
    leaderboard.send("clothes", "full", "our best")
    with pytest.raises(UserError, match=rf"was sent to clothes on .*, and would be scored the same again: {SUCCESS}"):
        leaderboard.send("clothes", "full", "another message")
    assert len(client.calls()) == len(logged()) == 1


def test_a_file_can_be_sent_to_another_competition(client):
    leaderboard.send("clothes", "full")
    leaderboard.send("shoes", "full")
    assert [row["competition"] for row in logged()] == ["clothes", "shoes"]


def test_a_rejected_file_can_be_sent_again(client):
    client.answers("400 Client Error: You have submitted too often today")
    with pytest.raises(UserError, match="the competition rejected the submission"):
        leaderboard.send("clothes", "full")
    client.answers(SUCCESS)
    leaderboard.send("clothes", "full")
    assert [row["answer"].startswith("rejected: 400") for row in logged()] == [True, False]


def test_an_invalid_file_is_never_sent(client):
    path = submission.path_of("full")
    path.write_text(path.read_text().replace("\n7,7\n", "\n7,11\n"))
    with pytest.raises(SubmissionError, match="Prediction is 11 in row 7"):
        leaderboard.send("clothes", "full")
    assert not client.calls() and not leaderboard.log_path().exists()


@pytest.mark.fault("an upload that is interrupted")
@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ([], r"its answer was lost.*delete its line in submissions\.csv"),
        (["Warning: there is a newer version"], r"its answer was lost.*delete its line in submissions\.csv"),
        (["ReadTimeout: CreateSubmission"], r"its answer was lost.*delete its line in submissions\.csv"),
        (["Submission ref: 12345"], "would be scored the same again: Submission ref: 12345"),
    ],
)
def test_an_interrupted_upload_is_not_repeated(client, monkeypatch, printed, reason):
    def interrupted_print(text, **options):
        if INTERRUPTED in text:
            raise KeyboardInterrupt

    client.answers(*printed, INTERRUPTED)
    with monkeypatch.context() as patch:
        patch.setattr(leaderboard, "print", interrupted_print, raising=False)
        with pytest.raises(KeyboardInterrupt):
            leaderboard.send("clothes", "full")
    with pytest.raises(UserError, match=reason):
        leaderboard.send("clothes", "full")
    assert len(client.calls()) == 1


def test_two_uploads_at_once_run_one_after_the_other(client):
    write_submission(submission.path_of("best"), PREDICTIONS[::-1], len(PREDICTIONS))
    senders = [threading.Thread(target=leaderboard.send, args=("clothes", profile)) for profile in ("full", "best")]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    (_, first_ended, _), (second_began, _, _) = client.calls()
    assert first_ended <= second_began
    assert {row["file"] for row in logged()} == {"reports/submission.csv", "reports/best/submission.csv"}
    assert all(row["answer"] == SUCCESS for row in logged())


@pytest.mark.parametrize(("submitted", "accuracy"), [(True, "0.9528"), (False, "")])
def test_the_log_holds_the_held_out_score_of_this_file_only(client, reports, submitted, accuracy):
    sha256 = files.file_sha256(submission.path_of("full")) if submitted else "another"
    (reports / "metrics").mkdir()
    score = {"submission_sha256": sha256, "held_out": {"accuracy": 0.95281}}
    (reports / "metrics" / "score.json").write_text(json.dumps(score))
    leaderboard.send("clothes", "full")
    assert logged()[0]["held_out_accuracy"] == accuracy


# --- Errors before anything is sent ---------------------------------------------------------------


def test_a_client_that_cannot_be_downloaded_is_an_error_before_anything_is_sent(credentials, monkeypatch):
    monkeypatch.setattr(leaderboard, "CLIENT", ["tool", "run", "--offline", "--from", "kaggle==0.0.1", "kaggle"])
    with pytest.raises(UserError, match="client can't be downloaded or started, so nothing was sent"):
        leaderboard.send("clothes", "full")
    assert not leaderboard.log_path().exists()


def test_without_credentials_the_error_says_how_to_create_them(reports):
    with pytest.raises(UserError, match=r"(?s)nothing was sent.*Create a token .*access_token"):
        leaderboard.send("clothes", "full")
    assert not leaderboard.log_path().exists()


@pytest.mark.parametrize("name", ["", "a b", "x/../y", "x;rm", "--help me"])
def test_an_invalid_name_of_a_competition_is_an_error(reports, name):
    with pytest.raises(UserError, match="is not a valid competition: expected NAME"):
        leaderboard.send(name, "full")


@pytest.mark.fault("a damaged log of uploads")
def test_a_damaged_log_sends_nothing(client):
    leaderboard.log_path().write_text("time,what\n1,2\n")
    with pytest.raises(UserError, match=r"submissions\.csv, the log of uploads, is damaged .*nothing was sent"):
        leaderboard.send("clothes", "full")
    assert not client.calls()


# --- make submit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ['x"; echo injected; "', "`id` $5"])
def test_make_passes_the_name_of_a_competition_as_it_is(new_project, name):
    result = make(new_project, "can-send", f"KAGGLE={name}", 'MESSAGE=costs $5, `id` and "quoted"')
    assert result.returncode
    assert f"{name!r} is not a valid competition" in result.stderr
    assert "injected" not in result.stdout


def test_make_submit_checks_the_competition_before_it_trains(new_project):
    result = make(new_project, "submit", "KAGGLE=no such competition")
    assert result.returncode
    assert "'no such competition' is not a valid competition" in result.stderr
    assert "running" not in result.stdout


def test_a_competition_in_the_environment_alone_sends_nothing(smoke_run, monkeypatch):
    monkeypatch.setenv("KAGGLE", "clothes")
    result = make(smoke_run.project, "submit")
    assert result.returncode == 0 and "is valid" in result.stdout and "Sending" not in result.stdout
