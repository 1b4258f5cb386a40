"""What stands in front of and behind a proxy in these tests: clients with addresses of their own, an application."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from benchmarks.service import TOKENS, Service
from tests.needed import missing
from tests.proxies.page import ROOT
from tests.proxies.private_network import PROXY

INSTALLED = ROOT / ".proxies"


def program(name: str) -> str:
    """The path of a program that `make proxies` has put there. Skips where it has not."""
    for place in (INSTALLED / "bin" / name, INSTALLED / "python" / "bin" / name):
        if place.exists():
            return str(place)
    missing(f"{name} (make proxies)")
    raise AssertionError


class Answer(NamedTuple):
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request(
    port: int,
    source: str,
    path: str = "/",
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    body: bytes | None = None,
    host: str = PROXY,
) -> Answer:
    """One request from an address of the private network."""
    connection = http.client.HTTPConnection(host, port, timeout=10, source_address=(source, 0))
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


class Bartizan:
    """A running service as an operator sees it."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def call(self, role: str, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {TOKENS[role]}", "Content-Type": "application/json", **headers}
        return request(
            *(self.service.port, "127.0.0.1", path, given), method=method, body=data, host="127.0.0.1"
        )

    def block(self, value: str, **more: str) -> str:
        """Blocks by hand, and waits until lookups know; answers the id."""
        answer = self.call(
            "responder", "POST", "/v1/admin/blocks", {"value": value, "duration": "1h", "reason": "t", **more}
        )
        assert answer.status in (200, 201), answer.body
        block_id = str(json.loads(answer.body)["id"])
        until(lambda: block_id in self.ids())
        return block_id

    def lift(self, block_id: str) -> None:
        """Lifts a block, and waits until lookups know."""
        path = f"/v1/admin/blocks/{block_id}?reason=test"
        assert self.call("responder", "DELETE", path).status in (200, 204)
        until(lambda: block_id not in self.ids())

    def blocks(self) -> list[dict[str, Any]]:
        return list(json.loads(self.call("lookup", "GET", "/v1/blocklist").body)["blocks"])

    def ids(self) -> set[str]:
        return {str(block["id"]) for block in self.blocks()}

    def metric(self, line: str) -> float:
        """The value of one series of /metrics."""
        for row in self.call("viewer", "GET", "/metrics").body.decode().splitlines():
            if row.startswith(line + " "):
                return float(row.rpartition(" ")[2])
        raise AssertionError(f"no {line}")


class Received(NamedTuple):
    """A request as it came to the application."""

    peer: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int


@dataclass
class Application:
    """Answers 401 on /login and 200 elsewhere, and remembers what came."""

    port: int
    received: list[Received] = field(default_factory=list)

    def log(self) -> bytes:
        """Its log of the requests so far: who the other end was, and what X-Forwarded-For said."""
        lines = [
            json.dumps(
                {
                    "client_ip": one.peer,
                    "x_forwarded_for": one.headers.get("x-forwarded-for"),
                    "method": one.method,
                    "path": one.path,
                    "status": one.status,
                    "request_id": str(number),
                }
            )
            for number, one in enumerate(self.received)
        ]
        return ("\n".join(lines) + "\n").encode()


@contextmanager
def application() -> Iterator[Application]:
    """What is behind the proxy, on a free port of 127.0.0.1."""
    made = Application(0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = 401 if self.path.startswith("/login") else 200
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.received.append(
                Received(self.client_address[0], self.command, self.path, headers, body, status)
            )
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"ok")

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def until(is_so: Any, seconds: float = 15) -> None:
    """Ask until it is so. Raises: AssertionError after this long."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.02)


def is_open(port: int, host: str = PROXY) -> bool:
    """Whether something listens."""
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True
