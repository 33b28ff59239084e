"""A server on this machine that answers Kaggle's own client as Kaggle does.

The client can be told to talk to http://localhost in place of the real site, and finds the server there as any program
finds a proxy. The way to the real site, its certificates, its limits and its scoring are not covered.
"""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Kaggle:
    """The requests that the client makes when it submits a file; `refusal` is the answer to the last one, if any."""

    BREAK = "the connection is closed without an answer"

    def __init__(self):
        self.requests, self.uploaded, self.submitted, self.user, self.refusal = [], None, None, None, None
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
                    kaggle.submitted = content
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
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
