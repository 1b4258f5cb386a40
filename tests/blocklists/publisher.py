"""A real web server that publishes a list as a test says."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Publisher:
    """What it answers, and what it was asked."""

    def __init__(self) -> None:
        self.body = b""
        self.etag = ""
        self.last_modified = ""
        self.status = 200
        self.location = ""
        self.is_gzipped = False
        self.endless = False
        self.is_slow = False
        self.asked: list[dict[str, str]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://someone:hunter2@127.0.0.1:{self.port}/list.txt?key=hunter3"


@contextmanager
def publishing() -> Iterator[Publisher]:
    publisher, is_over = Publisher(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            publisher.asked.append({name.lower(): value for name, value in self.headers.items()})
            etag, modified = publisher.etag, publisher.last_modified
            is_known = etag and self.headers.get("If-None-Match") == etag
            if is_known or (modified and self.headers.get("If-Modified-Since") == modified):
                self.send_response(304)
                self.end_headers()
                return
            self.send_response(publisher.status)
            if publisher.location:
                self.send_header("Location", publisher.location)
            if etag:
                self.send_header("ETag", etag)
            if modified:
                self.send_header("Last-Modified", modified)
            body = gzip.compress(publisher.body) if publisher.is_gzipped else publisher.body
            if publisher.is_gzipped:
                self.send_header("Content-Encoding", "gzip")
            if not (publisher.endless or publisher.is_slow):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                while publisher.is_slow:
                    self.wfile.write(b"203.0.113.9\n")
                    if is_over.wait(0.05):
                        return
                self.wfile.write(body)
                while publisher.endless:
                    self.wfile.write(b"203.0.113.9\n" * 100_000)
            except OSError:
                return

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    publisher.port = server.server_port
    try:
        yield publisher
    finally:
        publisher.endless = publisher.is_slow = False
        is_over.set()
        server.shutdown()
        server.server_close()
