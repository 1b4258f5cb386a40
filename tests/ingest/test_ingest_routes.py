"""The ingest routes as a shipper sees them."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx
import pytest
import zstandard
from fastapi import FastAPI
from redis.asyncio import Redis
from remembering import Engine

from app.auth import TokenTable
from app.ingest import body as body_module
from app.ingest import routes, taking
from app.ingest.beginning import SHOWN_BYTES
from app.ingest.decode import Decoded
from app.ingest.formats.registry import NAMES
from app.ingest.gate import Gate, Slot
from app.ingest.incoming import INLINE_BYTES, unpack, unpack_quickly
from app.ingest.shippers.shipper import Head
from app.ingest.taking import Intake
from app.metrics import Metrics
from app.problems import install_problem_handlers
from app.settings import Settings

NOW = 1_795_435_200_000
TOKEN = "ingest-token-for-tests-0123456789"
GOOD = b'{"client_ip":"203.0.113.9","status":401}'
TWO = GOOD + b"\n" + GOOD


class Noted:
    """Remembers what was noted; the sources have their own tests."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int, int, bool, str | None]] = []
        self.refused: list[tuple[str, str, bool, bytes]] = []

    def note(
        self,
        source: str,
        kind: str,
        decoded: Decoded,
        received_ms: int,
        *,
        duplicate: bool = False,
        format_name: str | None = None,
    ) -> None:
        assert (source.startswith("tok_"), received_ms) == (True, NOW)
        self.batches.append((kind, len(decoded.events), len(decoded.rejected), duplicate, format_name))

    def note_refused(
        self,
        source: str,
        kind: str,
        reason: str,
        received_ms: int,
        *,
        is_ours: bool = False,
        sent: bytes = b"",
    ) -> None:
        assert (source.startswith("tok_"), received_ms) == (True, NOW)
        self.refused.append((kind, reason, is_ours, sent))


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    made = FastAPI()
    install_problem_handlers(made)
    made.include_router(routes.router)
    tokens = TokenTable(Settings(ingest_token=TOKEN, viewer_token="viewer" + TOKEN))
    made.state.world = SimpleNamespace(
        engine=engine, tokens=tokens, now=lambda: NOW, metrics=Metrics(), sources=Noted()
    )
    return made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers) as made:
        yield made


def count(app: FastAPI, name: str, **labels: str) -> float:
    return app.state.world.metrics.registry.get_sample_value(name, labels) or 0.0


async def test_events_are_counted_and_told(client: httpx.AsyncClient, engine: Engine, app: FastAPI) -> None:
    answer = await client.post("/v1/events", content=TWO + b'\n{"a":NaN}')
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert (told["accepted"], told["rejected"], told["duplicate"]) == (2, 1, False)
    assert told["errors"] == [{"index": 2, "error": "NaN and Infinity are not JSON numbers"}]
    [batch] = engine.batches
    assert batch.records == [GOOD, GOOD]
    assert (batch.received_ms, len(batch.events)) == (NOW, 2)
    assert batch.source.startswith("tok_")
    assert count(app, "bartizan_events_ingested_total", kind="events") == 2
    assert count(app, "bartizan_events_rejected_total", reason="undecodable") == 1
    assert count(app, "bartizan_batches_total", result="applied") == 1


async def test_lines_are_counted_in_the_format_that_is_named(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    line = b'203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "GET / HTTP/1.1" 401 1\n'
    for query in ("", "?format=auto", "?format=combined"):
        answer = await client.post(
            "/v1/raw" + query, content=gzip.compress(line), headers={"Content-Encoding": "gzip"}
        )
        assert answer.json() == {"accepted": 1, "rejected": 0, "duplicate": False, "errors": []}
    assert [batch.events[0].status for batch in engine.batches] == [401] * 3
    answer = await client.post("/v1/raw?format=sshd", content=line)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"index": 0, "error": "not a line of the format sshd"}]
    answer = await client.post("/v1/raw?format=apache", content=line)
    assert answer.status_code == 422
    assert "combined, sshd" in answer.json()["detail"]


@pytest.mark.parametrize("content", [b"", b"[]", b"\n\n", b"{}\n" * 0])
async def test_an_empty_body_is_a_success(client: httpx.AsyncClient, engine: Engine, content: bytes) -> None:
    for path in ("/v1/events", "/v1/raw") if content != b"[]" else ("/v1/events",):
        answer = await client.post(path, content=content)
        assert answer.status_code == 200
        assert answer.json() == {"accepted": 0, "rejected": 0, "duplicate": False, "errors": []}
    assert engine.batches == []


async def test_nothing_decodable_is_422_with_the_first_twenty_errors(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    answer = await client.post("/v1/events", content=b'{"a":NaN}\n' * 30)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], told["accepted"], told["rejected"], len(told["errors"])) == (422, 0, 30, 20)
    assert engine.batches == []


@pytest.mark.parametrize(
    ("content", "headers", "word"),
    [
        (gzip.compress(TWO, mtime=0)[:-4], {"Content-Encoding": "gzip"}, "cut short"),
        (TWO, {"Content-Encoding": "br"}, "unknown content encoding"),
        (b"\x82\xa6status", {"Content-Type": "application/msgpack"}, "could be decoded"),
        (b"\n\x10abc", {"Content-Type": "application/x-protobuf"}, "protobuf"),
    ],
)
async def test_a_damaged_body_is_422(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str], word: str
) -> None:
    answer = await client.post("/v1/events", content=content, headers=headers)
    assert answer.status_code == 422
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    "kind", ["", "application/x-www-form-urlencoded", "application/msgpack", "text/plain"]
)
async def test_the_content_type_is_not_believed(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post("/v1/events", content=TWO, headers={"Content-Type": kind})
    assert answer.json()["accepted"] == 2


async def test_too_large_is_413(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, app: FastAPI
) -> None:
    monkeypatch.setattr(taking, "WIRE_LIMIT_BYTES", 1000)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 100

    assert (await client.post("/v1/events", content=b" " * 1001)).status_code == 413
    assert (await client.post("/v1/events", content=pieces())).status_code == 413
    assert (await client.post("/v1/events", content=b" " * 1000)).status_code == 200
    bomb = gzip.compress(bytes(body_module.BODY_LIMIT_BYTES + 1))
    monkeypatch.setattr(taking, "WIRE_LIMIT_BYTES", 1_000_000)
    answer = await client.post("/v1/events", content=bomb)
    assert answer.status_code == 413
    assert "after decompression" in answer.json()["detail"]
    assert count(app, "bartizan_events_rejected_total", reason="too_large") == 3
    assert app.state.intake.gate.in_flight == 0


async def test_without_the_right_token_is_401_or_403(client: httpx.AsyncClient, app: FastAPI) -> None:
    for token, status in (("wrong", 401), ("viewer" + TOKEN, 403)):
        answer = await client.post("/v1/events", content=TWO, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
    assert count(app, "bartizan_events_rejected_total", reason="unauthorized") == 2


async def test_storage_away_is_503_with_retry_after(
    client: httpx.AsyncClient, engine: Engine, app: FastAPI
) -> None:
    engine.is_away = True
    answer = await client.post("/v1/events", content=TWO)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert count(app, "bartizan_storage_errors_total", place="ingest") == 1
    engine.is_away = False
    assert (await client.post("/v1/events", content=TWO)).json()["accepted"] == 2


async def test_more_under_way_than_the_limit_is_503(client: httpx.AsyncClient, app: FastAPI) -> None:
    gate = Gate(limit=100)
    app.state.intake = Intake(app.state.world, gate)
    other = Slot(gate)
    other.take(90)
    answer = await client.post("/v1/events", content=TWO)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert gate.in_flight == 90
    other.release()
    assert (await client.post("/v1/events", content=TWO * 10)).status_code == 200
    assert gate.in_flight == 0


async def test_a_body_that_does_not_arrive_is_503(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "BODY_TIMEOUT_S", 0)

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    assert (await client.post("/v1/events", content=never())).status_code == 503


async def test_the_same_body_again_is_a_duplicate(client: httpx.AsyncClient, engine: Engine) -> None:
    first = await client.post("/v1/events", content=TWO)
    again = await client.post("/v1/events", content=gzip.compress(TWO))
    assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
    assert again.json()["accepted"] == 2
    for path, content in (("/v1/raw", TWO), ("/v1/raw?format=nginx_json", TWO), ("/v1/events", TWO + b"\n")):
        assert (await client.post(path, content=content)).json()["duplicate"] is False


async def test_a_single_record_has_a_mark_only_with_a_key(client: httpx.AsyncClient, engine: Engine) -> None:
    for _ in range(3):
        assert (await client.post("/v1/events", content=GOOD)).json()["duplicate"] is False
    assert [batch.mark for batch in engine.batches] == [None] * 3
    told = [
        (await client.post("/v1/events", content=content, headers={"Idempotency-Key": key})).json()[
            "duplicate"
        ]
        for key, content in (("k1", GOOD), ("k1", TWO), ("k2", GOOD))
    ]
    assert told == [False, True, False]


async def test_a_large_body_is_decoded_beside_the_loop(client: httpx.AsyncClient, engine: Engine) -> None:
    records = INLINE_BYTES // len(GOOD) + 10
    assert (await client.post("/v1/events", content=(GOOD + b"\n") * records)).json()["accepted"] == records
    packed = gzip.compress((GOOD + b"\n") * records)
    answer = await client.post("/v1/raw", content=packed, headers={"Content-Encoding": "gzip"})
    assert answer.json()["accepted"] == records


@pytest.mark.parametrize(
    ("data", "is_quick"),
    [
        (TWO, True),
        (gzip.compress(TWO, mtime=0), True),
        ((GOOD + b"\n") * 1_000, True),
        (b"{}\n" * 100_000, False),
        (b"{}" * 100_000, False),
        (b"x\n" * 100_000, False),
        (gzip.compress(b"x" * (INLINE_BYTES + 1), mtime=0), False),
        (zstandard.compress(b"{}\n" * 1_000_000), False),
        (zstandard.compress(b"{}" * 10_000), False),
    ],
)
def test_only_what_is_quick_is_decoded_on_the_loop(data: bytes, is_quick: bool) -> None:
    head = Head("/v1/events", {}, {}, NOW)
    unpacked = unpack_quickly(routes.EVENTS, "test", data, head)
    assert (unpacked is not None) == is_quick
    assert unpacked in (None, unpack(routes.EVENTS, "test", data, head))


async def test_probes_are_answered(client: httpx.AsyncClient) -> None:
    for path in ("/v1/events", "/v1/raw"):
        for method, status in (("HEAD", 200), ("OPTIONS", 200), ("GET", 405), ("PUT", 405)):
            answer = await client.request(method, path)
            assert answer.status_code == status
            assert "POST" in answer.headers["allow"]


async def test_the_description_names_body_and_answers(client: httpx.AsyncClient, app: FastAPI) -> None:
    described = app.openapi()["paths"]
    assert set(described) == {"/v1/events", "/v1/raw"}
    for route in described.values():
        assert set(route["post"]["responses"]) == {"200", "401", "403", "413", "422", "503"}
        assert route["post"]["requestBody"]["content"]
    [fmt, *_] = described["/v1/raw"]["post"]["parameters"]
    assert fmt["schema"]["enum"] == list(NAMES)


async def test_a_body_of_messagepack_or_a_form_is_counted(client: httpx.AsyncClient, engine: Engine) -> None:
    record = b"\x82\xa9client_ip\xab203.0.113.9\xa6status\xcd\x01\x91"
    form = b"client_ip=203.0.113.9&status=401"
    for content, content_type in (
        (record * 2, "application/msgpack"),
        (record * 3, "application/x-msgpack"),
        (form, "application/x-www-form-urlencoded"),
    ):
        answer = await client.post("/v1/events", content=content, headers={"Content-Type": content_type})
        assert answer.status_code == 200
    assert [len(batch.events) for batch in engine.batches] == [2, 3, 1]
    assert {(event.client_ip, event.status) for batch in engine.batches for event in batch.events} == {
        ("203.0.113.9", 401)
    }


async def test_the_source_is_told_what_became_of_each_body(
    client: httpx.AsyncClient, engine: Engine, app: FastAPI
) -> None:
    noted: Noted = app.state.world.sources
    await client.post("/v1/events", content=TWO + b'\n{"a":NaN}')
    await client.post("/v1/events", content=TWO + b'\n{"a":NaN}')
    await client.post("/v1/raw?format=combined", content=b"no line of it")
    assert noted.batches == [
        ("events", 2, 1, False, None),
        ("events", 2, 1, True, None),
        ("raw", 0, 1, False, "combined"),
    ]
    await client.post("/v1/events", content=b"x", headers={"Content-Encoding": "br"})
    engine.is_away = True
    await client.post("/v1/events", content=TWO)
    assert [(kind, is_ours, sent) for kind, _, is_ours, sent in noted.refused] == [
        ("events", False, b"x"),
        ("events", True, b""),
    ]


REFUSED_WHOLE = {
    "no JSON": ("/loki/api/v1/push", {"Content-Type": "application/json"}, b'{"streams":', b'{"streams":'),
    "no push": ("/loki/api/v1/push", {"Content-Type": "application/json"}, b'{"a":1}', b'{"a":1}'),
    "no bulk": ("/_bulk", {}, b'{"message":"x"}\n', b'{"message":"x"}\n'),
    "no delivery": ("/v1/firehose", {}, b"hello", b"hello"),
    "protobuf": (
        "/v1/logs",
        {"Content-Type": "application/x-protobuf"},
        b"\x0a\xff\xff\x01\x02\x03",
        b"(6 bytes that are no text, content-type: application/x-protobuf)",
    ),
    "gzip that is cut short": ("/v1/events", {}, gzip.compress(TWO * 50)[:-9], TWO * 50),
    "too large": ("/v1/events", {}, gzip.compress(b"a" * (65 << 20)), b"a" * SHOWN_BYTES),
    "no journal": ("/upload", {}, b'{"MESSAGE":"x"}\n', b'{"MESSAGE":"x"}\n'),
}


@pytest.mark.parametrize(("path", "headers", "body", "kept"), REFUSED_WHOLE.values(), ids=REFUSED_WHOLE)
async def test_of_a_body_that_is_refused_as_a_whole_the_beginning_is_noted(
    client: httpx.AsyncClient,
    app: FastAPI,
    redis: Redis,
    path: str,
    headers: dict[str, str],
    body: bytes,
    kept: bytes,
) -> None:
    app.state.world.redis = redis
    assert (await client.post(path, content=body, headers=headers)).status_code in (400, 413, 422)
    [(_, _, is_ours, sent)] = app.state.world.sources.refused
    assert (is_ours, sent) == (False, kept)


async def test_nothing_is_noted_of_who_has_no_token(client: httpx.AsyncClient, app: FastAPI) -> None:
    answer = await client.post("/v1/events", content=b"secret", headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert app.state.world.sources.refused == []


async def test_a_mistyped_path_is_told_the_right_ones(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/event", content=b"{}")
    assert response.status_code == 404
    assert "/v1/events" in response.json()["detail"]
