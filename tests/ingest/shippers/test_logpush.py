"""Cloudflare Logpush to an HTTP destination.

Source: Cloudflare's Logs documentation, "Enable HTTP destination", datasets "HTTP requests" and "Firewall events".
"""

import gzip

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest import taking
from app.ingest.body import BodyTooLarge
from app.ingest.shippers.logpush import LOGPUSH
from app.ingest.shippers.shipper import Head
from tests.ingest.remembering import INGEST_TOKEN, NOW, VIEWER_TOKEN, Engine

REQUEST = (
    b'{"ClientIP":"203.0.113.9","ClientRequestHost":"api.example.com","ClientRequestMethod":"POST",'
    b'"ClientRequestURI":"/login?next=%2F","ClientRequestUserAgent":"curl/8.5","ClientRequestReferer":"",'
    b'"EdgeEndTimestamp":1795428001500000000,"EdgeResponseBytes":512,"EdgeResponseStatus":401,'
    b'"EdgeStartTimestamp":1795428001123000000,"RayID":"8f1d2c3b4a5e6f70"}'
)
FIREWALL = (
    b'{"Action":"block","ClientIP":"2001:db8::9","ClientRequestHost":"api.example.com","ClientRequestMethod":"GET",'
    b'"ClientRequestPath":"/.env","ClientRequestQuery":"","EdgeResponseStatus":403,"Datetime":"2026-11-23T10:00:01Z"}'
)
GZIP = {"Content-Encoding": "gzip"}


async def test_the_file_that_tries_a_destination_is_no_event(
    sender: httpx.AsyncClient, engine: Engine
) -> None:
    for content in (b'{"content":"tests"}', b'{"content":"tests"}\n'):
        for packed, headers in ((gzip.compress(content, mtime=0), GZIP), (content, {})):
            answer = await sender.post("/v1/logpush?tags=env%3Aprod", content=packed, headers=headers)
            assert answer.status_code == 200
    assert engine.batches == []
    await sender.post("/v1/logpush", content=b'{"content":"tests"}\n' + REQUEST)
    assert len(engine.events) == 2


async def test_an_attack_arrives(sender: httpx.AsyncClient, engine: Engine) -> None:
    content = gzip.compress(REQUEST + b"\n" + FIREWALL + b"\n", mtime=0)
    answer = await sender.post("/v1/logpush", content=content, headers=GZIP)
    assert answer.status_code == 200
    assert answer.json() == {"accepted": 2, "rejected": 0, "duplicate": False}
    login, probe = engine.events
    assert (login.client_ip, login.method, login.path, login.status) == (
        "203.0.113.9",
        "POST",
        "/login?next=%2F",
        401,
    )
    assert (login.timestamp, login.host, login.user_agent) == (
        1_795_428_001_123_000_000,
        "api.example.com",
        "curl/8.5",
    )
    assert login.request_id == "8f1d2c3b4a5e6f70"
    assert (probe.client_ip, probe.path, probe.status) == ("2001:db8::9", "/.env", 403)
    assert engine.batches[-1].records == [REQUEST, FIREWALL]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"1795428001123000000", 1_795_428_001_123_000_000),
        (b'"2026-11-23T10:00:01Z"', "2026-11-23T10:00:01Z"),
        (b"1795428001", 1_795_428_001),
    ],
    ids=["unixnano", "rfc3339", "unix"],
)
async def test_every_timestamp_format_is_taken(
    sender: httpx.AsyncClient, engine: Engine, start: bytes, expected: object
) -> None:
    await sender.post("/v1/logpush", content=REQUEST.replace(b"1795428001123000000", start))
    assert engine.events[0].timestamp == expected


async def test_templates_of_arrays_and_envelopes_are_read(sender: httpx.AsyncClient, engine: Engine) -> None:
    for content in (
        b"[" + REQUEST + b",\n" + REQUEST + b"]",
        b'{"events":[' + REQUEST + b"," + REQUEST + b"]}",
    ):
        await sender.put("/v1/logpush", content=content)
        assert [event.status for event in engine.events] == [401, 401]


async def test_an_upload_counts_once(sender: httpx.AsyncClient, engine: Engine) -> None:
    content = REQUEST + b"\n" + FIREWALL
    answers = [await sender.post("/v1/logpush", content=content) for _ in range(2)]
    assert [answer.json()["duplicate"] for answer in answers] == [False, True]


async def test_a_bad_record_costs_only_itself(sender: httpx.AsyncClient, engine: Engine) -> None:
    answer = await sender.post("/v1/logpush", content=REQUEST + b'\n{"ClientIP":NaN}\n' + REQUEST)
    assert answer.json() == {"accepted": 2, "rejected": 1, "duplicate": False}
    answer = await sender.post("/v1/logpush", content=b'{"ClientIP":NaN}\n')
    assert (answer.status_code, answer.json()["rejected"]) == (200, 1)


async def test_refusals_are_problems(
    anybody: httpx.AsyncClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def status(content: bytes = REQUEST, **headers: str) -> int:
        answer = await anybody.post("/v1/logpush", content=content, headers=headers)
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code

    right = f"Bearer {INGEST_TOKEN}"
    assert await status() == 401
    assert await status(Authorization="Bearer wrong") == 401
    assert await status(Authorization=f"Bearer {VIEWER_TOKEN}") == 403
    assert await status(b"\x1f\x8bno", Authorization=right) == 422
    engine.is_away = True
    assert await status(Authorization=right) == 503
    monkeypatch.setattr(taking, "WIRE_LIMIT_BYTES", 10)
    assert await status(Authorization=right) == 413


async def test_a_key_may_stand_in_the_path(anybody: httpx.AsyncClient, engine: Engine) -> None:
    assert (await anybody.post(f"/k/{INGEST_TOKEN}/v1/logpush", content=REQUEST)).status_code == 200
    assert len(engine.events) == 1


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read(body: bytes) -> None:
    head = Head("/v1/logpush", {}, {}, NOW)
    for content in (body, REQUEST + b"\n" + body):
        try:
            decoded = LOGPUSH.read(content, head)
        except BodyTooLarge:
            continue
        assert len(decoded.events) == len(decoded.records)
