"""IIS logs, whose `#Fields:` line says what the next lines hold."""

import pytest

from app.ingest.decode import decode_events, decode_lines
from app.ingest.formats.registry import is_read_by_itself
from detectors.event import Event

NOW = 1_795_435_200_000
FIELDS = b"#Fields: date time c-ip cs-method cs-uri-stem sc-status cs(User-Agent) X-Forwarded-For\r\n"
LINE = b"2026-11-23 10:00:03 10.0.0.1 GET /a 401 curl/8.5.0 203.0.113.9,+10.0.0.7\r\n"
EVENT = Event(
    "2026-11-23 10:00:03",
    "10.0.0.1",
    "GET",
    "/a",
    status=401,
    user_agent="curl/8.5.0",
    forwarded_for="203.0.113.9, 10.0.0.7",
)


@pytest.mark.parametrize("format_name", ["iis", "auto"])
def test_the_fields_line_holds_until_the_next_one(format_name: str) -> None:
    other = b"#Fields: date time sc-status c-ip\n2026-11-23 10:00:04 403 203.0.113.10\n"
    decoded = decode_lines(FIELDS + LINE + LINE + other, format_name, NOW)
    assert [event.message for event in decoded.events if event.message] == [
        FIELDS.decode().strip(),
        "#Fields: date time sc-status c-ip",
    ]
    assert [event for event in decoded.events if not event.message] == [
        EVENT,
        EVENT,
        Event("2026-11-23 10:00:04", "203.0.113.10", status=403),
    ]


def test_the_fields_line_is_known_among_events_too() -> None:
    assert decode_events(FIELDS + LINE, NOW).events[1] == EVENT


def test_a_fields_line_does_not_hold_in_the_next_body() -> None:
    decode_lines(FIELDS, "iis", NOW)
    assert decode_lines(LINE, "iis", NOW).rejected


@pytest.mark.parametrize(
    "fields", [b"#Fields: c-ip x x sc-status", b"#Fields: ", b"#Fields: date time " + b"x " * 1000]
)
def test_a_fields_line_of_something_else_is_not_believed(fields: bytes) -> None:
    """Else a line of an application could be read as a request of the address that stands in it."""
    line = b"198.51.100.1 failed to 401"
    for event in decode_lines(fields + b"\n" + line, "auto", NOW).events:
        assert event.client_ip is None


def test_a_line_of_an_application_is_not_read_by_columns() -> None:
    body = b"#Fields: date time c-ip sc-status\nlogin failed 198.51.100.1 401\n"
    assert decode_lines(body, "auto", NOW).events[1].client_ip is None


def test_its_lines_are_not_read_again_by_themselves() -> None:
    assert decode_lines(FIELDS + LINE, "iis", NOW).read_as == ""
    assert not is_read_by_itself("iis")
    assert is_read_by_itself("combined")
    assert not is_read_by_itself("auto")
