"""OTLP/HTTP logs as OpenTelemetry's senders speak them, and as Fluent Bit and Vector do."""

import gzip
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from app.auth import TokenTable
from app.ingest import routes, taking
from app.ingest.body import BodyTooLarge
from app.ingest.field_names import ALIASES, OWN
from app.ingest.formats.catalogue import FIRST_KEYS
from app.ingest.mapping import map_record
from app.ingest.path_key import PathKey
from app.ingest.shippers import otlp_records
from app.ingest.shippers.otlp_json import read_json
from app.ingest.shippers.otlp_protobuf import read_protobuf
from app.metrics import Metrics
from app.problems import install_problem_handlers
from app.settings import Settings
from detectors.errors import DecodeError
from tests.ingest.shippers.otlp_requests import (
    export,
    json_export,
    json_record,
    log_record,
    pair,
    part,
    varint,
)
from tests.ingest.test_ingest_routes import NOW, Engine

TOKEN = "ingest-token-for-tests-0123456789"
UNHEARD = SimpleNamespace(note=lambda *_, **__: None, note_refused=lambda *_, **__: None)
"""The sources have their own tests."""
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
AT = 1_795_428_001_123_456_789
TRACE = bytes(range(16))
LOGIN = {
    "http.request.method": "POST",
    "url.path": "/login",
    "http.response.status_code": 401,
    "client.address": "203.0.113.9",
    "user_agent.original": "curl/8",
    "user.name": "root",
}
RESOURCE = {"service.name": "shop", "host.name": "web-1", "telemetry.sdk.language": "python"}


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    made = FastAPI()
    made.add_middleware(PathKey)
    install_problem_handlers(made)
    made.include_router(routes.router)
    tokens = TokenTable(Settings(ingest_token=TOKEN, viewer_token="viewer" + TOKEN))
    made.state.world = SimpleNamespace(
        engine=engine, tokens=tokens, now=lambda: NOW, metrics=Metrics(), sources=UNHEARD
    )
    return made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers) as made:
        yield made


def python_sdk(count: int = 2) -> bytes:
    """What OpenTelemetry's Python exporter puts on the wire."""
    return export(
        [
            log_record(
                LOGIN, "login failed", time_ns=AT + n, observed_ns=AT + n + 9, severity="WARN", trace_id=TRACE
            )
            for n in range(count)
        ],
        RESOURCE,
    )


def check_login(event: Any) -> None:
    assert (event.method, event.path, event.status) == ("POST", "/login", 401)
    assert (event.client_ip, event.user, event.user_agent) == ("203.0.113.9", "root", "curl/8")


async def test_protobuf_is_counted_and_answered_with_nothing(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    headers = {**PROTOBUF, "Content-Encoding": "gzip", "User-Agent": "OTel-OTLP-Exporter-Python/1.45.0"}
    answer = await client.post("/v1/logs", content=gzip.compress(python_sdk()), headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    [batch] = engine.batches
    assert len(batch.events) == 2
    for number, event in enumerate(batch.events):
        check_login(event)
        assert (event.timestamp, event.host, event.message) == (AT + number, "web-1", "login failed")
        assert event.request_id == TRACE.hex()


async def test_json_is_counted_and_answered_with_an_empty_object(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    """OpenTelemetry's JavaScript: chunked, integers as numbers."""
    record = json_record(
        LOGIN, "login failed", timeUnixNano=str(AT), severityText="WARN", traceId=TRACE.hex()
    )
    record["attributes"][2]["value"] = {"intValue": 401}
    body = json.dumps(json_export([record], RESOURCE)).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    answer = await client.post("/v1/logs", content=pieces(), headers=JSON)
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert answer.headers["content-type"] == "application/json"
    [event] = engine.batches[0].events
    check_login(event)
    assert (event.timestamp, event.host, event.request_id) == (AT, "web-1", TRACE.hex())


@pytest.mark.parametrize("path", ["/v1/logs", "/otlp/v1/logs", f"/k/{TOKEN}/v1/logs"])
async def test_it_is_served_where_senders_look(client: httpx.AsyncClient, engine: Engine, path: str) -> None:
    if path.startswith("/k/"):
        client.headers.pop("Authorization")
    assert (await client.post(path, content=python_sdk(), headers=PROTOBUF)).status_code == 200
    assert len(engine.batches) == 1


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", PROTOBUF),
        (b"", JSON),
        (b"{}", JSON),
        (b'{"resourceLogs":[]}', JSON),
        (export([]), PROTOBUF),
        (b"", {}),
    ],
    ids=["nothing", "nothing as JSON", "an empty object", "no resources", "no records", "no type"],
)
async def test_an_empty_request_is_a_success(
    client: httpx.AsyncClient, engine: Engine, content: bytes, headers: dict[str, str]
) -> None:
    answer = await client.post("/v1/logs", content=content, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"{}" if headers is JSON else b"")
    assert engine.batches == []


async def test_a_damaged_record_is_told_as_a_partial_success(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    good, damaged = log_record(LOGIN), b"\x2a\x7fshort"
    answer = await client.post("/v1/logs", content=export([good, damaged, good]), headers=PROTOBUF)
    assert answer.status_code == 200
    assert answer.content == part(1, b"\x08\x01" + part(2, b"the log record is damaged"))
    assert len(engine.batches[0].events) == 2


async def test_a_record_that_is_too_long_is_told_as_a_partial_success(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    long = json_record({"url.path": "/" + "x" * (4 * 1024 * 1024)})
    answer = await client.post("/v1/logs", json=json_export([json_record(LOGIN), long]))
    assert answer.json() == {
        "partialSuccess": {
            "rejectedLogRecords": "1",
            "errorMessage": "the record is longer than 4194304 bytes",
        }
    }
    check_login(engine.batches[0].events[0])


async def test_a_long_record_is_taken_with_its_texts_cut(client: httpx.AsyncClient, engine: Engine) -> None:
    long = {**LOGIN, "url.path": "/" + "x" * (2 * 1024 * 1024)}
    await client.post("/v1/logs", content=export([log_record(long), log_record(LOGIN)]), headers=PROTOBUF)
    first, second = engine.batches[0].events
    assert (len(first.path or ""), first.status) == (65_536, 401)
    check_login(second)


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (python_sdk()[:-9], PROTOBUF),
        (b"POST /login", PROTOBUF),
        (b"{", JSON),
        (b'{"logs":[]}', JSON),
        (b"[1]", JSON),
        (b"7", JSON),
    ],
    ids=["cut short", "text", "broken", "another protocol", "no requests", "a number"],
)
async def test_what_is_no_request_is_400_with_a_status(
    client: httpx.AsyncClient, engine: Engine, content: bytes, headers: dict[str, str]
) -> None:
    answer = await client.post("/v1/logs", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == headers["Content-Type"]
    if headers is JSON:
        assert answer.json()["code"] == 3
        assert answer.json()["message"]
    else:
        assert answer.content.startswith(b"\x08\x03\x12")
    assert engine.batches == []


async def test_refusals_are_a_status_in_the_type_of_the_request(
    client: httpx.AsyncClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for token, status, code in (("wrong", 401, 16), ("viewer" + TOKEN, 403, 7)):
        headers = {"Authorization": f"Bearer {token}"}
        answer = await client.post("/v1/logs", content=python_sdk(), headers={**PROTOBUF, **headers})
        assert (answer.status_code, answer.content[:2]) == (status, bytes([8, code]))
        answer = await client.post("/v1/logs", content=b"{}", headers={**JSON, **headers})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    engine.is_away = True
    answer = await client.post("/v1/logs", content=python_sdk(), headers=PROTOBUF)
    assert (answer.status_code, answer.content[:2]) == (503, b"\x08\x0e")
    assert int(answer.headers["retry-after"]) >= 1
    monkeypatch.setattr(taking, "WIRE_LIMIT_BYTES", 10)
    assert (await client.post("/v1/logs", content=python_sdk(), headers=PROTOBUF)).status_code == 413


async def test_the_same_request_again_counts_once(client: httpx.AsyncClient, engine: Engine) -> None:
    for body in (python_sdk(), gzip.compress(python_sdk()), python_sdk(3)):
        assert (await client.post("/v1/logs", content=body, headers=PROTOBUF)).status_code == 200
    assert [batch.mark == engine.batches[0].mark for batch in engine.batches] == [True, True, False]


async def test_a_single_record_is_known_again_by_a_time_finer_than_a_second(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    for time_ns in (AT, AT // 10**9 * 10**9, 0):
        content = export([log_record(LOGIN, time_ns=time_ns)])
        await client.post("/v1/logs", content=content, headers=PROTOBUF)
    assert [batch.mark is not None for batch in engine.batches] == [True, False, False]


def test_bad_utf8_costs_nothing_but_itself() -> None:
    """Fluent Bit sends it as it found it; protobuf's generated classes refuse the whole request."""
    bad = {**LOGIN, "user_agent.original": "\udcff\udcfe", "user.name": "r\udc80t"}
    event = read_protobuf(export([log_record(bad, "caf\udce9")]), NOW).events[0]
    assert (event.user_agent, event.user, event.message) == ("\ufffd\ufffd", "r\ufffdt", "caf\ufffd")
    assert event.client_ip == "203.0.113.9"
    body = json.dumps(json_export([json_record(LOGIN)])).encode().replace(b"curl/8", b"\xff\xfe")
    event = read_json(body, NOW).events[0]
    assert (event.user_agent, event.client_ip) == ("\ufffd\ufffd", "203.0.113.9")
    body = json.dumps(json_export([json_record(LOGIN)])).encode().replace(b"curl/8", rb"\ud800")
    assert read_json(body, NOW).events[0].user_agent == "\ufffd"


def test_a_body_that_is_a_map_is_a_record() -> None:
    """Fluent Bit puts all of a record there, and sends neither attributes nor a resource."""
    line = {
        "log": '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "POST /login HTTP/1.1" 401 1',
        "stream": "stdout",
    }
    nginx = {"remote_addr": "203.0.113.9", "status": "401", "request": "POST /login HTTP/1.1"}
    nested = {"message": {"client_ip": "203.0.113.9", "status": 401, "method": "POST", "path": "/login"}}
    for body in (line, nginx, nested):
        for read, request in (
            (read_protobuf, export([log_record(body=body, time_ns=AT)])),
            (read_json, json.dumps(json_export([json_record(body=body)])).encode()),
        ):
            event = read(request, NOW).events[0]
            assert (event.client_ip, event.status) == ("203.0.113.9", 401)
            assert (event.method, event.path) == ("POST", "/login")


def test_a_line_in_the_body_is_read_and_the_resource_says_whose_it_is() -> None:
    line = '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "POST /login HTTP/1.1" 401 1'
    event = read_protobuf(export([log_record(body=line, observed_ns=AT)], RESOURCE), NOW).events[0]
    assert (event.client_ip, event.status, event.host) == ("203.0.113.9", 401, "web-1")
    assert event.timestamp == "23/Nov/2026:10:00:03 +0000"
    said = '{"client_ip":"203.0.113.9","status":401,"host":"forged"}'
    event = read_protobuf(export([log_record(body=said)] * 9, RESOURCE), NOW).events[8]
    assert (event.client_ip, event.host) == ("203.0.113.9", "web-1")


def test_a_body_may_not_speak_for_another_address_than_the_attributes_do() -> None:
    forged = '{"client_ip":"198.51.100.1","status":401}'
    for count in (1, 9):
        events = read_protobuf(export([log_record(LOGIN, forged)] * count), NOW).events
        assert {event.client_ip for event in events} == {"203.0.113.9"}


def test_a_map_in_the_body_may_not_either() -> None:
    """It may be what the client sent."""
    forged = {"client_ip": "198.51.100.1", "status": 200, "user": "somebody"}
    for count in (1, 9):
        for read, request in (
            (read_protobuf, export([log_record(LOGIN, forged)] * count)),
            (read_json, json.dumps(json_export([json_record(LOGIN, forged)] * count)).encode()),
        ):
            decoded = read(request, NOW)
            assert {(event.client_ip, event.status) for event in decoded.events} == {("203.0.113.9", 401)}
            assert all(b"198.51.100.1" in record for record in decoded.records), "it is searched all the same"


@pytest.mark.parametrize(
    ("resource", "host"),
    [
        ({"host.name": "web-1", "service.name": "shop"}, "web-1"),
        ({"service.name": "shop"}, "shop"),
        ({"service.name": "unknown_service:node"}, None),
        ({}, None),
    ],
    ids=["machine", "service", "unnamed service", "nothing"],
)
def test_the_host_is_the_machine_else_the_service(resource: dict[str, str], host: str | None) -> None:
    assert read_protobuf(export([log_record(LOGIN)], resource), NOW).events[0].host == host
    assert (
        read_json(json.dumps(json_export([json_record(LOGIN)], resource)).encode(), NOW).events[0].host
        == host
    )
    at_site = {**LOGIN, "server.address": "shop.example"}
    assert read_protobuf(export([log_record(at_site)], resource), NOW).events[0].host == "shop.example"


def test_the_time_is_that_of_the_record_and_the_collectors_only_where_there_is_no_other() -> None:
    read = [
        (log_record(time_ns=AT, observed_ns=AT + 5), AT),
        (log_record(observed_ns=AT), AT),
        (log_record({"time": "2026-11-23T10:00:03Z"}, observed_ns=AT), "2026-11-23T10:00:03Z"),
        (log_record({"created": "2020-01-01T00:00:00Z"}, time_ns=AT), AT),
        (log_record(LOGIN), None),
    ]
    for count in (1, 9):
        for record, time in read:
            assert read_protobuf(export([record] * count), NOW).events[-1].timestamp == time


def test_the_record_that_is_kept_is_the_object_that_was_read() -> None:
    decoded = read_protobuf(python_sdk(5), NOW)
    for event, record in zip(decoded.events, decoded.records, strict=True):
        assert map_record(msgspec.json.decode(record), NOW) == event
    assert msgspec.json.decode(decoded.records[0])["severityText"] == "WARN"


def test_an_array_of_requests_is_read_one_after_the_other() -> None:
    """Vector's batches; vectordotdev/vector issue 22054."""
    requests = [json_export([json_record(LOGIN)]), {}, json_export([json_record(LOGIN, "x")] * 2)]
    assert len(read_json(json.dumps(requests).encode(), NOW).events) == 3


DEEP = '{"arrayValue":{"values":[' * 1500 + "{}" + "]}}" * 1500


@pytest.mark.parametrize(
    "value", [DEEP, '{"doubleValue":NaN}', '{"doubleValue":-Infinity}', '{"doubleValue":1e999}'],
    ids=["deep", "nan", "infinity", "out of range"],
)  # fmt: skip
def test_what_no_json_decoder_takes_costs_no_other_record(value: str) -> None:
    """An application logs what a client sent; its SDK exports that with 511 records of others."""
    body = json.dumps(
        json_export([json_record(LOGIN), json_record({**LOGIN, "form": "X"}), json_record(LOGIN)])
    )
    decoded = read_json(body.replace('{"stringValue": "X"}', value).encode(), NOW)
    assert len(decoded.events) == 3
    assert len({(event.client_ip, event.status) for event in decoded.events}) == 1


def test_json_in_the_protocols_own_spelling_and_with_wrong_types_beside_is_read() -> None:
    record = {
        "time_unix_nano": AT,
        "severity_text": 7,
        "attributes": [{"key": "user.name", "value": {"string_value": "anna"}}, 5, {"key": 1}],
        "body": {
            "kvlist_value": {
                "values": [
                    {"key": "status", "value": {"int_value": "401"}},
                    {"key": "client.address", "value": {"string_value": "203.0.113.9"}},
                ]
            }
        },
    }
    body = {"resource_logs": [{"scope_logs": [{"log_records": [record, None]}]}, "x"]}
    [event] = read_json(json.dumps(body).encode(), NOW).events
    assert (event.client_ip, event.status, event.timestamp) == ("203.0.113.9", 401, AT)
    assert event.user == "anna"


def test_values_of_every_kind_are_read() -> None:
    attributes = {
        "user.id": -5, "bytes": 2**63 - 1, "duration_ms": 1.5, "a": True, "b": [1, "x", None], "c": {"d": [{}]},
        "http.request.header.user-agent": ["curl/8"], "long": "x" * 300, "e": None, "f": "",
    }  # fmt: skip
    for count in (1, 9):
        for read, body in (
            (read_protobuf, export([log_record(attributes)] * count)),
            (read_json, json.dumps(json_export([json_record(attributes)] * count)).encode()),
        ):
            decoded = read(body, NOW)
            event = decoded.events[-1]
            assert (event.user, event.bytes, event.duration_ms) == ("-5", 2**63 - 1, 1.5)
            assert event.user_agent == "curl/8"
            kept = msgspec.json.decode(decoded.records[-1])
            assert (kept["a"], kept["b"], kept["c"]) == (True, [1, "x", None], {"d": [{}]})
            assert (kept["long"], kept["f"], "e" in kept) == ("x" * 300, "", False)


def test_bytes_are_text() -> None:
    assert read_protobuf(export([log_record(body=b"caf\xe9")]), NOW).events[0].message == "caf\ufffd"
    record = {"body": {"bytesValue": "Y2Fm6Q=="}}
    assert read_json(json.dumps(json_export([record])).encode(), NOW).events[0].message == "caf\ufffd"


@pytest.mark.parametrize("levels", [5, 40, 120, 5000])
def test_values_nested_however_deep_sink_nothing(levels: int) -> None:
    value = part(1, b"x")
    for _ in range(levels):
        value = part(5, part(1, value))
    record = part(6, part(1, b"deep") + part(2, value))
    decoded = read_protobuf(export([log_record(LOGIN) + record, log_record(LOGIN)]), NOW)
    assert [event.status for event in decoded.events] == [401, 401]
    text = b'{"arrayValue":{"values":[' * levels + b'{"stringValue":"x"}' + b"]}}" * levels
    body = json.dumps(json_export([json_record({"deep": 0}), json_record(LOGIN)])).encode()
    try:
        events = read_json(body.replace(b'{"intValue": "0"}', text), NOW).events
    except DecodeError:
        assert levels == 5000
    else:
        assert events[1].status == 401


def test_more_than_a_million_records_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_records, "RECORDS_LIMIT", 3)
    read_protobuf(python_sdk(3), NOW)
    with pytest.raises(BodyTooLarge):
        read_protobuf(python_sdk(4), NOW)


names = st.sampled_from(
    [
        *OWN,
        *(name for each in ALIASES.values() for name in each),
        "other",
        "body",
        "http",
        *sorted(FIRST_KEYS),
    ]
)
texts = st.sampled_from(
    ["", "-", "203.0.113.9", "401", "failure", "/a?b", "https://x.example/a", "GET / HTTP/1.1"]
)
scalars = (
    texts | st.integers(-1, 2**63 - 1) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
)
values: SearchStrategy[Any] = (
    scalars | st.lists(texts, max_size=2) | st.dictionaries(names, scalars, max_size=2)
)
records = st.dictionaries(names, values, max_size=6)


@settings(deadline=None)
@given(st.lists(records, min_size=1, max_size=3), st.integers(1, 6))
def test_records_read_by_the_column_are_what_the_field_map_makes_of_each(
    attributes: list[dict[str, Any]], times: int
) -> None:
    expected = [map_record(each, NOW) for each in attributes] * times
    assert read_protobuf(export([log_record(a) for a in attributes] * times), NOW).events == expected
    as_json = json_export([json_record(a) for a in attributes] * times)
    assert read_json(json.dumps(as_json).encode(), NOW).events == expected


@settings(deadline=None)
@given(st.lists(texts, min_size=5, max_size=9), st.lists(texts, min_size=5, max_size=9))
def test_of_two_names_for_one_field_each_record_gets_its_best(first: list[str], second: list[str]) -> None:
    rows = [
        {"source.ip": a, "client.ip": b, "ip": "192.0.2.1", "client_ip": a}
        for a, b in zip(first, second, strict=False)
    ]
    expected = [map_record(row, NOW) for row in rows]
    assert read_protobuf(export([log_record(row) for row in rows]), NOW).events == expected


@settings(deadline=None)
@given(st.data())
def test_no_bytes_whatever_raise_anything_but_what_is_promised(data: st.DataObject) -> None:
    as_json = json.dumps(json_export([json_record(LOGIN, "x")] * 5, RESOURCE)).encode()
    valid = data.draw(
        st.sampled_from([python_sdk(5), as_json, export([log_record(body={"a": {"b": [1]}})] * 5)])
    )
    at, length = data.draw(st.integers(0, len(valid))), data.draw(st.integers(0, 9))
    mutated = valid[:at] + data.draw(st.binary(max_size=9)) + valid[at + length :]
    for body in (mutated, data.draw(st.binary(max_size=200))):
        for read in (read_protobuf, read_json):
            try:
                decoded = read(body, NOW)
            except DecodeError:
                continue
            assert len(decoded.events) == len(decoded.records)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=30), min_size=5, max_size=9))
def test_attributes_of_any_bytes_sink_nothing(attributes: list[bytes]) -> None:
    record = log_record(LOGIN) + b"".join(part(6, each) for each in attributes)
    decoded = read_protobuf(export([record] * 5), NOW)
    assert len(decoded.events) == 5


def test_a_number_of_eleven_bytes_is_no_number_and_sinks_nothing() -> None:
    for size in (9, 10, 11, 60):
        value = b"\x18" + b"\xff" * size + b"\x01"
        record = log_record(LOGIN) + part(6, part(1, b"n") + part(2, value))
        decoded = read_protobuf(export([record] * 5), NOW)
        assert [event.status for event in decoded.events] == [401] * 5


def test_attributes_in_another_order_or_without_a_value_are_read() -> None:
    swapped = part(6, part(2, part(1, b"203.0.113.9")) + part(1, b"client.address"))
    bare = part(6, part(1, b"nothing"))
    long_key = part(6, pair("k" * 200, "v"))
    mixed = [
        log_record(LOGIN),
        swapped + bare + long_key,
        *([log_record({"client.address": "203.0.113.9"})] * 4),
    ]
    events = read_protobuf(export(mixed * 2), NOW).events
    assert {event.client_ip for event in events} == {"203.0.113.9"}
    assert varint(300) == b"\xac\x02"
