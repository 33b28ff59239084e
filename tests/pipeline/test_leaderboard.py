import csv
import json
import signal
import threading

import numpy as np
import pytest

from coursework import course_split, files
from coursework.submission import SubmissionError, write_submission
from pipeline import leaderboard, submission
from pipeline.errors import UserError
from tests.pipeline.kaggle import ANSWERS, NO_ANSWER, SUCCESS, Kaggle
from tests.running import make, wait_for

PREDICTIONS = np.arange(10_500) % 10


@pytest.fixture
def path(tmp_path, monkeypatch, enter, fashion_mnist):
    """A valid submission in a project of its own, and a home folder without credentials of Kaggle."""
    monkeypatch.setattr(course_split, "load_fashion_mnist", lambda split: fashion_mnist)
    enter(tmp_path)
    write_submission(submission.path_of("full"), PREDICTIONS, len(PREDICTIONS))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return submission.path_of("full")


@pytest.fixture
def kaggle(path, monkeypatch):
    """A server that Kaggle's client takes for Kaggle, and credentials for it."""
    with Kaggle() as server:
        proxy = f"http://127.0.0.1:{server.server_port}"
        settings = {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "KAGGLE_USERNAME": "student", "KAGGLE_KEY": "secret"}
        settings |= {"http_proxy": proxy, "HTTP_PROXY": proxy, "no_proxy": "", "NO_PROXY": ""}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()


def logged():
    with leaderboard.log_path().open() as file:
        return list(csv.DictReader(file))


def test_the_file_is_sent_to_each_competition_once_and_logged_with_its_score(kaggle, path, capfd):
    message, sha256 = """--our best: $5, `id` and "quotes" """, files.file_sha256(path)
    (path.parent / "metrics").mkdir()
    score = {"submission_sha256": sha256, "held_out": {"accuracy": 0.91234}}
    (path.parent / "metrics" / "score.json").write_text(json.dumps(score))
    leaderboard.send("clothes", "full", message)
    contents = dict(kaggle.requests)
    assert contents["upload"] == path.read_bytes()
    sent = json.loads(contents["CreateSubmission"])
    assert (sent["competitionName"], sent["submissionDescription"]) == ("clothes", message)
    (row,) = logged()
    expected = {"file": "reports/submission.csv", "sha256": sha256, "competition": "clothes", "message": message}
    assert row.items() >= (expected | {"outcome": "sent", "held_out_accuracy": "0.9123"}).items()
    printed = "".join(capfd.readouterr())
    assert all(SUCCESS in answer and "0.9528" in answer for answer in (printed, row["answer"]))
    assert "secret" not in leaderboard.log_path().read_text() + printed
    with pytest.raises(UserError, match=rf"was sent to clothes on .*, and would be scored the same again: {SUCCESS}"):
        leaderboard.send("clothes", "full", "another message")
    leaderboard.send("shoes", "full")
    assert [row["competition"] for row in logged()] == ["clothes", "shoes"]


@pytest.mark.parametrize(
    ("request_name", "answer", "outcome", "said"),
    [
        ("StartSubmissionUpload", NO_ANSWER, "not sent", "Connection"),
        ("upload", (500, {}), "not sent", "could not be uploaded"),
        ("CreateSubmission", (400, {"code": 400, "message": "It needs 512 rows"}), "rejected", "512 rows"),
        ("CreateSubmission", (502, {"code": 502, "message": "Bad gateway"}), "unknown", "Bad gateway"),
        ("GetSubmission", (200, {"status": "ERROR", "errorDescription": "A row misses"}), "rejected", "misses"),
    ],
)
def test_an_error_says_whether_the_file_may_have_arrived(kaggle, request_name, answer, outcome, said):
    kaggle.answers[request_name] = answer
    with pytest.raises(UserError, match=leaderboard.PROBLEMS[outcome]):
        leaderboard.send("clothes", "full")
    (row,) = logged()
    assert row["outcome"] == outcome and said in row["answer"]
    kaggle.answers = ANSWERS.copy()
    if outcome == "unknown":
        with pytest.raises(UserError, match=r"its answer was lost.*delete its line in submissions\.csv"):
            leaderboard.send("clothes", "full")
    else:
        leaderboard.send("clothes", "full")
        assert [row["outcome"] for row in logged()] == [outcome, "sent"]


@pytest.mark.parametrize(
    ("request_name", "outcome", "reason"),
    [
        ("CreateSubmission", "unknown", "its answer was lost"),
        ("GetSubmission", "sent", f"would be scored the same again: {SUCCESS}"),
    ],
)
def test_an_interrupted_upload_is_not_repeated(kaggle, request_name, outcome, reason):
    def press_ctrl_c(request):
        if request == request_name:
            kaggle.before_answer = lambda request: None
            wait_for("entry in the log", lambda: logged()[0]["outcome"] == outcome, limit=20)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    kaggle.before_answer = press_ctrl_c
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            leaderboard.send("clothes", "full")
    finally:
        signal.signal(signal.SIGINT, previous)
    assert [row["outcome"] for row in logged()] == [outcome]
    with pytest.raises(UserError, match=reason):
        leaderboard.send("clothes", "full")
    assert [request for request, _ in kaggle.requests].count("CreateSubmission") == 1


def test_an_invalid_file_or_a_damaged_log_sends_nothing(kaggle, path):
    path.write_text(path.read_text().replace("\n7,7\n", "\n7,11\n"))
    with pytest.raises(SubmissionError, match="Prediction is 11 in row 7"):
        leaderboard.send("clothes", "full")
    write_submission(path, PREDICTIONS, len(PREDICTIONS))
    for content in (b"time,what\n1,2\n", b"\xff\n", b'"time\n'):
        leaderboard.log_path().write_bytes(content)
        with pytest.raises(UserError, match=r"submissions\.csv, the log of uploads, is damaged .*nothing was sent"):
            leaderboard.send("clothes", "full")
    assert not kaggle.requests


def test_without_credentials_the_error_says_how_to_create_them(path):
    with pytest.raises(UserError, match=r"(?s)nothing was sent.*Create a token .*access_token"):
        leaderboard.send("clothes", "full")
    assert not leaderboard.log_path().exists()


def test_an_expired_token_sends_nothing(kaggle, monkeypatch):
    monkeypatch.delenv("KAGGLE_KEY")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "expired")
    kaggle.answers["IntrospectToken"] = (200, {"active": False})
    with pytest.raises(UserError, match="not sent: check your connection and your credentials"):
        leaderboard.send("clothes", "full")
    assert logged()[0]["answer"] == "Kaggle accepts none of your credentials"
    assert {request for request, _ in kaggle.requests} == {"IntrospectToken"}


@pytest.mark.parametrize("name", ['x"; echo injected; "', "`id` $5", "x/../y"])
def test_make_passes_an_invalid_competition_as_it_is_and_refuses_it_before_it_trains(new_project, name):
    result = make(new_project, "submit", f"KAGGLE={name}", 'MESSAGE=costs $5, `id` and "quoted"')
    assert result.returncode
    assert f"{name!r} is not a valid competition: expected NAME" in result.stderr
    assert "injected" not in result.stdout and "running" not in result.stdout


def test_a_competition_in_the_environment_alone_sends_nothing(smoke_run, monkeypatch):
    monkeypatch.setenv("KAGGLE", "clothes")
    result = make(smoke_run.project, "submit")
    assert result.returncode == 0 and "is valid" in result.stdout and "Sending" not in result.stdout
