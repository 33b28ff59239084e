"""Submit a file to a competition: `.venv/kaggle/bin/python -I pipeline/kaggle_client.py COMPETITION FILE MESSAGE`.

The script runs in the environment of Kaggle's client, so it imports no other module of ours. It prints a line of JSON,
{"outcome": "sent" | "rejected" | "unknown" | "not sent", "answer": TEXT}, and a second one when the score is known.
"""

import contextlib
import io
import json
import signal
import sys
import time
from collections.abc import Iterator

SECONDS_FOR_A_SCORE = 120
SECONDS_BETWEEN_REQUESTS = 5


def submit(competition: str, path: str, message: str) -> Iterator[tuple[str, str]]:
    """Submit the file and yield the outcome and the answer: of the submission, then of its scoring.

    A lost answer or an error of the server leaves the outcome unknown only if the submission was requested. The client
    uploads the file first, which submits nothing.
    """
    from kaggle.api.kaggle_api_extended import KaggleApi, ResumableUploadResult
    from requests import RequestException

    class Client(KaggleApi):
        uploaded = False

        def upload_complete(self, *arguments, **options):
            result = super().upload_complete(*arguments, **options)
            self.uploaded = result == ResumableUploadResult.COMPLETE
            return result

    client = Client()
    try:
        client.authenticate()
        submission = client.competition_submit(path, message, competition)
    except SystemExit:
        yield "not sent", "Kaggle accepts none of your credentials"
        return
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        refused = 400 <= status < 500
        yield "rejected" if refused else "unknown" if client.uploaded else "not sent", str(error)
        return
    if not client.uploaded:
        yield "not sent", "the file could not be uploaded"
        return
    answer = f"{submission.message} (submission {submission.ref})"
    yield "sent", answer
    deadline = time.monotonic() + SECONDS_FOR_A_SCORE
    while time.monotonic() < deadline:
        with contextlib.suppress(RequestException):  # a new submission may not be found at once
            scored = client.get_submission(submission.ref)
            if scored.status.name == "COMPLETE":
                yield "sent", f"{answer}, public score {scored.public_score}"
                return
            if scored.status.name == "ERROR":
                yield "rejected", f"{answer}, not scored: {scored.error_description}"
                return
        time.sleep(SECONDS_BETWEEN_REQUESTS)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a stack trace
    output = sys.stdout
    with contextlib.redirect_stdout(io.StringIO()):  # the client prints advice for its own command line
        for outcome, answer in submit(*sys.argv[1:]):
            print(json.dumps({"outcome": outcome, "answer": answer}), file=output, flush=True)


if __name__ == "__main__":
    main()
