"""Datadog's log intake.

Source: Datadog API reference, "Send logs"; datadog-agent pkg/logs/client/http/destination.go and its JSON encoder;
Fluent Bit's out_datadog; Vector's datadog_logs sink.
"""

import gzip
import zlib

import httpx
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest import taking
from app.ingest.body import BodyTooLarge
from app.ingest.shippers.datadog import DATADOG
from app.ingest.shippers.shipper import Head
from tests.ingest.remembering import INGEST_TOKEN, NOW, VIEWER_TOKEN, Engine

AGENT = (
    b'[{"message":"203.0.113.9 - bob [23/Nov/2026:10:00:01 +0000] \\"POST /login HTTP/1.1\\" 401 12",'
    b'"status":"info","timestamp":1795428001123,"hostname":"web1","service":"nginx","ddsource":"nginx",'
    b'"ddtags":"env:prod,filename:access.log"},'
    b'{"message":"{\\"client_ip\\":\\"203.0.113.9\\",\\"status\\":401,\\"path\\":\\"/login\\"}","status":"error",'
    b'"timestamp":1795428001124,"hostname":"web1","service":"api","ddsource":"nodejs","ddtags":""}]'
)
FLUENT_BIT = (
    b'[{"timestamp":1795428001123,"ddsource":"nginx","service":"web","ddtags":"env:prod",'
    b'"message":"203.0.113.9 - bob [23/Nov/2026:10:00:01 +0000] \\"POST /login HTTP/1.1\\" 401 12"}]'
)
VECTOR = (
    b'[{"ddtags":"","hostname":"web1","message":"{\\"client_ip\\":\\"203.0.113.9\\",\\"status\\":401}",'
    b'"source_type":"file","timestamp":1795428001123}]'
)
KEY = {"DD-API-KEY": INGEST_TOKEN, "Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "content", "headers"),
    [
        ("/api/v2/logs", AGENT, {"User-Agent": "datadog-agent/7.60.0", "DD-PROTOCOL": "agent-json"}),
        ("/api/v2/logs", gzip.compress(AGENT, mtime=0), {"Content-Encoding": "gzip"}),
        ("/api/v2/logs", zstandard.compress(AGENT), {"Content-Encoding": "zstd"}),
        ("/api/v2/logs", zlib.compress(AGENT), {"Content-Encoding": "deflate"}),
        ("/v1/input", AGENT, {}),
        ("/api/v2/logs", FLUENT_BIT, {"User-Agent": "Fluent-Bit"}),
        ("/api/v2/logs", VECTOR, {"User-Agent": "Vector/0.50.0"}),
    ],
    ids=["agent", "agent, gzip", "agent, zstd", "deflate", "agent, old path", "Fluent Bit", "Vector"],
)
async def test_an_attack_arrives(
    anybody: httpx.AsyncClient, engine: Engine, path: str, content: bytes, headers: dict[str, str]
) -> None:
    answer = await anybody.post(path, content=content, headers=KEY | headers)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == b"{}"
    for event in engine.events:
        assert (event.client_ip, event.status) == ("203.0.113.9", 401)


async def test_the_entry_around_a_line_fills_its_gaps(anybody: httpx.AsyncClient, engine: Engine) -> None:
    await anybody.post("/api/v2/logs", content=AGENT, headers=KEY)
    line, application = engine.events
    assert (line.user, line.path, line.host) == ("bob", "/login", "web1")
    assert (application.timestamp, application.host) == (1_795_428_001_124, "web1")
    assert b"".join(engine.batches[-1].records) == AGENT[1:-1].replace(b"},{", b"}{")


async def test_the_query_may_name_the_machine_and_lines_may_be_text(
    anybody: httpx.AsyncClient, engine: Engine
) -> None:
    line = b'203.0.113.9 - - [23/Nov/2026:10:00:01 +0000] "GET / HTTP/1.1" 401 1\n'
    path = "/api/v2/logs?ddsource=nginx&service=web&hostname=web2&ddtags=env%3Aprod"
    await anybody.post(path, content=line * 2, headers=KEY | {"Content-Type": "text/plain"})
    assert [(event.host, event.status) for event in engine.events] == [("web2", 401)] * 2


async def test_the_empty_object_with_which_the_agent_tries_a_connection_is_no_event(
    anybody: httpx.AsyncClient, engine: Engine
) -> None:
    for content in (b"{}", b"[]", b"", b"[{}]", b"{}\n"):
        answer = await anybody.post("/api/v2/logs", content=content, headers=KEY)
        assert (answer.status_code, answer.content) == (202, b"{}")
    assert engine.batches == []


async def test_a_bad_entry_costs_only_itself(anybody: httpx.AsyncClient, engine: Engine) -> None:
    answer = await anybody.post("/api/v2/logs", content=b"[1," + VECTOR[1:], headers=KEY)
    assert answer.status_code == 202
    assert len(engine.events) == 1


async def test_the_key_is_validated(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.get("/api/v1/validate", headers=KEY)
    assert (answer.status_code, answer.json()) == (200, {"valid": True})
    answer = await anybody.get("/api/v1/validate", headers={"DD-API-KEY": "wrong"})
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["title"] == "Forbidden"


async def test_refusals_are_lists_of_errors(
    anybody: httpx.AsyncClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def status(key: str, content: bytes = AGENT) -> int:
        headers = {"DD-API-KEY": key} if key else {}
        answer = await anybody.post("/api/v2/logs", content=content, headers=headers)
        assert [error["status"] for error in answer.json()["errors"]] == [str(answer.status_code)]
        return answer.status_code

    assert await status("") == 401
    assert await status("wrong") == 403
    assert await status(VIEWER_TOKEN) == 403
    # The Agent drops on 400 and sends everything else above it again, for ever.
    assert await status(INGEST_TOKEN, b"\x1f\x8bno") == 400
    engine.is_away = True
    assert await status(INGEST_TOKEN) == 503
    monkeypatch.setattr(taking, "WIRE_LIMIT_BYTES", 10)
    assert await status(INGEST_TOKEN) == 413


async def test_a_payload_counts_once_and_a_single_entry_each_time(
    anybody: httpx.AsyncClient, engine: Engine
) -> None:
    for content in (AGENT, AGENT, VECTOR, VECTOR):
        await anybody.post("/api/v2/logs", content=content, headers=KEY)
    first, again, *single = engine.batches
    assert first.mark is not None
    assert first.mark == again.mark
    assert [batch.mark for batch in single] == [None, None]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read(body: bytes) -> None:
    for query in ({}, {"hostname": "web1"}):
        head = Head("/api/v2/logs", query, {}, NOW)
        for content in (body, b"[" + body + b"]", VECTOR[:-1] + b"," + body):
            try:
                decoded = DATADOG.read(content, head)
            except BodyTooLarge:
                continue
            assert len(decoded.events) == len(decoded.records)
