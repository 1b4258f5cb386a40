"""Forms: what Python's HTTPHandler posts, and the many bodies that only say that they are one."""

import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from logging.handlers import HTTPHandler

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.form import PAIRS_LIMIT, decode_form
from app.ingest.routes import EVENTS
from app.ingest.shippers.shipper import Head
from detectors.event import Event
from detectors.timestamps import parse_time

NOW = 1_795_435_200_000
FORM_TYPE = "application/x-www-form-urlencoded"


def events(body: bytes) -> list[Event]:
    return EVENTS.read(body, Head("/v1/events", {}, {"content-type": FORM_TYPE}, NOW)).events


def test_what_pythons_http_handler_posts_is_an_event() -> None:
    bodies: list[tuple[str, bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            bodies.append((self.headers["Content-Type"], self.rfile.read(size)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        handler = HTTPHandler(f"127.0.0.1:{server.server_port}", "/v1/events", method="POST")
        record = logging.makeLogRecord(
            {
                "name": "api",
                "levelno": 30,
                "levelname": "WARNING",
                "msg": "login of %s failed",
                "args": ("ünë & co",),
                "created": 1_795_428_003.123,
                "client_ip": "203.0.113.9",
                "status": 401,
                "user": None,
            }
        )
        handler.emit(record)
        thread.join()
    [(content_type, body)] = bodies
    assert content_type == FORM_TYPE
    [event] = events(body)
    assert parse_time(event.timestamp) == 1_795_428_003_123
    assert event == Event(event.timestamp, "203.0.113.9", status=401, message="login of %s failed")
    decoded = decode_form(body, NOW)
    assert decoded is not None
    assert msgspec.json.decode(decoded.records[0])["args"] == "('ünë & co',)"


@pytest.mark.parametrize(
    ("body", "event"),
    [
        (b"client_ip=203.0.113.9&status=401", Event(client_ip="203.0.113.9", status=401)),
        (b"client_ip=203.0.113.9&status=401\r\n", Event(client_ip="203.0.113.9", status=401)),
        (b"user=a+b%26c&path=%2Fa%3Fb%3Dc", Event(user="a b&c", path="/a?b=c")),
        (b"user=%ff%fe&status=", Event(user="\ufffd\ufffd")),
        (b"user=None&status=401", Event(user="None", status=401)),
        (b"user=None&status=401&levelno=20", Event(status=401)),
        (b"status=200&status=401", Event(status=401)),
    ],
)
def test_a_form_is_one_event(body: bytes, event: Event) -> None:
    assert events(body) == [event]


@pytest.mark.parametrize(
    "body",
    [
        b"login failed for root from 203.0.113.9",
        b"user=root",
        b"user=root status=401",
        b"a=b&c=d e=f",
        b"a=b&c",
        b"a=b&c=d\na=b&c=d",
        b"&".join(b"a%d=1" % n for n in range(PAIRS_LIMIT + 1)),
        b"a=b&\xff=c",
        b"/a?b=c&d=e",
    ],
    ids=range(9),
)
def test_what_is_no_form_is_text(body: bytes) -> None:
    assert decode_form(body, NOW) is None
    assert all(event.message is not None for event in events(body))


def test_json_that_says_it_is_a_form_is_json() -> None:
    assert events(b'{"status":401}{"status":403}') == [Event(status=401), Event(status=403)]


@given(st.binary(max_size=60) | st.from_regex(rb"[a-z%&=+0-9]*", fullmatch=True))
def test_any_bytes_get_an_answer(body: bytes) -> None:
    events(body)
