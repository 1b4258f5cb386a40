"""Field names of every convention, and what a message holds."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest.decode import OWN_NAMES, decode_events
from app.ingest.mapping import map_record
from detectors.event import Event

NOW = 1_795_435_200_000
SSHD = "Failed password for root from 203.0.113.9 port 22 ssh2"
FAILED = Event(
    client_ip="203.0.113.9", user="root", message=SSHD, outcome="failure", category="authentication"
)
CLF_LINE = '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "GET /a HTTP/1.1" 401 12 "-" "x"'


def mapped(record: dict[str, Any]) -> Event:
    return map_record(record, NOW)


CONVENTIONS: dict[str, tuple[dict[str, Any], Event]] = {
    "ecs nested": (
        {
            "@timestamp": "2026-11-23T10:00:00Z",
            "client": {"ip": "203.0.113.9"},
            "source": {"ip": "10.0.0.1"},
            "http": {
                "request": {"method": "GET", "referrer": "r", "id": "q"},
                "response": {"status_code": 401},
            },
            "url": {"path": "/a", "query": "b=c", "domain": "e.example"},
            "user_agent": {"original": "x"},
            "user": {"name": "anna"},
            "host": {"name": "web-1"},
            "event": {"duration": 2_500_000, "outcome": "failure"},
        },
        Event(
            "2026-11-23T10:00:00Z",
            "203.0.113.9",
            "GET",
            "/a",
            "b=c",
            401,
            "x",
            "anna",
            host="e.example",
            duration_ms=2.5,
            outcome="failure",
            request_id="q",
            referer="r",
        ),
    ),
    "ecs flat": (
        {
            "source.ip": "203.0.113.9",
            "http.response.status_code": 401,
            "url.original": "https://e.example/a?b",
        },
        Event(client_ip="203.0.113.9", status=401, path="/a?b"),
    ),
    "ecs half nested": ({"http": {"response.status_code": "401"}}, Event(status=401)),
    "ecs authentication": (
        {"event": {"category": ["authentication"], "outcome": "failure"}, "source": {"ip": "203.0.113.9"}},
        Event(client_ip="203.0.113.9", category="authentication", outcome="failure"),
    ),
    "ecs denied": (
        {"event": {"category": "authentication", "type": ["denied"]}},
        Event(category="authentication", outcome="failure"),
    ),
    "ecs web": ({"event": {"category": ["web"], "outcome": "success"}}, Event(outcome="success")),
    "otel new": (
        {
            "timeUnixNano": "1795428001123000000",
            "body": "hello",
            "attributes": {
                "client.address": "203.0.113.9",
                "http.request.method": "GET",
                "url.path": "/a",
                "http.response.status_code": 401,
                "user_agent.original": "x",
            },
            "resource": {"attributes": {"host.name": "web-1"}},
        },
        Event(
            "1795428001123000000", "203.0.113.9", "GET", "/a", None, 401, "x", host="web-1", message="hello"
        ),
    ),
    "otel old": (
        {
            "http.method": "GET",
            "http.target": "/a?b",
            "http.status_code": 401,
            "net.sock.peer.addr": "203.0.113.9",
        },
        Event(client_ip="203.0.113.9", method="GET", path="/a?b", status=401),
    ),
    "otel observed": ({"timeUnixNano": 0, "observedTimeUnixNano": 5}, Event(5)),
    "a request's body is not the request": (
        {"client_ip": "198.51.100.1", "status": 200, "body": {"client_ip": "203.0.113.9", "status": 401}},
        Event(client_ip="198.51.100.1", status=200),
    ),
    "nginx": (
        {
            "time_local": "23/Nov/2026:10:00:03 +0000",
            "remote_addr": "203.0.113.9",
            "remote_user": "-",
            "request": "GET /a?b=c HTTP/1.1",
            "status": "401",
            "body_bytes_sent": "12",
            "http_referer": "",
            "http_user_agent": "x",
            "http_x_forwarded_for": "198.51.100.1",
            "request_time": "0.250",
            "server_name": "e.example",
        },
        Event(
            "23/Nov/2026:10:00:03 +0000",
            "203.0.113.9",
            "GET",
            "/a?b=c",
            None,
            401,
            "x",
            None,
            None,
            "e.example",
            12,
            250.0,
            forwarded_for="198.51.100.1",
        ),
    ),
    "pino-http": (
        {
            "level": 30,
            "time": 1795428001123,
            "msg": "request completed",
            "responseTime": 3,
            "req": {
                "method": "GET",
                "url": "/a?b",
                "headers": {"user-agent": "x"},
                "remoteAddress": "::ffff:203.0.113.9",
            },
            "res": {"statusCode": 401},
        },
        Event(
            1795428001123,
            "::ffff:203.0.113.9",
            "GET",
            "/a?b",
            None,
            401,
            "x",
            duration_ms=3.0,
            message="request completed",
        ),
    ),
    "caddy": (
        {
            "ts": 1795428001.5,
            "status": 401,
            "request": {
                "client_ip": "203.0.113.9",
                "remote_ip": "10.0.0.1",
                "method": "GET",
                "uri": "/a?b",
                "host": "e.example",
                "headers": {"User-Agent": ["x"], "X-Forwarded-For": ["198.51.100.1", "10.0.0.2"]},
            },
        },
        Event(
            1795428001.5,
            "203.0.113.9",
            "GET",
            "/a?b",
            None,
            401,
            "x",
            host="e.example",
            forwarded_for="198.51.100.1, 10.0.0.2",
        ),
    ),
    "generic": (
        {
            "EventTime": "t",
            "clientIP": "203.0.113.9",
            "StatusCode": "401",
            "userName": "anna",
            "Msg": "m",
            "apiKeyId": "k",
        },
        Event("t", "203.0.113.9", status=401, user="anna", message="m", api_key_id="k"),
    ),
    "own names win": ({"ip": "10.0.0.1", "client_ip": "203.0.113.9"}, Event(client_ip="203.0.113.9")),
    "an empty own name gives way": ({"user": "", "username": "anna"}, Event(user="anna")),
    "an unreadable value gives way": ({"status": "error", "code": 401}, Event(status=401)),
    "x_forwarded_for": ({"x_forwarded_for": "203.0.113.9"}, Event(forwarded_for="203.0.113.9")),
    "unknown names": ({"foo": 1, "bar": {"status": 401}, "": 2, "kubernetes": {"host": "n"}}, Event()),
    "filebeat counts an attempt once": (
        {
            "system": {"auth": {"ssh": {"event": "Invalid"}}},
            "event": {"category": ["authentication"], "outcome": "failure"},
        },
        Event(category="authentication"),
    ),
}


@pytest.mark.parametrize(("record", "event"), CONVENTIONS.values(), ids=CONVENTIONS)
def test_a_convention_is_understood(record: dict[str, Any], event: Event) -> None:
    assert mapped(record) == event


@pytest.mark.parametrize(
    ("given_status", "status"),
    [
        (401, 401),
        ("401", 401),
        (401.0, 401),
        (99, None),
        (600, None),
        (0, None),
        (-1, None),
        ("-", None),
        ("4e2", None),
        (True, None),
        ([401], None),
        (2**70, None),
        ("٤٠١", None),
        (100, 100),
        (599, 599),
        (401.5, None),
    ],
)
def test_a_status_is_a_status_or_none(given_status: object, status: int | None) -> None:
    assert mapped({"status": given_status}).status == status


@pytest.mark.parametrize(
    ("record", "event"),
    [
        ({"outcome": "FAILURE"}, Event(outcome="failure")),
        ({"outcome": "failed"}, Event(outcome="failure")),
        ({"outcome": "Succeeded"}, Event(outcome="success")),
        ({"outcome": "perhaps"}, Event()),
        ({"outcome": 1}, Event()),
        ({"user": 42}, Event(user="42")),
        ({"user": True}, Event()),
        ({"user": ["a"]}, Event(user="a")),
        ({"user": [["a"]]}, Event()),
        ({"duration_ms": "nan"}, Event()),
        ({"duration_ms": 10**400}, Event()),
        ({"bytes": 2**70}, Event()),
        ({"bytes": -1}, Event()),
        ({"bytes": "12"}, Event(bytes=12)),
        ({"timestamp": True, "time": "t"}, Event("t")),
        ({"timestamp": None, "time": 5}, Event(5)),
        ({"repeat": 5000}, Event(repeat=1)),
        ({"client_ip": ["192.0.2.1", "203.0.113.9"]}, Event(client_ip="192.0.2.1, 203.0.113.9")),
        ({"repeat": -5}, Event()),
        ({"category": "network"}, Event()),
        ({"url": "https://e.example"}, Event(path="/")),
    ],
)
def test_values_come_to_their_types_or_to_none(record: dict[str, Any], event: Event) -> None:
    assert mapped(record) == event


MESSAGES: list[tuple[dict[str, Any], Event]] = [
    ({"log": '{"client_ip":"203.0.113.9","status":401}\n'}, Event(client_ip="203.0.113.9", status=401)),
    (
        {"time": "outer", "host": "web-1", "message": '{"time":"inner","host":"e.example","status":401}'},
        Event("inner", host="web-1", status=401),
    ),
    ({"time": "outer", "event": '{"status":401}'}, Event("outer", status=401)),
    ({"log": msgspec.json.encode({"message": '{"status":401}'}).decode()}, Event(status=401)),
    (
        {"date": 5.0, "log": CLF_LINE},
        Event("23/Nov/2026:10:00:03 +0000", "203.0.113.9", "GET", "/a", None, 401, "x", bytes=12),
    ),
    ({"MESSAGE": SSHD}, Event(message=SSHD)),
    (
        {"body": '{"client_ip":"203.0.113.9","status":401}'},
        Event(message='{"client_ip":"203.0.113.9","status":401}'),
    ),
    (
        {"client_ip": "198.51.100.1", "status": 401, "message": '{"client_ip":"203.0.113.9","status":200}'},
        Event(client_ip="198.51.100.1", status=401, message='{"client_ip":"203.0.113.9","status":200}'),
    ),
    (
        {"process": {"name": "app"}, "message": '203.0.113.9 - - [x] "GET / HTTP/1.1" 401 5'},
        Event(message='203.0.113.9 - - [x] "GET / HTTP/1.1" 401 5'),
    ),
    ({"MESSAGE": SSHD, "SYSLOG_IDENTIFIER": "sshd"}, FAILED),
    ({"MESSAGE": SSHD, "SYSLOG_IDENTIFIER": "app"}, Event(message=SSHD)),
    ({"message": SSHD, "client_ip": "10.0.0.1"}, Event(client_ip="10.0.0.1", message=SSHD)),
    ({"message": "{broken"}, Event(message="{broken")),
    ({"message": ""}, Event(message="")),
]


@pytest.mark.parametrize(("record", "event"), MESSAGES)
def test_what_a_message_holds_is_the_event(record: dict[str, Any], event: Event) -> None:
    assert mapped(record) == event


def test_a_syslog_line_in_a_message_keeps_its_own_time() -> None:
    event = mapped({"@timestamp": "2026-11-23T11:00:00Z", "message": f"Nov 23 10:00:01 h sshd[1]: {SSHD}"})
    assert (event.timestamp, event.repeat, event.outcome) == (1_795_428_001_000, 1, "failure")


def test_messages_in_messages_end() -> None:
    text = '{"status":401}'
    for _ in range(6):
        text = msgspec.json.encode({"message": text}).decode()
    assert mapped({"message": text}).status is None


@pytest.mark.parametrize("name", ["attributes", "resource"])
def test_attributes_of_a_product_are_not_those_of_the_request(name: str) -> None:
    record = {"level": "info", name: {"ip": "198.51.100.7", "status": 401}, "action": "created"}
    assert mapped(record) == Event()
    assert mapped(record | {"severity_text": "INFO"}) == Event(client_ip="198.51.100.7", status=401)


def test_deep_wrappers_end() -> None:
    record: dict[str, Any] = {"status": 401}
    for _ in range(900):
        record = {"attributes": record, "severity_text": "INFO"}
    assert mapped(record) == Event()


texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            "-",
            "203.0.113.9",
            SSHD,
            '{"status":403,"user":"u"}',
            CLF_LINE,
            "{",
            " {}",
            "https://e.example/a",
        ]
    ),
)
integers = st.one_of(st.integers(-5, 700), st.integers(-(2**70), 2**70))
own_records = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": st.one_of(texts, integers, st.floats(allow_nan=False, allow_infinity=False)),
        "status": st.none() | integers,
        "bytes": integers,
        "duration_ms": st.one_of(integers, st.floats(allow_nan=False, allow_infinity=False)),
        "outcome": st.sampled_from(["success", "failure", "unknown", None]),
        "category": st.sampled_from(["authentication", "web", "health_check", None]),
        "repeat": integers,
        **{
            name: st.none() | texts
            for name in (
                "client_ip",
                "method",
                "path",
                "query",
                "user_agent",
                "user",
                "api_key_id",
                "host",
                "message",
                "request_id",
                "forwarded_for",
                "referer",
            )
        },
    },
)


@settings(max_examples=300, deadline=None)
@given(own_records)
def test_the_fast_path_and_the_field_map_agree(record: dict[str, Any]) -> None:
    body = msgspec.json.encode(record)
    OWN_NAMES.decode(body)
    assert decode_events(body, NOW).events == [mapped(msgspec.json.decode(body))]


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(
                    [
                        "client_ip",
                        "user",
                        "user.name",
                        "name",
                        "http",
                        "request",
                        "response",
                        "status",
                        "event",
                        "category",
                        "type",
                        "message",
                        "log",
                        "attributes",
                        "body",
                        "headers",
                        "timestamp",
                        "system",
                        "x-forwarded-for",
                        "repeat",
                        "url",
                        "outcome",
                        "bytes",
                        "duration_ms",
                        "MESSAGE",
                        "host",
                    ]
                ),
                st.text(max_size=5),
            ),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*CONVENTIONS["pino-http"][0], "user", "status", "event", "http", "log"]),
        anything,
    )
)
def test_no_record_makes_the_field_map_fail(record: dict[str, Any]) -> None:
    event = mapped(record)
    assert event.status is None or 100 <= event.status <= 599
    assert 1 <= event.repeat <= 1000
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event
