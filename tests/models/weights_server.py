"""A real server of files on this computer, which can also misbehave."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What a server gives, how it misbehaves, and what it was asked for."""

    def __init__(self, data: bytes) -> None:
        self.data, self.tag = data, '"one"'
        self.status, self.kind = 200, "application/octet-stream"
        self.ranges = True
        self.length = True
        self.careless = False  # takes no notice of If-Range
        self.stop_after: int | None = None  # breaks the connection once
        self.hold = threading.Event()  # what is held comes when this is set
        self.hold_after: int | None = None
        self.held = threading.Event()  # somebody is waiting for the rest
        self.redirect = ""
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
        if self.redirect and not request.path.startswith(self.redirect):
            request.send_response(302)
            request.send_header("Location", self.redirect + request.path)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        start = self._start(request, wanted)
        if start is not None and start >= len(self.data):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.data)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(self.status if start is None else 206)
        if start is not None:
            end = len(self.data)
            request.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        if self.tag:
            request.send_header("ETag", self.tag)
        request.send_header("Content-Type", self.kind)
        body = self.data[start or 0 :]
        if self.length:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        self._send(request, body)

    def _start(self, request: BaseHTTPRequestHandler, wanted: str | None) -> int | None:
        same = self.careless or request.headers.get("If-Range") == self.tag
        if wanted is None or not self.ranges or not same or self.status != 200:
            return None
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def _send(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        if self.stop_after is not None:
            body, self.stop_after = body[: self.stop_after], None
            request.close_connection = True
        if self.hold_after is not None:
            first, self.hold_after = self.hold_after, None
            request.wfile.write(body[:first])
            request.wfile.flush()
            self.held.set()
            self.hold.wait(60)
            body = body[first:]
        request.wfile.write(body)


@contextmanager
def serving(data: bytes):
    """Serve on a free port of this computer."""
    site = Site(data)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                site.answer(self)
            except OSError:  # the other end was killed
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        site.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()
