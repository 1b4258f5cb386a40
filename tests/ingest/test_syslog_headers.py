"""syslog-ng's bare messages: the headers of the request name their program, and are believed of one message only."""

import pytest

from app.ingest.decode import Decoded
from app.ingest.routes import EVENTS, RAW
from app.ingest.shippers.shipper import Head
from tests.ingest.remembering import NOW

FAILED = "Failed password for root from 203.0.113.9 port 4711 ssh2"
ACCESS = '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "GET /a HTTP/1.1" 401 12 "-" "curl/8"'
HEADERS = {
    "x-syslog-host": "web-1",
    "x-syslog-program": "sshd",
    "x-syslog-facility": "auth",
    "x-syslog-level": "info",
    "content-type": "application/x-www-form-urlencoded",
    "user-agent": "syslog-ng 3.38.1/libcurl 7.88.1",
}
"""As syslog-ng 3.38.1 sends them."""


def read(message: str, program: str = "sshd", shipper: object = EVENTS, **query: str) -> Decoded:
    head = Head("/v1/events", query, {**HEADERS, "x-syslog-program": program}, NOW)
    return shipper.read(message.encode(), head)  # type: ignore[attr-defined, no-any-return]


def client(message: str, program: str = "sshd") -> str | None:
    [event] = read(message, program).events
    return event.client_ip


@pytest.mark.parametrize("shipper", [EVENTS, RAW], ids=["events", "raw"])
def test_a_message_is_read_as_its_program_writes_it(shipper: object) -> None:
    [event] = read(FAILED, shipper=shipper).events
    assert (event.client_ip, event.user, event.outcome, event.host) == (
        "203.0.113.9",
        "root",
        "failure",
        "web-1",
    )
    assert event.timestamp is None
    assert read(FAILED, shipper=shipper).records == [FAILED.encode()]


def test_what_another_program_quotes_is_text() -> None:
    quoted = f"Nov 23 10:00:01 web-1 sshd[7]: {FAILED}"
    for message in (FAILED, quoted, ACCESS):
        [event] = read(message, "myapp").events
        assert (event.client_ip, event.outcome, event.message, event.host) == (None, None, message, "web-1")
    assert client(quoted, "sshd") == "203.0.113.9"
    assert client(ACCESS, "nginx") == client(ACCESS, "nginx-access") == "203.0.113.9"
    assert client(f"Nov 23 10:00:01 web-1 nginx: {ACCESS}", "sshd") is None


@pytest.mark.parametrize(
    "body", [f"x\n{FAILED}", f"\n{FAILED}", f"{FAILED}\n", f"{FAILED}\nx", f"{FAILED}\n{FAILED}"]
)
def test_of_several_messages_nobody_knows_whose_the_headers_are(body: str) -> None:
    assert {event.client_ip for event in read(body).events} == {None}


def test_a_message_like_a_form_is_no_form() -> None:
    """libcurl calls everything a form, and a client may choose the message."""
    [event] = read("client_ip=198.51.100.7&status=401", "myapp").events
    assert (event.client_ip, event.status, event.message) == (None, None, "client_ip=198.51.100.7&status=401")


def test_json_speaks_for_itself() -> None:
    [event] = read('{"client_ip":"203.0.113.9","status":401}', "myapp").events
    assert (event.client_ip, event.status, event.host) == ("203.0.113.9", 401, None)


def test_without_a_program_all_is_as_it_was() -> None:
    for program in ("", " "):
        assert client(ACCESS, program) == "203.0.113.9"
    assert read(ACCESS, "sshd", RAW, format="combined").events[0].client_ip == "203.0.113.9"


def test_the_same_message_of_another_program_is_another_body() -> None:
    heads = [Head("/v1/events", {}, {**HEADERS, "x-syslog-program": name}, NOW) for name in ("a", "b")]
    assert EVENTS.variant(heads[0]) != EVENTS.variant(heads[1])
