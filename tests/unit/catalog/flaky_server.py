"""A web server for one folder that fails on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ALWAYS = 1000


class FlakyServer:
    """`faults` are taken one a request: "500", "429", "403", "cut" (in the midst of the body), "gone" (no answer at all),
    "slow" (silent in the midst of the body), "" (none). `requests` are the paths and ranges that were asked for.
    """

    def __init__(self, folder: Path, ranges: bool = True):
        self.folder, self.ranges = folder, ranges
        self.faults: list[str] = []
        self.requests: list[tuple[str, str | None]] = []
        self.version = "1"
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Handler(BaseHTTPRequestHandler):
    def __init__(self, flaky: FlakyServer, *request):
        self.flaky = flaky
        super().__init__(*request)

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        requested = self.headers["Range"]
        self.flaky.requests.append((self.path, requested))
        fault = self.flaky.faults.pop(0) if self.flaky.faults else ""
        file = self.flaky.folder / self.path.lstrip("/")
        if fault.isdigit() or not file.is_file():
            self.send_error(int(fault or 404))
        elif fault != "gone":
            self.send(file.read_bytes(), requested if self.flaky.ranges else None, fault)

    def send(self, data: bytes, requested: str | None, fault: str) -> None:
        start = int(requested.removeprefix("bytes=").removesuffix("-")) if requested else 0
        body = data[start:]
        self.send_response(206 if requested else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.flaky.version)
        if requested:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if fault:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            time.sleep(1.0 if fault == "slow" else 0)
        else:
            self.wfile.write(body)


@contextmanager
def serving(folder: Path, ranges: bool = True) -> Iterator[FlakyServer]:
    flaky = FlakyServer(folder, ranges)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, flaky))
    server.daemon_threads = True
    flaky.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield flaky
    finally:
        server.shutdown()
        server.server_close()
