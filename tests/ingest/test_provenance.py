"""Which name gave a field: the field map's own answer, for each convention and wrapper."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest.field_names import ALIASES, OWN
from app.ingest.mapping import map_record
from app.ingest.provenance import DEPTH, MOST_NAMES, provenance_of, value_of
from detectors.event import Event

T0 = 1_764_000_000_000
LINE = '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "GET /x HTTP/1.1" 401 12'
FAILED = "Failed password for root from 203.0.113.9 port 4022 ssh2"

RECORDS: dict[str, tuple[dict[str, Any], dict[str, tuple[str, ...]], tuple[str, ...]]] = {
    "our own names": (
        {"client_ip": "203.0.113.9", "status": 401, "colour": "red"},
        {"client_ip": ("client_ip",), "status": ("status",)},
        ("colour",),
    ),
    "ECS, nested and dotted": (
        {"client": {"ip": "203.0.113.9"}, "http.response.status_code": 401, "ecs": {"version": "8"}},
        {"client_ip": ("client.ip",), "status": ("http.response.status_code",)},
        ("ecs.version",),
    ),
    "a line in a wrapper": (
        {"log": LINE, "stream": "stdout"},
        dict.fromkeys(("timestamp", "client_ip", "method", "path", "status", "bytes"), ("log",)),
        ("stream",),
    ),
    "a request line": (
        {"request": "GET /x HTTP/1.1", "remote_addr": "203.0.113.9"},
        {"client_ip": ("remote_addr",), "method": ("request",), "path": ("request",)},
        (),
    ),
    "one name wins over another": (
        {"remote_addr": "198.51.100.7", "client_ip": "203.0.113.9"},
        {"client_ip": ("client_ip",)},
        ("remote_addr",),
    ),
    "two names say the same": (
        {"status": 401, "statusCode": "401"},
        {"status": ("status", "statusCode")},
        (),
    ),
    "two names together": (
        {"SYSLOG_IDENTIFIER": "sshd", "MESSAGE": FAILED},
        {
            "message": ("MESSAGE",),
            **dict.fromkeys(("client_ip", "user", "outcome", "category"), ("SYSLOG_IDENTIFIER", "MESSAGE")),
        },
        (),
    ),
    "a value that does not fit": (
        {"status": "teapot", "code": 401},
        {"status": ("code",)},
        ("status",),
    ),
}


@pytest.mark.parametrize("convention", RECORDS)
def test_each_field_is_traced_to_the_name_that_gave_it(convention: str) -> None:
    record, names, unread = RECORDS[convention]
    assert provenance_of(record, T0) == (names, unread)


@pytest.mark.parametrize("field", [name for name in OWN if name != "repeat"])
def test_every_name_of_the_table_is_traced(field: str) -> None:
    values = {"status": 401, "bytes": 3, "duration_ms": 4, "outcome": "failure", "category": "authentication"}
    for name in (field, *ALIASES.get(field, ())):
        record = {name: values.get(field, "203.0.113.9")}
        event = map_record(record, T0)
        found = {n for n in Event.__struct_fields__ if getattr(event, n) is not None} - {"repeat"}
        assert provenance_of(record, T0).names == dict.fromkeys(found, (name,))


def test_many_names_and_deep_objects_are_looked_at_within_bounds() -> None:
    deep: Any = 1
    for _ in range(DEPTH + 20):
        deep = {"a": deep}
    record = {**{f"n{number}": number for number in range(10_000)}, "deep": deep}
    assert len(provenance_of(record, T0).unread) == MOST_NAMES
    assert len(provenance_of({"deep": deep}, T0).unread) == 1


def test_a_value_is_found_by_its_dotted_name() -> None:
    record = {"a": {"b": {"c": 1}}, "d.e": 2}
    assert (value_of(record, "a.b.c"), value_of(record, "d.e"), value_of(record, "x")) == (1, 2, None)


NAMES = st.sampled_from([*OWN, "log", "client", "ip", "attributes", "request", "x", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, JSON, max_size=6))
def test_no_record_makes_it_fail_and_every_field_has_an_origin(record: dict[str, Any]) -> None:
    read = json.loads(json.dumps(record))
    event = map_record(read, T0)
    found = provenance_of(read, T0)
    present = {n for n in Event.__struct_fields__ if getattr(event, n) is not None} - {"repeat"}
    assert set(found.names) <= present
