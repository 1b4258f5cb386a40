"""Records inside of an envelope, beside the same records sent alone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.decode import decode_events
from app.ingest.enclosed import NOTHING, EnclosedReader, surroundings_of, surroundings_of_labels
from detectors.event import Event

NOW = 1_795_435_200_000
LINE = '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "POST /login HTTP/1.1" 401 12 "-" "curl/8"'
NAMES = (
    "client_ip",
    "status",
    "message",
    "log",
    "user.name",
    "remote_addr",
    "bytes",
    "timestamp",
    "repeat",
    "x",
)
VALUES = (
    "203.0.113.9",
    "401",
    401,
    99,
    -1,
    7.5,
    None,
    "",
    "-",
    LINE,
    json.dumps({"ip": "203.0.113.9"}),
    "{",
    {},
)


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES)), min_size=1, max_size=30))
def test_an_envelope_that_says_nothing_changes_nothing(records: list[dict[str, Any]]) -> None:
    reader = EnclosedReader(NOW)
    for record in records:
        sent = json.dumps(record).encode()
        assert reader.read(sent, NOTHING, None) == decode_events(sent, NOW).events[0]


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES)))
def test_what_is_taken_out_of_a_record_is_as_good_as_in_it(record: dict[str, Any]) -> None:
    whole = decode_events(json.dumps(record | {"client_ip": "192.0.2.7"}).encode(), NOW).events[0]
    rest = {name: value for name, value in record.items() if name not in ("client_ip", "remote_addr")}
    taken = EnclosedReader(NOW).read(
        json.dumps(rest).encode(), surroundings_of({"client_ip": "192.0.2.7"}), None
    )
    assert taken == whole


@pytest.mark.parametrize(
    ("labels", "event"),
    [
        ({"host": "a", "user": "ann", "status": "401"}, Event(host="a", user="ann", status=401)),
        ({"hostname": "a", "remote_addr": "203.0.113.9"}, Event(host="a", client_ip="203.0.113.9")),
        (
            {"agent": "a", "account": "b", "ip": "192.0.2.1", "code": "401", "uid": "c", "app_name": "d"},
            Event(),
        ),
        ({"path": "/var/log/x", "message": "m", "timestamp": "1", "body_bytes_sent": "1"}, Event()),
    ],
    ids=["our names", "names of others", "what describes the sender", "what describes the file"],
)
def test_labels_say_only_what_leaves_no_doubt(labels: dict[str, Any], event: Event) -> None:
    event.message = "hello"
    assert EnclosedReader(NOW).read(b"hello", surroundings_of_labels(labels), None) == event


def test_what_stands_nearer_goes_first() -> None:
    both = surroundings_of_labels({"user": "ann", "unit": "nginx.service", "host": "a"}).behind(
        surroundings_of({"user": "bob", "SYSLOG_IDENTIFIER": "sshd"})
    )
    assert dict(both.facts) == {"user": "bob", "host": "a"}
    assert (both.program, both.spoken) == ("sshd", ())
