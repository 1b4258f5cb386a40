"""Loki's push API as its senders use it."""

import contextlib
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import cramjam
import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from app.ingest import taking
from app.ingest.body import BODY_LIMIT_BYTES, BodyTooLarge
from app.ingest.decode import LONG_RECORD_BYTES, LONG_TEXT, RECORD_LIMIT_BYTES
from app.ingest.shippers import loki, loki_push
from app.ingest.shippers.loki_push import parse_labels
from app.ingest.shippers.shipper import Head
from detectors.errors import DecodeError
from detectors.event import Event
from tests.ingest.remembering import INGEST_TOKEN, NOW, VIEWER_TOKEN, Engine

PUSH = "/loki/api/v1/push"
JSON = {"Content-Type": "application/json"}
NS = 1_795_428_001_123_456_789
LOGIN = {"client_ip": "203.0.113.9", "method": "POST", "path": "/api/login", "status": 401, "user": "ann"}
COMBINED = '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "POST /wp-login.php HTTP/1.1" 401 12 "-" "curl/8"'
FORGED = '198.51.100.1 - - [23/Nov/2026:10:00:03 +0000] "POST /login HTTP/1.1" 401 12 "-" "x"'


def varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def part(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def entry(line: bytes, ns: int = NS, **metadata: bytes) -> bytes:
    """Source: grafana/loki pkg/push/push.proto, EntryAdapter."""
    seconds, nanos = divmod(ns, 10**9)
    at = b"\x08" + varint(seconds) + (b"\x10" + varint(nanos) if nanos else b"")
    pairs = (part(3, part(1, name.encode()) + part(2, value)) for name, value in metadata.items())
    return part(1, at) + part(2, line) + b"".join(pairs)


def push(labels: bytes, *entries: bytes) -> bytes:
    """A PushRequest of one stream."""
    return part(1, part(1, labels) + b"".join(part(2, each) for each in entries))


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def streams(*found: Any) -> bytes:
    return json.dumps({"streams": found}).encode()


def read(body: bytes, content_type: str = "application/json") -> list[Event]:
    return loki.LOKI.read(body, Head(PUSH, {}, {"content-type": content_type}, NOW)).events


def line_of(line: Any, labels: dict[str, Any] | None = None, *metadata: Any) -> Event:
    """The event of one entry."""
    [event] = read(streams({"stream": labels or {}, "values": [[str(NS), line, *metadata]]}))
    return event


# What each sender puts on the wire. Where a sender has no fixed text, the longest form of its source is shown.

SENT: dict[str, tuple[bytes, dict[str, str]]] = {
    # fluent-bit plugins/out_loki/loki.c: one stream, or one a record where labels come from the record.
    "fluent-bit": (
        b'{"streams":[{"stream":{"job":"fluent-bit","host":"web-1"},"values":[["1795428001123456789",'
        b'"{\\"client_ip\\":\\"203.0.113.9\\",\\"status\\":401,\\"path\\":\\"/api/login\\"}"]]}]}',
        {"User-Agent": "Fluent-Bit", **JSON},
    ),
    "fluent-bit that made labels and metadata of keys": (
        b'{"streams":[{"stream":{"job":"fluent-bit","host":"web-1","status":"401"},"values":'
        b'[["1795428001123456789","{\\"path\\":\\"/api/login\\"}",{"client_ip":"203.0.113.9"}]]}]}',
        {"User-Agent": "Fluent-Bit", **JSON},
    ),
    # pino-loki 3.0.0 dist/index.mjs: a stream for each log; what is asked for as a label keeps its type.
    "pino-loki": (
        b'{"streams":[{"stream":{"level":"warning","hostname":"web-1","app":"shop"},"values":'
        b'[["1795428001123000000","{\\"level\\":40,\\"time\\":1795428001123,\\"pid\\":7,\\"req\\":{\\"method\\":'
        b'\\"POST\\",\\"url\\":\\"/api/login\\",\\"remoteAddress\\":\\"203.0.113.9\\"},\\"res\\":{\\"statusCode\\":401},'
        b'\\"msg\\":\\"request completed\\"}"]]}]}',
        JSON,
    ),
    # winston-loki 6.1.7 src/proto/helpers.js prepareJSONBatch: structured metadata is always there.
    "winston-loki as JSON": (
        b'{"streams":[{"stream":{"job":"shop","host":"web-1","level":"warn"},"values":[["1795428001123000000",'
        b'"{\\"client_ip\\":\\"203.0.113.9\\",\\"path\\":\\"/api/login\\",\\"status\\":401}",{}]]}]}',
        JSON,
    ),
    # winston-loki 6.1.7 src/proto/helpers.js prepareProtoBatch, src/batcher.js: snappy without an encoding.
    "winston-loki as protobuf": (
        snappy(
            push(
                b'{level="warn",job="shop",host="web-1"}',
                entry(b'{"client_ip":"203.0.113.9","path":"/api/login","status":401}', NS // 10**6 * 10**6),
            )
        ),
        {"Content-Type": "application/x-protobuf"},
    ),
    # vector src/sinks/loki/service.rs: protobuf says snappy, JSON may be gzip.
    "vector with compression: snappy": (
        snappy(
            push(
                b'{agent="vector", host="web-1"}',
                entry(
                    b'{"client_ip":"203.0.113.9","path":"/api/login","status":401,"source_type":"file"}',
                    status_text=b"unauthorized",
                ),
            )
        ),
        {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Scope-OrgID": "tenant1"},
    ),
    "vector with compression: gzip": (
        gzip.compress(
            streams(
                {
                    "stream": {"agent": "vector", "host": "web-1"},
                    "values": [
                        [
                            str(NS),
                            '{"client_ip":"203.0.113.9","path":"/api/login","status":401,"message":"m"}',
                        ]
                    ],
                }
            ),
            mtime=0,
        ),
        {"Content-Encoding": "gzip", **JSON},
    ),
    # grafana/loki clients/pkg/promtail/client/client.go: snappy, without Content-Encoding.
    "promtail": (
        snappy(
            push(
                b'{filename="/var/log/nginx/access.log", host="web-1", job="nginx"}',
                entry(
                    b'203.0.113.9 - - [23/Nov/2026:10:00:01 +0000] "POST /api/login HTTP/1.1" 401 5 "-" "x"'
                ),
            )
        ),
        {"Content-Type": "application/x-protobuf", "User-Agent": "promtail/3.4.2", "X-Scope-OrgID": "fake"},
    ),
    # rsyslog contrib/omhttp/omhttp.c, batch.format="lokirest": stream and values are made by its template.
    "rsyslog omhttp lokirest": (
        b'{"streams":[{"stream":{"host":"web-1","facility":"authpriv"},"values":[["1795428001123456789",'
        b'"{\\"client_ip\\":\\"203.0.113.9\\",\\"path\\":\\"/api/login\\",\\"status\\":401}"]]}]}',
        {"Content-Type": "application/json; charset=utf-8"},
    ),
    # GreyZmeem/python-logging-loki logging_loki/emitter.py, LokiEmitterV0, sent to either path.
    "python-logging-loki of version 0": (
        b'{"streams": [{"labels": "{host=\\"web-1\\",severity=\\"warning\\",logger=\\"shop\\"}", "entries": '
        b'[{"ts": "2026-11-23T10:00:01.123456Z", "line": '
        b'"{\\"client_ip\\": \\"203.0.113.9\\", \\"path\\": \\"/api/login\\", \\"status\\": 401}"}]}]}',
        JSON,
    ),
    "curl, which says that it is a form": (
        streams({"stream": {"host": "web-1"}, "values": [[str(NS), json.dumps(LOGIN)]]}),
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
}


@pytest.mark.parametrize("path", [PUSH, "/api/prom/push"])
@pytest.mark.parametrize("name", SENT)
async def test_what_a_sender_pushes_is_counted(
    sender: httpx.AsyncClient, engine: Engine, app: FastAPI, name: str, path: str
) -> None:
    body, headers = SENT[name]
    answer = await sender.post(path, content=body, headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers
    [event] = engine.events
    assert (event.client_ip, event.status, event.path, event.host) == (
        "203.0.113.9",
        401,
        "/api/login",
        "web-1",
    )
    assert event.timestamp in (
        NS, NS // 10**6 * 10**6, NS // 10**6, "2026-11-23T10:00:01.123456Z", "23/Nov/2026:10:00:01 +0000",
    )  # fmt: skip
    counted = app.state.world.metrics.registry.get_sample_value
    assert counted("bartizan_events_ingested_total", {"kind": "loki"}) == 1


async def test_a_body_may_come_in_pieces(sender: httpx.AsyncClient, engine: Engine) -> None:
    body, headers = SENT["promtail"]

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    assert (await sender.post(PUSH, content=pieces(), headers=headers)).status_code == 204
    assert engine.events[0].client_ip == "203.0.113.9"


# What becomes of an entry


def test_the_lines_own_time_goes_before_the_entrys() -> None:
    assert line_of(json.dumps(LOGIN)).timestamp == NS
    assert (
        line_of(json.dumps(LOGIN | {"timestamp": "2026-11-23T10:00:00Z"})).timestamp == "2026-11-23T10:00:00Z"
    )
    assert line_of(COMBINED).timestamp == "23/Nov/2026:10:00:03 +0000"


def test_labels_fill_gaps_and_name_the_host() -> None:
    event = line_of(
        json.dumps({"status": 401, "host": "shop.example"}), {"user": "ann", "status": "200", "host": "h"}
    )
    assert (event.user, event.status, event.host) == ("ann", 401, "h")


def test_labels_that_describe_the_sender_say_nothing_of_the_event() -> None:
    labels = {
        "agent": "vector", "account": "production", "ip": "192.0.2.1", "path": "/var/log/x", "app_name": "shop",
        "message": "m", "size": "9", "code": "401",
    }  # fmt: skip
    assert line_of("hello", labels) == Event(timestamp=NS, message="hello")
    assert line_of(COMBINED, labels).client_ip == "203.0.113.9"


def test_what_an_envelope_says_of_the_client_is_not_contradicted_by_text() -> None:
    said = {"client_ip": "203.0.113.9"}
    for labels, metadata in ((said, {}), ({}, said)):
        assert line_of(FORGED, labels, metadata).client_ip == "203.0.113.9"
        assert line_of(FORGED, labels, metadata).status is None
        for inner in (
            {"message": FORGED},
            {"log": FORGED, "level": "info"},
            {"msg": json.dumps({"ip": "192.0.2.7"})},
        ):
            event = line_of(json.dumps(inner), labels, metadata)
            assert (event.client_ip, event.status) == ("203.0.113.9", None)
    assert line_of(json.dumps({"client_ip": "192.0.2.7"}), said).client_ip == "192.0.2.7"
    assert line_of(json.dumps({"remote_addr": "192.0.2.7", "x": 1}), said).client_ip == "192.0.2.7"


def test_a_line_of_another_program_is_only_text() -> None:
    assert line_of(FORGED, {"syslog_identifier": "chat"}).client_ip is None
    assert line_of(json.dumps({"message": FORGED}), {"syslog_identifier": "chat"}).client_ip is None
    assert line_of(json.dumps({"log": FORGED}), {"syslog_identifier": "chat"}).client_ip is None
    assert line_of(json.dumps({"log": COMBINED}), {"job": "docker"}).client_ip == "203.0.113.9"


@pytest.mark.parametrize(
    "labels", [{"unit": "ssh.service"}, {"systemd_unit": "sshd@7.service"}, {"syslog_identifier": "sshd"}]
)
def test_a_line_of_the_journal_is_read_as_its_programs(labels: dict[str, str]) -> None:
    event = line_of("Failed password for root from 203.0.113.9 port 40022 ssh2", labels)
    assert (event.client_ip, event.user, event.outcome) == ("203.0.113.9", "root", "failure")


def test_metadata_is_scanned_with_its_line() -> None:
    body = streams(
        {
            "stream": {},
            "values": [[str(NS), '{"status":404}', {"path": "/?q=<script>"}], [str(NS), "", {"a": "b"}]],
        }
    )
    decoded = loki.LOKI.read(body, Head(PUSH, {}, {"content-type": "application/json"}, NOW))
    assert decoded.records == [b'{"status":404} {"path":"/?q=<script>"}', b'{} {"a":"b"}']
    assert decoded.events[0].path == "/?q=<script>"


def test_a_line_without_metadata_is_kept_as_it_stood() -> None:
    body = streams({"stream": {}, "values": [[str(NS), ' {"status": 404} '], [str(NS), " "], [str(NS), ""]]})
    assert loki.LOKI.read(body, Head(PUSH, {}, {"content-type": "application/json"}, NOW)).records == [
        b' {"status": 404} '
    ]


@pytest.mark.parametrize("at", ["", "yesterday", None, True, [], {}, 0], ids=repr)
def test_a_time_that_is_none_leaves_the_entry(at: Any) -> None:
    [event] = read(streams({"stream": {}, "values": [[at, json.dumps(LOGIN)]]}))
    assert event.client_ip == "203.0.113.9"
    assert type(event.timestamp) in (int, str, type(None))


@pytest.mark.parametrize(
    "bad",
    [[], [str(NS)], [str(NS), None], [str(NS), 7], [str(NS), ["x"]], "x", 7, None, {}, {"ts": "x"}],
    ids=repr,
)
async def test_a_bad_entry_costs_no_other(
    sender: httpx.AsyncClient, engine: Engine, app: FastAPI, bad: Any
) -> None:
    good = [str(NS), json.dumps(LOGIN)]
    body = streams(
        {"stream": {"a": 1}, "values": [good, bad, good]},
        "x",
        {"values": [good]},
        {"stream": {}, "values": 7},
    )
    assert (await sender.post(PUSH, content=body, headers=JSON)).status_code == 204
    assert [event.client_ip for event in engine.events] == ["203.0.113.9"] * 3
    rejected = app.state.world.metrics.registry.get_sample_value
    assert rejected("bartizan_events_rejected_total", {"reason": "undecodable"}) == 3


def test_a_line_that_is_an_object_is_read() -> None:
    assert line_of(LOGIN).client_ip == "203.0.113.9"
    assert line_of({"n": 10**30, **LOGIN}).client_ip == "203.0.113.9"


def test_labels_of_any_type_do_no_harm() -> None:
    labels = {
        "a": 10**30,
        "b": {"c": [1.5, None]},
        "level": 40,
        "host": ["x"],
        "client_ip": {},
        "d": "\ud800",
    }
    assert line_of(json.dumps(LOGIN), labels, labels).client_ip == "203.0.113.9"


def test_bytes_that_are_not_utf_8_cost_nothing() -> None:
    body = push(
        b'{job="\xff", host="web-1"}',
        entry(b'{"client_ip":"203.0.113.9","status":401,"user_agent":"\xff\xfe"}', user=b"\xc3\x28"),
        entry(json.dumps(LOGIN).encode()),
    )
    [bad, good] = read(body, "application/x-protobuf")
    assert (bad.client_ip, bad.status, bad.user) == ("203.0.113.9", 401, "\ufffd(")
    assert (good.client_ip, good.host) == ("203.0.113.9", "web-1")
    body = streams({"stream": {}, "values": [[str(NS), json.dumps(LOGIN)]]}).replace(b"ann", b"\xff\x00")
    assert [event.client_ip for event in read(body)] == ["203.0.113.9"]


def test_long_lines_are_cut_and_longer_ones_refused() -> None:
    [event] = read(streams({"stream": {}, "values": [[str(NS), "x" * (LONG_RECORD_BYTES + 1)]]}))
    assert event.message is not None and len(event.message) == LONG_TEXT
    body = push(b"{}", entry(b"x" * (RECORD_LIMIT_BYTES + 1)), entry(json.dumps(LOGIN).encode()))
    decoded = loki.LOKI.read(body, Head(PUSH, {}, {}, NOW))
    assert [one.index for one in decoded.rejected] == [0]
    assert [event.client_ip for event in decoded.events] == ["203.0.113.9"]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('{job="nginx", host="web-1"}', {"job": "nginx", "host": "web-1"}),
        ('{job="nginx",host="web-1",}', {"job": "nginx", "host": "web-1"}),
        ("{}", {}),
        ("", {}),
        (r'{a="x\"y\\z\n\x41\u00e9\U0001F600\101"}', {"a": 'x"y\\z\nA\u00e9\U0001f600A'}),
        (r'{a="\ud800\U00110000"}', {"a": "\ufffd\ufffd"}),
        ("{a=`x\"y`, b='z'}", {"a": 'x"y'}),
        ('{ a = "1" , b.c-d="2" }', {"a": "1", "b.c-d": "2"}),
        ('{a="1", b="2', {"a": "1"}),
        ('{a="say "hi"", b="2"}', {"a": "say "}),
    ],
)
def test_the_text_of_labels_is_read_as_far_as_it_goes(text: str, labels: dict[str, str]) -> None:
    assert parse_labels(text) == labels


# Answers


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{}", b'{"streams":[]}', b'{"streams":null}', b'{"streams":[{"stream":{},"values":[]}]}'],
)
async def test_nothing_is_a_success(sender: httpx.AsyncClient, engine: Engine, body: bytes) -> None:
    assert (await sender.post(PUSH, content=body, headers=JSON)).status_code == 204
    assert engine.batches == []


@pytest.mark.parametrize(
    ("body", "headers", "word"),
    [
        (b"{", JSON, "JSON"),
        (b"[]", JSON, "object"),
        (b'{"streams":7}', JSON, "streams"),
        (b'{"streams":{}}' + b" " * 9_000_000, JSON, "streams"),
        (b'{"client_ip":"203.0.113.9","status":401}', JSON, "/v1/events"),
        (b'{"client_ip":"203.0.113.9","status":401}' + b" " * 9_000_000, JSON, "/v1/events"),
        (snappy(b"\x0a\x05abc"), {}, "protobuf"),
        (b"\x0a\x05abc", {}, "snappy"),
        (b"plain text", {"Content-Type": "text/plain"}, "snappy"),
        (snappy(push(b"{}", entry(b"x")))[:-2], {}, "snappy"),
        (b"x", {"Content-Encoding": "br"}, "content encoding"),
        (streams({"values": [[], 7]}), JSON, "none of the 2 entries could be read: not an entry"),
    ],
)
async def test_what_cannot_be_read_is_400_in_plain_text(
    sender: httpx.AsyncClient, engine: Engine, body: bytes, headers: dict[str, str], word: str
) -> None:
    answer = await sender.post(PUSH, content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert word in answer.text and answer.text.endswith("\n")
    assert engine.batches == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Bearer {VIEWER_TOKEN}"}, 403),
        ({"Authorization": f"Bearer {INGEST_TOKEN}"}, 204),
        ({"X-Api-Key": INGEST_TOKEN, "X-Scope-OrgID": "tenant1"}, 204),
    ],
    ids=["none", "wrong", "of another role", "bearer", "header"],
)
async def test_a_token_is_needed(anybody: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    body, sent = SENT["fluent-bit"]
    answer = await anybody.post(PUSH, content=body, headers=sent | headers)
    assert answer.status_code == status
    if status != 204:
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_basic_credentials_and_a_token_in_the_path_do(anybody: httpx.AsyncClient) -> None:
    body, headers = SENT["fluent-bit"]
    assert (
        await anybody.post(PUSH, content=body, headers=headers, auth=("tenant1", INGEST_TOKEN))
    ).status_code == 204
    assert (await anybody.post(f"/k/{INGEST_TOKEN}{PUSH}", content=body, headers=headers)).status_code == 204


async def test_storage_away_is_503_with_retry_after(sender: httpx.AsyncClient, engine: Engine) -> None:
    engine.is_away = True
    body, headers = SENT["promtail"]
    answer = await sender.post(PUSH, content=body, headers=headers)
    assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (503, True)
    engine.is_away = False
    assert (await sender.post(PUSH, content=body, headers=headers)).status_code == 204


async def test_too_large_is_413(sender: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    announced = varint(BODY_LIMIT_BYTES + 1) + bytes(BODY_LIMIT_BYTES // 30)
    answer = await sender.post(PUSH, content=announced)
    assert (answer.status_code, "after decompression" in answer.text) == (413, True)
    monkeypatch.setattr(taking, "WIRE_LIMIT_BYTES", 100)
    assert (await sender.post(PUSH, content=bytes(101), headers=JSON)).status_code == 413


async def test_a_retry_counts_once_and_single_entries_each_time(
    sender: httpx.AsyncClient, engine: Engine
) -> None:
    two = streams({"stream": {}, "values": [[str(NS), json.dumps(LOGIN)]] * 2})
    one = streams({"stream": {}, "values": [[str(NS), json.dumps(LOGIN)]]})
    for body in (two, two, one, one):
        assert (await sender.post(PUSH, content=body, headers=JSON)).status_code == 204
    marks = [batch.mark for batch in engine.batches]
    assert marks[0] == marks[1] is not None
    assert marks[2:] == [None, None]


async def test_a_retry_under_another_compression_is_known(sender: httpx.AsyncClient, engine: Engine) -> None:
    body = streams({"stream": {}, "values": [[str(NS), json.dumps(LOGIN)]] * 2})
    await sender.post(PUSH, content=body, headers=JSON)
    for packed, encoding in (
        (gzip.compress(body), "gzip"),
        (zlib.compress(body), "deflate"),
        (gzip.compress(body), ""),
    ):
        await sender.post(PUSH, content=packed, headers=JSON | {"Content-Encoding": encoding})
    assert len({batch.mark for batch in engine.batches}) == 1


@pytest.mark.parametrize(
    ("status", "told", "text"), [(200, 200, "ready\n"), (503, 503, "not ready: storage is away\n")]
)
async def test_ready_tells_vector_whether_to_start(
    anybody: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, status: int, told: int, text: str
) -> None:
    async def readyz(request: object) -> Response:
        return Response(status_code=status)

    monkeypatch.setattr(loki, "readyz", readyz)
    answer = await anybody.get("/ready")
    assert (answer.status_code, answer.text) == (told, text)


async def test_questions_of_a_query_are_answered_as_by_an_empty_loki(anybody: httpx.AsyncClient) -> None:
    assert (await anybody.get("/loki/api/v1/labels")).json() == {"status": "success", "data": []}
    assert "version" in (await anybody.get("/loki/api/v1/status/buildinfo")).json()
    assert (await anybody.get(PUSH)).status_code == 405


# Large and hostile bodies


def test_a_large_body_is_cut_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    good = [str(NS), json.dumps(LOGIN | {"user_agent": "\ud800"})]
    bodies = [
        streams(
            {"stream": {"host": "web-1"}, "values": [good] * 10}, {"stream": {"host": "b"}, "values": [good]}
        ),
        streams(
            {"values": [good, 7, []] * 10, "stream": {"host": "web-1"}},
            {"labels": '{a="b"}', "entries": [{}]},
        ),
        streams({"labels": '{host="web-3"}', "entries": [{"ts": "x", "line": json.dumps(LOGIN)}] * 20}),
        streams({"stream": {"host": "web-3"}, "entries": "x" * 500}, 7, "x", {"values": {}}, [], {}),
        streams({"stream": {"host": "web-1"}, "values": [good] * 10}).replace(b"ann", b"\xff\xff"),
    ]

    def seen() -> list[Any]:
        return [
            loki.LOKI.read(body, Head(PUSH, {}, {"content-type": "application/json"}, NOW)) for body in bodies
        ]

    whole = seen()
    monkeypatch.setattr(loki_push, "AT_ONCE_BYTES", 400)
    monkeypatch.setattr(loki_push, "GROUP", 3)
    assert seen() == whole


def test_too_many_entries_and_streams_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loki, "RECORDS_LIMIT", 10)
    assert len(read(streams({"values": [["1", "x"]] * 9}))) == 9
    for body in ({"values": [["1", "x"]] * 10},), ({"values": [["1", ""]] * 10},), [{}] * 11, [7] * 6:
        with pytest.raises(BodyTooLarge):
            read(streams(*body))
    with pytest.raises(BodyTooLarge):
        read(push(b"{}", *[b""] * 10), "application/x-protobuf")


@given(st.data())
def test_whatever_is_pushed_raises_nothing_else(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(SENT)))
    body, headers = SENT[name]
    head = Head(PUSH, {}, {key.lower(): value for key, value in headers.items()}, NOW)
    with contextlib.suppress(DecodeError):
        body = loki.LOKI.unpack(body, head)
    at = data.draw(st.integers(0, len(body)))
    body = body[:at] + data.draw(st.binary(max_size=8)) + body[at + data.draw(st.integers(0, 8)) :]
    for each in (body, data.draw(st.binary(max_size=200))):
        for kind in ("application/json", "application/x-protobuf"):
            with contextlib.suppress(DecodeError):
                decoded = loki.LOKI.read(each, Head(PUSH, {}, {"content-type": kind}, NOW))
                assert len(decoded.events) == len(decoded.records)
                assert all(decoded.records)
            with contextlib.suppress(DecodeError):
                loki.LOKI.unpack(each, Head(PUSH, {}, {"content-type": kind}, NOW))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
            st.sampled_from(["streams", "stream", "values", "labels", "entries", "ts", "line", "client_ip", "unit"]),
            inner, max_size=4,
        ),
        max_leaves=20,
    )
)  # fmt: skip
def test_json_of_any_shape_raises_nothing_else(shape: Any) -> None:
    for body in (shape, {"streams": shape}, {"streams": [{"stream": shape, "values": shape}]}):
        with contextlib.suppress(DecodeError):
            read(json.dumps(body).encode())
