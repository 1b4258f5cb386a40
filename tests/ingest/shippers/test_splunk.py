"""Splunk's HTTP Event Collector as its senders use it."""

import contextlib
import gzip
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from app.ingest import taking
from app.ingest.decode import LONG_RECORD_BYTES, LONG_TEXT, RECORD_LIMIT_BYTES
from app.ingest.shippers import splunk
from app.ingest.shippers.shipper import Head
from app.settings import Settings
from detectors.errors import DecodeError
from detectors.event import Event
from tests.ingest.remembering import INGEST_TOKEN, NOW, VIEWER_TOKEN, Engine

EVENT = "/services/collector/event"
RAW = "/services/collector/raw"
TOKEN = {"Authorization": f"Splunk {INGEST_TOKEN}"}
LOGIN = {"client_ip": "203.0.113.9", "method": "POST", "path": "/api/login", "status": 401}
LINE = '203.0.113.9 - - [23/Nov/2026:10:00:01 +0000] "POST /api/login HTTP/1.1" 401 12 "-" "curl/8"'
FORGED = '198.51.100.1 - - [23/Nov/2026:10:00:03 +0000] "POST /login HTTP/1.1" 401 12 "-" "x"'

# What each sender puts on the wire, two events each.
SENT: dict[str, tuple[str, bytes, dict[str, str]]] = {
    # fluent-bit plugins/out_splunk/splunk.c: glued, no content type.
    "fluent-bit": (
        "/services/collector/event",
        b'{"time":1795428001.123,"host":"web-1","event":{"client_ip":"203.0.113.9","status":401,"path":"/api/login"}}'
        b'{"time":1795428001.5,"host":"web-1","event":{"client_ip":"203.0.113.9","status":401,"path":"/api/login"}}',
        {"User-Agent": "Fluent-Bit"},
    ),
    # The same under splunk_send_raw: records without an envelope, a line each.
    "fluent-bit that sends raw records": (
        "/services/collector/event",
        b'{"client_ip":"203.0.113.9","status":401,"path":"/api/login","host":"web-1","event":"login"}\n'
        b'{"client_ip":"203.0.113.9","status":401,"path":"/api/login","host":"web-1"}\n',
        {"User-Agent": "Fluent-Bit"},
    ),
    # splunk-logging 0.11.1 splunklogger.js: glued, the time as text, and it says that it is a form.
    "splunk-logging": (
        "/services/collector/event/1.0",
        b'{"host":"web-1","time":"1795428001.123","event":{"message":{"client_ip":"203.0.113.9","status":401,'
        b'"path":"/api/login"},"severity":"warn"}}{"host":"web-1","time":"1795428001.500","event":{"message":'
        b'"{\\"client_ip\\":\\"203.0.113.9\\",\\"status\\":401,\\"path\\":\\"/api/login\\"}","severity":"info"}}',
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
    # splunk_handler 3.0.0 __init__.py: glued json.dumps with sorted keys, the formatted record as text.
    "splunk_handler": (
        "/services/collector/event",
        b'{"event": "{\\"client_ip\\": \\"203.0.113.9\\", \\"status\\": 401, \\"path\\": \\"/api/login\\"}", '
        b'"host": "web-1", '
        b'"index": "main", "source": "/srv/app.py", "sourcetype": "text", "time": 1795428001.123}'
        b'{"event": "{\\"client_ip\\": \\"203.0.113.9\\", \\"status\\": 401, \\"path\\": \\"/api/login\\"}", '
        b'"host": "web-1", '
        b'"index": null, "source": "/srv/app.py", "sourcetype": "text", "time": 1795428001.5}',
        {},
    ),
    # moby daemon/logger/splunk/splunk.go, format inline and format json.
    "docker": (
        "/services/collector/event/1.0",
        b'{"event":{"line":"203.0.113.9 - - [23/Nov/2026:10:00:01 +0000] \\"POST /api/login HTTP/1.1\\" 401 1"'
        b',"source":"stdout","tag":"7f2d8e1c0a"},"time":"1795428001.123000","host":"web-1"}'
        b'{"event":{"line":{"client_ip":"203.0.113.9","status":401,"path":"/api/login"},"source":"stderr",'
        b'"tag":"7f2d8e1c0a","attrs":{"env":"prod"}},"time":"1795428001.500000","host":"web-1","sourcetype":"s"}',
        {"User-Agent": "Go-http-client/1.1"},
    ),
    # vector src/sinks/splunk_hec/logs/encoder.rs: glued, gzip, a channel.
    "vector": (
        "/services/collector/event",
        gzip.compress(
            b'{"event":{"client_ip":"203.0.113.9","message":"x","status":401,"path":"/api/login","source_type":"file"},'
            b'"fields":{"dc":"eu"},"time":1795428001.123,"host":"web-1","source":"file"}'
            b'{"event":"{\\"client_ip\\":\\"203.0.113.9\\",\\"status\\":401,\\"path\\":\\"/api/login\\"}","fields":{},'
            b'"time":1795428001.5,"host":"web-1"}',
            mtime=0,
        ),
        {"Content-Encoding": "gzip", "X-Splunk-Request-Channel": "0a5e2c7c-3b8c-4c0e-8a5b-2d1f1a3b4c5d"},
    ),
    # syslog-ng scl/splunk/splunk.conf: one object a message; two messages are batched with line ends.
    "syslog-ng": (
        "/services/collector/event",
        b'{"time":1795428001.123,"host":"web-1","source":"sshd","event":"{\\"client_ip\\":\\"203.0.113.9\\",\\"status\\":401,'
        b'\\"path\\":\\"/api/login\\"}"}\n{"time":1795428001.500,"host":"web-1","event":{"client_ip":"203.0.113.9",'
        b'"status":401,"path":"/api/login"}}',
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
    # open-telemetry/opentelemetry-collector-contrib #43941 asks for arrays; exporter/splunkhecexporter sends fields.
    "an array, with fields of OpenTelemetry": (
        "/services/collector",
        json.dumps(
            [
                {
                    "time": 1795428001.123,
                    "host": "web-1",
                    "event": "login failed",
                    "fields": {
                        "client.address": "203.0.113.9", "http.response.status_code": 401, "url.path": "/api/login",
                    },
                },
                {"time": 1795428001.5, "host": "web-1", "event": LOGIN},
            ]
        ).encode(),
        {"Content-Type": "application/json"},
    ),
}  # fmt: skip


def head(path: str = EVENT, **query: str) -> Head:
    return Head(path, query, {}, NOW)


def read(body: bytes) -> list[Event]:
    return splunk.EVENTS.read(body, head()).events


def event_of(event: Any, **envelope: Any) -> Event:
    """The event of one envelope."""
    [found] = read(json.dumps({"event": event} | envelope).encode())
    return found


@pytest.mark.parametrize("name", SENT)
async def test_what_a_sender_posts_is_counted(
    anybody: httpx.AsyncClient, engine: Engine, app: FastAPI, name: str
) -> None:
    path, body, headers = SENT[name]
    answer = await anybody.post(path, content=body, headers=headers | TOKEN)
    assert (answer.status_code, answer.content) == (200, b'{"text":"Success","code":0}')
    assert answer.headers["content-type"] == "application/json"
    assert len(engine.events) == 2
    for event in engine.events:
        assert (event.client_ip, event.status, event.path) == ("203.0.113.9", 401, "/api/login")
        assert event.host == "web-1"
        assert event.timestamp is not None or "raw" in name
    counted = app.state.world.metrics.registry.get_sample_value
    assert counted("bartizan_events_ingested_total", {"kind": "splunk"}) == 2


async def test_lines_are_counted_with_the_metadata_of_the_query(
    anybody: httpx.AsyncClient, engine: Engine
) -> None:
    body = f"{LINE}\r\n\r\n{json.dumps(LOGIN)}\n".encode()
    for path in (RAW, RAW + "/1.0"):
        query = "?channel=0a5e2c7c&host=web-1&time=1795428001.123&sourcetype=x"
        answer = await anybody.post(path + query, content=body, headers=TOKEN)
        assert answer.json() == {"text": "Success", "code": 0}
        assert [(e.client_ip, e.status, e.host) for e in engine.events] == [("203.0.113.9", 401, "web-1")] * 2
        assert [e.timestamp for e in engine.events] == ["23/Nov/2026:10:00:01 +0000", "1795428001.123"]


# What becomes of an event


def test_the_envelope_fills_gaps_and_names_the_host() -> None:
    event = event_of(
        LOGIN | {"host": "forged"}, host="web-1", time=7.5, fields={"user": "ann", "status": 200}
    )
    assert (event.host, event.timestamp, event.user, event.status) == ("web-1", 7.5, "ann", 401)
    assert event_of(LOGIN | {"timestamp": 8}, time=7.5).timestamp == 8
    assert (
        event_of(LOGIN, host="web-1", fields={"host": "h", "account": "prod", "agent": "x"}).host == "web-1"
    )
    assert event_of("x", fields={"account": "prod", "agent": "x", "ip": "192.0.2.1"}) == Event(message="x")


def test_what_fields_say_of_the_client_is_not_contradicted_by_text() -> None:
    said = {"client_ip": "203.0.113.9"}
    for event in (
        FORGED,
        {"message": FORGED},
        {"line": FORGED, "source": "stdout"},
        json.dumps({"log": FORGED, "x": 1}),
    ):
        assert event_of(event, fields=said).client_ip == "203.0.113.9"
        assert event_of(event, fields=said).status is None


def test_a_record_with_a_field_of_the_name_event_is_no_envelope() -> None:
    [event] = read(b'{"event":"198.51.100.1 logged in","client_ip":"203.0.113.9","status":401}')
    assert (event.client_ip, event.message) == ("203.0.113.9", "198.51.100.1 logged in")
    [event] = read(json.dumps({"event": LOGIN, "linecount": 1, "host": 7, "time": [], "fields": []}).encode())
    assert (event.client_ip, event.host, event.timestamp) == ("203.0.113.9", None, None)


@pytest.mark.parametrize(
    "text", ["}{", '}{"', '}{"event":"', "a}{b", '"}{"', "\\}{", '}{"event":"x"}{"event":"'], ids=repr
)
def test_text_that_looks_like_glue_cuts_nothing(text: str) -> None:
    events = [{"event": LOGIN | {"user_agent": text}}, {"event": text + text}, {"event": {"message": text}}]
    for glue in ("", "\n", " "):
        decoded = splunk.EVENTS.read(glue.join(map(json.dumps, events * 2)).encode(), head())
        assert decoded.rejected == []
        found = [event.user_agent or event.message for event in decoded.events]
        assert found == [text, text + text, text] * 2


def test_a_bad_event_costs_no_other() -> None:
    good = json.dumps({"event": LOGIN})
    bad = [
        "{",
        '{"event":NaN}',
        '{"event":}',
        "7",
        '"x"',
        '{"event":""}',
        '{"event":null}',
        '{"event":{}}',
        '{"event":" "}',
    ]
    for each in bad:
        for glue in ("\n", "") if each.startswith("{") and each != "{" else ("\n",):
            decoded = splunk.EVENTS.read(glue.join((good, each, good)).encode(), head())
            assert [event.client_ip for event in decoded.events].count("203.0.113.9") == 2
            assert len(decoded.rejected) <= 1
    decoded = splunk.EVENTS.read(f'[{good},7,{{"event":1e999}},{good}]'.encode(), head())
    assert [one.index for one in decoded.rejected] == [1]


@pytest.mark.parametrize("event", [7, True, [1], 1.5], ids=repr)
def test_an_event_of_another_type_is_kept_as_text(event: Any) -> None:
    assert event_of(event).message == json.dumps(event)


def test_bytes_and_escapes_that_are_no_text_cost_nothing() -> None:
    as_text = json.dumps({"event": json.dumps(LOGIN), "host": "web-1"}).encode()
    as_object = json.dumps({"event": LOGIN}).encode()
    for bad in (b"\\ud800", b"\xff", b"\x01", b"\\x22"):
        bodies = [as_object] if bad == b"\\x22" else [as_object, as_text]
        for body in (each.replace(b"/login", b"/login" + bad) for each in bodies):
            for event in read(body * 2):
                assert (event.client_ip, event.status) == ("203.0.113.9", 401)
                assert (event.path or "").startswith("/api/login")


def test_numbers_of_any_size_do_no_harm() -> None:
    big = "9" * 400
    [event] = read(
        f'{{"event":{{"client_ip":"203.0.113.9","n":{big}}},"time":{big},"fields":{{"n":{big}}},"x":{big}}}'.encode()
    )
    assert event.client_ip == "203.0.113.9"


def test_nesting_of_any_depth_does_no_harm() -> None:
    deep = '{"a":' * 50_000 + "1" + "}" * 50_000
    good = json.dumps({"event": LOGIN})
    for each in (deep, f'{{"event":{deep}}}', f'{{"event":"x","fields":{deep}}}'):
        for glue in ("", "\n"):
            decoded = splunk.EVENTS.read(glue.join((good, each, good)).encode(), head())
            assert [event.client_ip for event in decoded.events if event.client_ip] == ["203.0.113.9"] * 2


def test_long_events_are_cut_and_longer_ones_refused() -> None:
    message = event_of("x" * (LONG_RECORD_BYTES + 1)).message
    assert message is not None and len(message) == LONG_TEXT
    body = json.dumps({"event": "x" * (RECORD_LIMIT_BYTES + 1)}) + json.dumps({"event": LOGIN})
    decoded = splunk.EVENTS.read(body.encode(), head())
    assert [one.index for one in decoded.rejected] == [0]
    assert decoded.events[0].client_ip == "203.0.113.9"


def test_what_is_scanned_is_the_event_with_its_fields() -> None:
    body = (
        b'{"event":"a<b","fields":{"q":"<script>"}}{"event":{"path":"/"}}{"event":{"line":"x","source":"s"}}'
    )
    assert splunk.EVENTS.read(body, head()).records == [b'a<b {"q":"<script>"}', b'{"path":"/"}', b"x"]


# Answers


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        (EVENT, b"", 400, {"text": "No data", "code": 5}),
        (EVENT, b" \n", 400, {"text": "No data", "code": 5}),
        (RAW, b"\n\n", 400, {"text": "No data", "code": 5}),
        (EVENT, b"plain", 400, {"text": "Invalid data format", "code": 6, "invalid-event-number": 0}),
        (EVENT, b"{", 400, {"text": "Invalid data format", "code": 6, "invalid-event-number": 0}),
        (
            EVENT,
            b'{"event":""}',
            400,
            {"text": "Event field cannot be blank", "code": 13, "invalid-event-number": 0},
        ),
        (EVENT, b'{"event":{"line":"","source":"stdout"}}', 200, {"text": "Success", "code": 0}),
        (EVENT, b'{"event":"a"}{"event":""}', 200, {"text": "Success", "code": 0}),
    ],
)
async def test_every_body_has_its_code(
    anybody: httpx.AsyncClient, path: str, body: bytes, status: int, told: dict[str, Any]
) -> None:
    answer = await anybody.post(path, content=body, headers=TOKEN)
    assert (answer.status_code, answer.json()) == (status, told)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, 2),
        ({"Authorization": "Splunk"}, 401, 3),
        ({"Authorization": "Negotiate abc"}, 401, 3),
        ({"Authorization": "Splunk wrong"}, 403, 4),
        ({"Authorization": f"Splunk {VIEWER_TOKEN}"}, 403, 4),
        ({"Authorization": f"Splunk {INGEST_TOKEN}"}, 200, 0),
        ({"Authorization": f"Bearer {INGEST_TOKEN}"}, 200, 0),
    ],
    ids=["none", "empty", "another scheme", "wrong", "of another role", "splunk", "bearer"],
)
async def test_a_token_is_needed(
    anybody: httpx.AsyncClient, headers: dict[str, str], status: int, code: int
) -> None:
    answer = await anybody.post(EVENT, content=b'{"event":"a"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_basic_credentials_and_a_token_in_the_path_do(anybody: httpx.AsyncClient) -> None:
    assert (await anybody.post(EVENT, content=b'{"event":"a"}', auth=("x", INGEST_TOKEN))).json()["code"] == 0
    assert (await anybody.post(f"/k/{INGEST_TOKEN}{EVENT}", content=b'{"event":"a"}')).json()["code"] == 0


async def test_a_token_in_the_query_is_taken_only_where_that_is_switched_on(
    anybody: httpx.AsyncClient, app: FastAPI
) -> None:
    async def post(token: str, **headers: str) -> httpx.Response:
        url = f"{EVENT}?channel=c&token={token}"
        return await anybody.post(url, content=b'{"event":"a"}', headers=headers)

    answer = await post(INGEST_TOKEN)
    assert (answer.status_code, answer.json()) == (
        400,
        {"text": "Query string authorization is not enabled", "code": 16},
    )
    assert (await post("wrong", Authorization=f"Splunk {INGEST_TOKEN}")).status_code == 200
    app.state.world.settings = Settings(ingest_token=INGEST_TOKEN, hec_query_token=True)
    assert (await post(INGEST_TOKEN)).status_code == 200
    assert (await post(VIEWER_TOKEN)).json()["code"] == 4
    assert (await post("wrong")).json()["code"] == 4
    assert (await post("")).json()["code"] == 2
    assert (await post("x" * 5000)).json()["code"] == 16


@pytest.mark.parametrize(
    "query", ["token=SECRET", "a=1&token=SECRET&b=%20", "Token=SECRET", "%74oken=SECRET"]
)
@pytest.mark.parametrize("is_on", [False, True], ids=["off", "on"])
async def test_no_access_log_shows_a_token_of_the_query(app: FastAPI, query: str, is_on: bool) -> None:
    app.state.world.settings = Settings(ingest_token=INGEST_TOKEN, hec_query_token=is_on)
    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": EVENT, "raw_path": EVENT.encode(), "headers": [],
        "query_string": query.encode(), "scheme": "http", "server": ("t", 80), "client": ("192.0.2.1", 1),
        "http_version": "1.1", "root_path": "",
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"event":"a"}'}

    shown: list[bytes] = []

    async def send(message: dict[str, Any]) -> None:
        shown.append(scope["query_string"])

    await app(scope, receive, send)  # type: ignore[arg-type]
    assert shown and not any(b"SECRET" in each for each in shown)
    assert not query.startswith("a=1") or shown[0] == b"a=1&b=+"


async def test_storage_away_is_503_with_retry_after(anybody: httpx.AsyncClient, engine: Engine) -> None:
    engine.is_away = True
    answer = await anybody.post(EVENT, content=b'{"event":"a"}', headers=TOKEN)
    assert (answer.status_code, answer.json()) == (503, {"text": "Server is busy", "code": 9})
    assert int(answer.headers["retry-after"]) >= 1


async def test_too_large_is_413(anybody: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "WIRE_LIMIT_BYTES", 100)
    answer = await anybody.post(EVENT, content=b" " * 101, headers=TOKEN)
    assert (answer.status_code, answer.json()["code"]) == (413, 6)


async def test_a_damaged_body_is_code_6(anybody: httpx.AsyncClient) -> None:
    for body, encoding in ((gzip.compress(b"x")[:-4], "gzip"), (b"x", "br")):
        answer = await anybody.post(EVENT, content=body, headers=TOKEN | {"Content-Encoding": encoding})
        assert (answer.status_code, answer.json()["code"]) == (400, 6)


async def test_a_retry_counts_once_and_single_events_each_time(
    anybody: httpx.AsyncClient, engine: Engine
) -> None:
    one, two = b'{"event":"a"}', b'{"event":"a"}{"event":"a"}'
    for body in (two, two, one, one):
        assert (await anybody.post(EVENT, content=body, headers=TOKEN)).json()["code"] == 0
    await anybody.post(RAW + "?host=a", content=two + b"\n" + two, headers=TOKEN)
    await anybody.post(RAW + "?host=b", content=two + b"\n" + two, headers=TOKEN)
    marks = [batch.mark for batch in engine.batches]
    assert marks[0] == marks[1] is not None
    assert marks[2:4] == [None, None]
    assert len({marks[0], *marks[4:]}) == 3


# Probes


@pytest.mark.parametrize(
    "path", ["", "/event", "/event/1.0", "/raw", "/raw/1.0", "/health", "/health/1.0", "/ack"]
)
async def test_dockers_preflight_is_answered_without_a_token(anybody: httpx.AsyncClient, path: str) -> None:
    answer = await anybody.options("/services/collector" + path)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/services/collector/health", "/services/collector/health/1.0"])
async def test_health_says_whether_to_send(
    anybody: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    status = 200

    async def readyz(request: object) -> Response:
        return Response(status_code=status)

    monkeypatch.setattr(splunk, "readyz", readyz)
    answer = await anybody.request(method, path)
    assert (answer.status_code, answer.content) == (200, b'{"text":"HEC is healthy","code":17}')
    assert (await anybody.request(method, path, headers=TOKEN)).json()["code"] == 17
    answer = await anybody.request(method, path, headers={"Authorization": "Splunk wrong"})
    assert (answer.status_code, answer.json()["code"]) == (400, 21)
    assert (await anybody.request(method, path + "?token=x")).json()["code"] == 16
    status = 503
    answer = await anybody.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (503, 18)


async def test_acks_are_off(anybody: httpx.AsyncClient) -> None:
    url = "/services/collector/ack?channel=c"
    answer = await anybody.post(url, content=b'{"acks":[0]}', headers=TOKEN)
    assert (answer.status_code, answer.json()) == (400, {"text": "ACK is disabled", "code": 14})
    assert (await anybody.post(url, content=b'{"acks":[0]}')).json()["code"] == 2
    assert (await anybody.post(url + "&token=x", content=b'{"acks":[0]}')).json()["code"] == 16
    answer = await anybody.post(EVENT + "?channel=c", content=b'{"event":"a"}', headers=TOKEN)
    assert answer.json() == {"text": "Success", "code": 0}


async def test_with_acks_a_sender_that_names_its_channel_is_told_yes(
    anybody: httpx.AsyncClient, app: FastAPI, engine: Engine
) -> None:
    app.state.world.settings = Settings(ingest_token=INGEST_TOKEN, hec_acks=True)
    channel = TOKEN | {"X-Splunk-Request-Channel": "c"}
    told = [
        (await anybody.post(path, content=b'{"event":"a"}', headers=channel)).json()["ackId"]
        for path in (EVENT, RAW)
    ]
    assert told[0] != told[1] and all(0 <= number < 2**53 for number in told)
    answer = await anybody.post("/services/collector/ack?channel=c", json={"acks": told}, headers=TOKEN)
    assert answer.json() == {"acks": {str(number): True for number in told}}
    assert "ackId" not in (await anybody.post(EVENT, content=b'{"event":"a"}', headers=TOKEN)).json()
    engine.is_away = True
    assert "ackId" not in (await anybody.post(EVENT, content=b'{"event":"a"}', headers=channel)).json()
    for bad in (
        b"",
        b"x",
        b'{"acks":7}',
        b'{"acks":["a"]}',
        b"[" * 9000,
        b'{"acks":[' + b"1," * 600_000 + b"1]}",
    ):
        answer = await anybody.post("/services/collector/ack", content=bad, headers=TOKEN)
        assert answer.json()["code"] == 6


# Hostile bodies


@given(st.data())
def test_whatever_is_posted_raises_nothing_else(data: st.DataObject) -> None:
    _, body, headers = SENT[data.draw(st.sampled_from(sorted(SENT)))]
    if "Content-Encoding" in headers:
        body = gzip.decompress(body)
    at = data.draw(st.integers(0, len(body)))
    body = body[:at] + data.draw(st.binary(max_size=8)) + body[at + data.draw(st.integers(0, 8)) :]
    for each in (body, data.draw(st.binary(max_size=200))):
        for shipper in (splunk.EVENTS, splunk.RAW):
            with contextlib.suppress(DecodeError):
                decoded = shipper.read(each, head(host="h"))
                assert len(decoded.events) == len(decoded.records)
                assert all(decoded.records)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["event", "time", "host", "fields", "line", "source", "client_ip"]), inner
            )
        ),
        max_leaves=20,
    )
)
def test_json_of_any_shape_raises_nothing_else(shape: Any) -> None:
    for body in (shape, {"event": shape}, {"event": "x", "fields": shape, "time": shape, "host": shape}):
        with contextlib.suppress(DecodeError):
            read(json.dumps(body).encode())
            read(json.dumps(body).encode() * 3)
