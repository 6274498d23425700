"""A web server on this machine, for the tests of downloads. None of them leaves it."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class WebServer:
    """Serves `files` (path -> content, or the status to fail with) and records the requests."""

    def __init__(self):
        self.files = {}
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                content = outer.files.get(self.path, 404)
                if isinstance(content, int):
                    self.send_error(content)
                    return
                body, length = content if isinstance(content, tuple) else (content, len(content))
                self.send_response(200)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the client may have read enough
                    self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = WebServer()
    yield server
    server.close()
