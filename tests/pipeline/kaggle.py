"""A server on this machine that answers Kaggle's own client as Kaggle does.

The client can be told to talk to http://localhost in place of the real site, and finds the server there as any program
finds a proxy. The way to the real site, its certificates, its limits and its scoring are not covered.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SUCCESS = "Successfully submitted to clothes"
ANSWERS = {
    "StartSubmissionUpload": (200, {"token": "a token", "createUrl": "http://localhost/upload"}),
    "upload": (200, {}),
    "CreateSubmission": (200, {"message": SUCCESS, "ref": 12345}),
    "GetSubmission": (200, {"ref": 12345, "status": "COMPLETE", "publicScore": "0.9528"}),
}
"""Status and content of the answers to the requests for one submission, in their order."""
NO_ANSWER = (0, {})
"""The connection is closed."""


class Kaggle(ThreadingHTTPServer):
    """`requests` lists each request with its content; a test may change the `answers`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.answers, self.before_answer = [], ANSWERS.copy(), lambda request: None
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        request, content = self.path.rsplit("/", 1)[1], self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((request, content))
        self.server.before_answer(request)
        status, answer = self.server.answers[request]
        if status:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    do_PUT = do_POST  # noqa: N815

    def log_message(self, *arguments):
        pass
