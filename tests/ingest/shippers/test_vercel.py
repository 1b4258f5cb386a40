"""Vercel's drains of logs.

Source: Vercel documentation, "Log Drains Reference" (the fields and examples), "Drains Security" (the signature).
"""

import gzip
import hmac
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from app.ingest import taking
from app.ingest.body import BodyTooLarge
from app.ingest.shippers.vercel_entries import read_entries
from app.settings import Settings
from tests.ingest.remembering import INGEST_TOKEN, NOW, VIEWER_TOKEN, Engine

SECRET = "a-drain-s-signature-secret"
CODE = "0123456789abcdef0123456789abcdef01234567"
PROXY = {
    "timestamp": 1_795_428_001_123,
    "method": "POST",
    "host": "api.example.com",
    "path": "/api/login?next=%2F",
    "userAgent": ["curl/8.5"],
    "referer": "https://example.com/",
    "region": "fra1",
    "statusCode": 401,
    "clientIp": "203.0.113.9",
    "scheme": "https",
    "responseByteSize": 512,
    "vercelId": "fra1::iad1::abcde-1795428001123-0123456789ab",
    "wafAction": "log",
}
BASE = {
    "deploymentId": "dpl_233NRGRjVZX1caZrXWtz5g1TAksD",
    "source": "lambda",
    "host": "my-app-abc123.vercel.app",
    "timestamp": 1_795_428_001_500,
    "projectId": "gdufoJxB6b9b1fEqr1jUtFkyavUU",
    "level": "info",
    "path": "/api/login",
}


def entry(number: int, request_id: str | None = "req-1", **more: Any) -> dict[str, Any]:
    told = BASE | {"id": f"1573817187330377061717300{number:06d}"}
    return told | ({"requestId": request_id} if request_id else {}) | more


def body_of(*entries: dict[str, Any]) -> bytes:
    return json.dumps(entries).encode()


@pytest.fixture
def settings() -> Settings:
    return Settings(
        ingest_token=INGEST_TOKEN, viewer_token=VIEWER_TOKEN, vercel_secret=SECRET, vercel_verify=CODE
    )


@pytest.fixture
async def vercel(sender: httpx.AsyncClient, app: Any, redis: Redis) -> httpx.AsyncClient:
    app.state.world.redis = redis
    return sender


async def deliver(
    sender: httpx.AsyncClient, content: bytes, signed: bytes | None = None, **headers: str
) -> Any:
    signature = hmac.new(SECRET.encode(), content if signed is None else signed, "sha1").hexdigest()
    return await sender.post(
        "/v1/vercel", content=content, headers={"x-vercel-signature": signature} | headers
    )


async def test_an_attack_arrives(vercel: httpx.AsyncClient, engine: Engine) -> None:
    first, second = entry(1, proxy=PROXY), entry(2, "req-2", proxy=PROXY | {"statusCode": 403})
    content = body_of(first, second)
    answer = await deliver(vercel, content)
    assert answer.status_code == 200
    assert answer.headers["x-vercel-verify"] == CODE
    assert answer.json() == {"accepted": 2, "rejected": 0, "duplicate": False}
    event, other = engine.events
    assert (event.client_ip, event.method, event.path, event.status) == (
        "203.0.113.9",
        "POST",
        "/api/login?next=%2F",
        401,
    )
    assert (event.timestamp, event.host, event.user_agent) == (
        1_795_428_001_123,
        "api.example.com",
        "curl/8.5",
    )
    assert (event.bytes, event.referer, event.request_id) == (512, "https://example.com/", "req-1")
    assert other.status == 403
    assert [json.loads(record) for record in engine.batches[-1].records] == [first, second]


async def test_every_encoding_and_compression_is_read(vercel: httpx.AsyncClient, engine: Engine) -> None:
    for number, separator in enumerate((b"\n", b"\n\n", b"")):
        entries = [json.dumps(entry(n, f"{number}-{n}", proxy=PROXY)).encode() for n in range(2)]
        await deliver(vercel, separator.join(entries))
        assert [event.status for event in engine.events] == [401, 401]
    plain = body_of(entry(8, "8", proxy=PROXY), entry(9, "9", proxy=PROXY))
    packed = gzip.compress(plain, mtime=0)
    for signed in (packed, plain):
        answer = await deliver(vercel, packed, signed, **{"Content-Encoding": "gzip"})
        assert answer.json()["accepted"] == 2


async def test_a_request_is_one_event_over_its_entries(vercel: httpx.AsyncClient, engine: Engine) -> None:
    content = body_of(
        entry(1, source="edge", type="middleware-invocation", proxy=PROXY | {"statusCode": None}),
        entry(2, message="checking password"),
        entry(3, statusCode=401, proxy=PROXY, message="wrong password"),
        entry(4, proxy=PROXY, message="done"),
        entry(5, proxy=PROXY),
        entry(6, None, source="build", message="Compiled"),
    )
    answer = await deliver(vercel, content)
    assert answer.json()["accepted"] == 4
    assert [(event.client_ip, event.status, event.message) for event in engine.events] == [
        (None, None, "checking password"),
        ("203.0.113.9", 401, "wrong password"),
        (None, None, "done"),
        (None, None, "Compiled"),
    ]
    assert [event.request_id for event in engine.events] == ["req-1", "req-1", "req-1", None]
    assert json.loads(engine.batches[-1].records[2]) == {
        "timestamp": 1_795_428_001_500,
        "host": "my-app-abc123.vercel.app",
        "message": "done",
        "request_id": "req-1",
    }


async def test_a_request_is_one_event_over_deliveries(vercel: httpx.AsyncClient, engine: Engine) -> None:
    first = body_of(entry(1, proxy=PROXY), entry(2, "req-2", proxy=PROXY))
    second = body_of(entry(3, proxy=PROXY, message="late line"), entry(4, "req-3", proxy=PROXY))
    third = body_of(entry(5, "req-2", proxy=PROXY), entry(6, "req-3", proxy=PROXY))
    await deliver(vercel, first)
    assert len(engine.events) == 2
    assert (await deliver(vercel, second)).json()["accepted"] == 2
    assert [(event.client_ip, event.message) for event in engine.events] == [
        (None, "late line"),
        ("203.0.113.9", None),
    ]
    assert (await deliver(vercel, third)).json() == {"accepted": 0, "rejected": 0, "duplicate": False}
    assert len(engine.batches) == 2


async def test_the_same_delivery_again_is_a_retry_even_of_one_entry(
    vercel: httpx.AsyncClient, engine: Engine
) -> None:
    for content in (
        body_of(entry(1, proxy=PROXY)),
        body_of(entry(2, "a", proxy=PROXY), entry(3, "b", proxy=PROXY)),
    ):
        answers = [(await deliver(vercel, content)).json() for _ in range(3)]
        assert [answer["duplicate"] for answer in answers] == [False, True, True]
        assert len({answer["accepted"] for answer in answers}) == 1


async def test_a_delivery_that_was_not_counted_is_counted_on_its_retry(
    vercel: httpx.AsyncClient, engine: Engine
) -> None:
    content = body_of(entry(1, proxy=PROXY))
    engine.is_away = True
    answer = await deliver(vercel, content)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    engine.is_away = False
    assert (await deliver(vercel, content)).json() == {"accepted": 1, "rejected": 0, "duplicate": False}
    assert [event.client_ip for event in engine.events] == ["203.0.113.9"]


async def test_without_redis_nothing_is_counted_and_the_answer_is_503(
    vercel: httpx.AsyncClient, engine: Engine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: object) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(redis, "pipeline", away)
    assert (await deliver(vercel, body_of(entry(1, proxy=PROXY)))).status_code == 503
    assert engine.batches == []


@pytest.mark.parametrize(
    ("own", "proxys", "status"),
    [
        (200, 401, 401),
        (401, None, 401),
        (500, -1, None),
        (-1, 502, 502),
        (-1, None, None),
        (None, "403", 403),
        (None, 0, None),
    ],
    ids=["both", "the function's", "revalidation", "crashed", "crashed without", "text", "zero"],
)
def test_the_status_is_what_the_client_was_answered(own: Any, proxys: Any, status: int | None) -> None:
    content = body_of(entry(1, statusCode=own, proxy=PROXY | {"statusCode": proxys}))
    [event] = read_entries(content, NOW).events
    assert event.status == status


def test_what_an_application_prints_speaks_for_no_address() -> None:
    forged = (
        '198.51.100.1 - - [23/Nov/2026:10:00:01 +0000] "POST /login HTTP/1.1" 401 1',
        '{"client_ip":"198.51.100.1","status":401,"outcome":"failure","category":"authentication"}',
        "Failed password for root from 198.51.100.1 port 1 ssh2",
    )
    content = body_of(
        *(entry(n, message=text) for n, text in enumerate(forged)),
        *(entry(10 + n, f"r{n}", message=text, proxy=PROXY) for n, text in enumerate(forged)),
        entry(20, "agent", proxy=PROXY | {"userAgent": [forged[1]], "path": "/?" + forged[1]}),
    )
    events = read_entries(content, NOW).events
    assert {event.client_ip for event in events} == {None, "203.0.113.9"}
    assert {event.outcome for event in events} == {None}


def test_entries_of_unexpected_types_are_read_or_set_aside_by_themselves() -> None:
    odd = [
        {"proxy": PROXY | {"userAgent": "curl/8.5", "statusCode": "401"}, "requestId": 5, "id": None},
        {"proxy": PROXY | {"userAgent": [], "statusCode": 401.0}, "message": {"a": [1]}},
        {"proxy": [], "message": "x"},
        {"message": "only a message", "timestamp": "1795428001123"},
        {"proxy": PROXY},
        {"proxy": PROXY},
        {"source": "build", "id": "1"},
        1,
        {"source": "build"},
    ]
    decoded = read_entries(json.dumps(odd).encode(), NOW)
    assert [event.status for event in decoded.events] == [401, 401, None, 401, 401]
    assert decoded.events[1].message == '{"a":[1]}'
    assert [(one.index, one.reason) for one in decoded.rejected] == [
        (2, "not an entry of a log drain"),
        (7, "not a JSON object"),
        (8, "not an entry of a log drain"),
    ]


async def test_only_what_the_secret_signed_is_taken(vercel: httpx.AsyncClient, engine: Engine) -> None:
    content = body_of(entry(1, proxy=PROXY))
    for signed in (b"", content[:-1], content + b"\n"):
        answer = await deliver(vercel, content, signed)
        assert answer.status_code == 403
        assert answer.headers["x-vercel-verify"] == CODE
    forged: list[dict[str, Any]] = [{}, {"x-vercel-signature": b"\xe9"}, {"x-vercel-signature": "0" * 40}]
    for headers in forged:
        answer = await vercel.post("/v1/vercel", content=content, headers=headers)
        assert answer.status_code == 403
    assert engine.batches == []


async def test_who_asks_whose_address_it_is_gets_the_code(vercel: httpx.AsyncClient, engine: Engine) -> None:
    del vercel.headers["Authorization"]
    for method in ("GET", "HEAD", "OPTIONS", "POST"):
        answer = await vercel.request(method, "/v1/vercel")
        assert (answer.status_code, answer.headers["x-vercel-verify"]) == (200, CODE)
    vercel.headers["Authorization"] = f"Bearer {INGEST_TOKEN}"
    for content in (b"", b"\n"):
        answer = await vercel.post("/v1/vercel", content=content, headers={"x-vercel-verify": CODE})
        assert (answer.status_code, answer.headers["x-vercel-verify"]) == (200, CODE)
    assert engine.batches == []


async def test_a_token_is_needed_as_well_and_may_stand_in_the_path(
    vercel: httpx.AsyncClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    del vercel.headers["Authorization"]
    content = body_of(entry(1, proxy=PROXY))
    assert (await deliver(vercel, content)).status_code == 401
    assert (await deliver(vercel, content, Authorization=f"Bearer {VIEWER_TOKEN}")).status_code == 403
    signature = hmac.new(SECRET.encode(), content, "sha1").hexdigest()
    path = f"/k/{INGEST_TOKEN}/v1/vercel"
    answer = await vercel.post(path, content=content, headers={"x-vercel-signature": signature})
    assert answer.json()["accepted"] == 1
    monkeypatch.setattr(taking, "WIRE_LIMIT_BYTES", 10)
    assert (await deliver(vercel, content, Authorization=f"Bearer {INGEST_TOKEN}")).status_code == 413


async def test_without_a_secret_the_token_is_enough(
    vercel: httpx.AsyncClient, engine: Engine, app: Any
) -> None:
    app.state.world.settings = Settings(ingest_token=INGEST_TOKEN)
    answer = await vercel.post("/v1/vercel", content=body_of(entry(1, proxy=PROXY)))
    assert answer.json()["accepted"] == 1
    assert "x-vercel-verify" not in answer.headers


@hypothesis_settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read(body: bytes) -> None:
    for content in (body, b"[" + body + b"]", json.dumps(entry(1, proxy=PROXY)).encode() + b"\n" + body):
        try:
            decoded = read_entries(content, NOW)
        except BodyTooLarge:
            continue
        assert len(decoded.events) == len(decoded.records)


@hypothesis_settings(deadline=None)
@given(st.data())
def test_a_body_with_some_bytes_changed_is_read(data: st.DataObject) -> None:
    body = bytearray(body_of(entry(1, message="a", proxy=PROXY), entry(2, "x", proxy=PROXY)))
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    decoded = read_entries(bytes(body), NOW)
    assert len(decoded.events) == len(decoded.records)
