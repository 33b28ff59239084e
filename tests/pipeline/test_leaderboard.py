"""Kaggle's own client against a server on this machine that answers as Kaggle's does.

The client can be told to talk to http://localhost in place of the real site, and finds the server there as any program finds a proxy. What
can't be tried so is the way to the real site, its certificates, its limits and its scoring.
"""

import base64
import csv
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from tests.running import make

from coursework import files, submission
from pipeline import leaderboard, submission
from pipeline.errors import UserError

PREDICTIONS = np.arange(10_500) % 10


class Kaggle:
    """What the client asks of Kaggle when it submits a file; `refusal` is what the last step is answered with, if anything."""

    BREAK = "no answer, the connection is closed"

    def __init__(self):
        self.requests, self.uploaded, self.described, self.user, self.refusal = [], None, None, None, None
        kaggle = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, content: dict, status: int = 200):
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def body(self) -> bytes:
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                content = b""
                while size := int(self.rfile.readline(), 16):
                    content += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return content

            def do_PUT(self):
                kaggle.uploaded = self.body()
                self.answer({})

            def do_POST(self):
                request, content = self.path.rsplit("/", 1)[1], json.loads(self.body() or b"{}")
                kaggle.requests.append(request)
                if authorization := self.headers.get("Authorization"):
                    kaggle.user = base64.b64decode(authorization.split()[1]).decode().split(":")[0]
                if request == "StartSubmissionUpload":
                    self.answer({"token": "a token", "createUrl": "http://localhost/upload"})
                elif request == "CreateSubmission":
                    kaggle.described = content
                    if kaggle.refusal == kaggle.BREAK:
                        self.close_connection = True
                    elif kaggle.refusal:
                        self.answer({"code": 400, "message": kaggle.refusal}, 400)
                    else:
                        self.answer({"message": "Successfully submitted to clothes", "ref": 12345})
                elif request == "GetSubmission":
                    self.answer({"ref": 12345, "status": "COMPLETE", "publicScore": "0.9528"})
                else:
                    self.answer({"code": 404, "message": f"no {request} here"}, 404)

            def do_GET(self):
                self.do_POST()

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """A reports folder of its own with a valid submission, and a home folder in which Kaggle is not known."""
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(files, "REPORTS_FOLDER", tmp_path / "reports")
    submission.write_submission(submission.path_of("full"), PREDICTIONS, len(PREDICTIONS))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    uv = Path(sys.prefix) / "bin" / "uv"
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("UV_CACHE_DIR", cache)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return files.REPORTS_FOLDER


@pytest.fixture
def kaggle(reports, monkeypatch):
    server = Kaggle()
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server.server_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("KAGGLE_USERNAME", "student")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    yield server
    server.close()


def logged():
    with leaderboard.log_path().open() as file:
        return list(csv.DictReader(file))


def test_a_submission_is_sent_once_and_what_was_sent_is_written_down(kaggle, capsys):
    leaderboard.send("clothes", "full", "our best")
    sent = submission.path_of("full").read_bytes()
    assert kaggle.uploaded == sent
    assert kaggle.user == "student"
    assert kaggle.described["competitionName"] == "clothes"
    assert kaggle.described["submissionDescription"] == "our best"
    printed = capsys.readouterr().out
    assert "Successfully submitted to clothes" in printed
    assert "0.9528" in printed, printed
    (row,) = logged()
    assert row["competition"] == "clothes" and row["file"] == "reports/submission.csv"
    assert row["sha256"] == submission.hash_of(submission.path_of("full"))
    assert row["message"] == "our best" and "Successfully submitted" in row["answer"] and "0.9528" in row["answer"]
    assert "secret" not in leaderboard.log_path().read_text() + printed

    requests = len(kaggle.requests)
    with pytest.raises(UserError, match=r"was sent to clothes on .*, and would be scored the same again"):
        leaderboard.send("clothes", "full", "another message")
    assert len(kaggle.requests) == requests and len(logged()) == 1


def test_what_a_competition_refuses_is_told_and_can_be_sent_again(kaggle, capsys):
    kaggle.refusal = "You have submitted too often today"
    with pytest.raises(UserError, match="the competition did not take it"):
        leaderboard.send("clothes", "full")
    assert "You have submitted too often today" in capsys.readouterr().out
    assert logged()[0]["answer"].startswith("not taken: ")
    kaggle.refusal = None
    leaderboard.send("clothes", "full")
    assert [row["answer"].startswith("not taken") for row in logged()] == [True, False]


def test_an_invalid_file_is_never_sent(kaggle):
    path = submission.path_of("full")
    path.write_text(path.read_text().replace("\n7,7\n", "\n7,11\n"))
    with pytest.raises(submission.SubmissionError, match="Prediction is 11 in row 7"):
        leaderboard.send("clothes", "full")
    assert not kaggle.requests and not leaderboard.log_path().exists()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], r"no answer was seen.*delete its line in submissions\.csv"),
        (["Warning: there is a newer version"], r"no answer was seen.*delete its line in submissions\.csv"),
        (["ReadTimeout: CreateSubmission"], r"no answer was seen.*delete its line in submissions\.csv"),
        (["Submission ref: 12345"], "would be scored the same again: Submission ref: 12345"),
    ],
)
def test_a_sending_that_was_stopped_is_not_repeated(kaggle, monkeypatch, said, why):
    def killed(competition, path, message, lines):
        lines += said
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(leaderboard, "_run_client", killed)
        with pytest.raises(KeyboardInterrupt):
            leaderboard.send("clothes", "full")
    with pytest.raises(UserError, match=why):
        leaderboard.send("clothes", "full")
    assert not kaggle.requests


def test_a_connection_that_breaks_leaves_it_open_whether_the_file_arrived(kaggle):
    kaggle.refusal = kaggle.BREAK
    with pytest.raises(UserError, match="whether it arrived is not known"):
        leaderboard.send("clothes", "full")
    assert logged()[0]["answer"].startswith("no answer: ")
    with pytest.raises(UserError, match="no answer was seen"):
        leaderboard.send("clothes", "full")


def test_two_that_send_at_once_send_one_after_the_other(kaggle, capsys):
    submission.write_submission(submission.path_of("best"), PREDICTIONS[::-1], len(PREDICTIONS))
    senders = [threading.Thread(target=leaderboard.send, args=("clothes", profile)) for profile in ("full", "best")]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert {row["file"] for row in logged()} == {"reports/submission.csv", "reports/best/submission.csv"}
    assert all("Successfully" in row["answer"] for row in logged())


def test_a_client_that_cannot_be_fetched_is_told_before_anything_is_sent(kaggle, monkeypatch):
    monkeypatch.setattr(leaderboard, "CLIENT", ["tool", "run", "--offline", "--from", "kaggle==0.0.1", "kaggle"])
    with pytest.raises(UserError, match="client can't be fetched or started, so nothing was sent"):
        leaderboard.send("clothes", "full")
    assert not leaderboard.log_path().exists()


def test_without_credentials_it_is_said_how_to_get_them(reports):
    with pytest.raises(UserError, match=r"(?s)nothing was sent.*Make a new token.*access_token"):
        leaderboard.send("clothes", "full")
    assert not leaderboard.log_path().exists()


@pytest.mark.parametrize("name", ["", "a b", "x/../y", "x;rm", "--help me"])
def test_what_is_no_competition_is_refused(reports, name):
    with pytest.raises(UserError, match="is no competition: expected its name"):
        leaderboard.send(name, "full")


def test_a_damaged_log_sends_nothing(kaggle):
    leaderboard.log_path().write_text("time,what\n1,2\n")
    with pytest.raises(UserError, match=r"submissions\.csv, the log of what was sent, is damaged"):
        leaderboard.send("clothes", "full")
    assert not kaggle.requests


def test_the_log_tells_the_held_out_score_of_this_very_file(reports):
    metrics = reports / "metrics" / "score.json"
    metrics.parent.mkdir()
    score = {"submission_sha256": submission.hash_of(submission.path_of("full")), "held_out": {"accuracy": 0.95281}}
    metrics.write_text(json.dumps(score))
    assert leaderboard._held_out_accuracy("full") == "0.9528"
    metrics.write_text(json.dumps(score | {"submission_sha256": "another"}))
    assert leaderboard._held_out_accuracy("full") == ""


def test_make_sends_where_a_competition_is_named(smoke_run):
    for name in ("no such competition", 'x"; echo injected; "', "`id`", "$5"):
        result = make("submit", f"KAGGLE={name}", 'MESSAGE=costs $5, `id` and "quoted"')
        assert result.returncode
        assert f"{name!r} is no competition" in result.stderr
        assert "injected" not in result.stdout


def test_a_competition_in_the_environment_alone_sends_nothing(smoke_run, monkeypatch):
    monkeypatch.setenv("KAGGLE", "clothes")
    result = make("submit")
    assert result.returncode == 0 and "is valid" in result.stdout and "Sending" not in result.stdout
