"""When the answer comes: within its time, whatever the body, and without counting anything twice."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.auth import TokenTable
from app.ingest import routes, taking
from app.ingest.gate import TELLING_BYTES, Gate, Overloaded, Slot
from app.ingest.incoming import INLINE_BYTES
from app.ingest.path_key import PathKey
from app.ingest.taking import Intake
from app.metrics import Metrics
from app.problems import install_problem_handlers
from app.settings import Settings
from detectors.errors import StorageError
from detectors.event import Batch

NOW = 1_795_435_200_000
TOKEN = "ingest-token-for-tests-0123456789"
RECORD = b'{"client_ip":"203.0.113.9","status":401}\n'
LARGE = RECORD * (INLINE_BYTES // len(RECORD) + 10)


class SlowEngine:
    """Counts when it is let go."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.batches: list[Batch] = []
        self.error: Exception | None = None

    async def process(self, batch: Batch) -> Any:
        self.batches.append(batch)
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return SimpleNamespace(duplicate=False, counted=0, crossed=[])


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not decide what is late: the tests do."""
    monkeypatch.setattr(taking, "ANSWER_S", 60)
    monkeypatch.setattr(taking, "LAST_S", 60)


@pytest.fixture
def engine() -> SlowEngine:
    return SlowEngine()


@pytest.fixture
def app(engine: SlowEngine) -> FastAPI:
    made = FastAPI()
    install_problem_handlers(made)
    made.include_router(routes.router)
    made.add_middleware(PathKey)
    tokens = TokenTable(Settings(ingest_token=TOKEN, admin_token="admin" + TOKEN))
    unheard = SimpleNamespace(note=lambda *_, **__: None, note_refused=lambda *_, **__: None)
    made.state.world = SimpleNamespace(
        engine=engine, tokens=tokens, now=lambda: NOW, metrics=Metrics(), sources=unheard
    )
    made.state.intake = Intake(made.state.world)
    return made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers) as made:
        yield made


async def at_rest(app: FastAPI) -> None:
    """Until no body is under way any more."""
    await asyncio.gather(*app.state.intake._tasks, return_exceptions=True)
    await asyncio.sleep(0)


async def test_a_large_body_that_takes_too_long_is_put_off_and_counted_once(
    client: httpx.AsyncClient, engine: SlowEngine, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "ANSWER_S", 0.05)
    for _ in range(3):
        answer = await client.post("/v1/events", content=LARGE)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "not counted twice" in answer.json()["detail"]
    assert len(engine.batches) == 1, "a retry waits for the body that is under way"
    engine.go_on.set()
    await at_rest(app)
    monkeypatch.setattr(taking, "ANSWER_S", 60)
    answer = await client.post("/v1/events", content=LARGE)
    assert answer.json()["accepted"] == LARGE.count(b"\n")
    assert len(engine.batches) == 1, "and is answered from what came of it"
    gate = app.state.intake.gate
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_retries_that_come_together_are_answered_together(
    client: httpx.AsyncClient, engine: SlowEngine, app: FastAPI
) -> None:
    sent = [asyncio.create_task(client.post("/v1/events", content=LARGE)) for _ in range(3)]
    gate = app.state.intake.gate
    for _ in range(100_000):
        if gate.waiting >= 3 * len(LARGE) and not app.state.intake._one_large.locked():
            break
        await asyncio.sleep(0)
    engine.go_on.set()
    assert [(await one).status_code for one in sent] == [200] * 3
    assert len(engine.batches) == 1


async def test_what_fails_after_its_answer_is_tried_again_by_the_retry(
    client: httpx.AsyncClient, engine: SlowEngine, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "ANSWER_S", 0.05)
    engine.error = StorageError("away")
    assert (await client.post("/v1/events", content=LARGE)).status_code == 503
    engine.go_on.set()
    await at_rest(app)
    engine.error = None
    monkeypatch.setattr(taking, "ANSWER_S", 60)
    assert (await client.post("/v1/events", content=LARGE)).status_code == 200
    assert len(engine.batches) == 2
    assert engine.batches[0].mark == engine.batches[1].mark


async def test_a_small_body_is_put_off_where_storage_hangs(
    client: httpx.AsyncClient, engine: SlowEngine, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "LAST_S", 0.01)
    answer = await client.post("/v1/events", content=RECORD)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "Storage does not answer" in answer.json()["detail"]
    assert app.state.intake.gate.in_flight == 0


async def test_a_small_body_whose_turn_does_not_come_is_put_off(
    client: httpx.AsyncClient, engine: SlowEngine, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [
        asyncio.create_task(client.post("/v1/events", content=RECORD)) for _ in range(taking.COUNTED_AT_ONCE)
    ]
    for _ in range(1_000):
        await asyncio.sleep(0)
    assert len(engine.batches) == taking.COUNTED_AT_ONCE
    monkeypatch.setattr(taking, "ANSWER_S", 0.01)
    answer = await client.post("/v1/events", content=RECORD)
    assert answer.status_code == 503
    assert "More is under way" in answer.json()["detail"]
    engine.go_on.set()
    assert [(await one).status_code for one in waiting] == [200] * taking.COUNTED_AT_ONCE
    assert len(engine.batches) == taking.COUNTED_AT_ONCE, "what was put off is not counted"


async def test_only_so_much_is_remembered(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "REMEMBERED_BYTES", 100)
    monkeypatch.setattr(taking, "REMEMBERED", 3)
    intake = app.state.intake
    for number in range(5):
        intake._remember(str(number), httpx_body(b"x" * 10))
    assert list(intake._late) == ["2", "3", "4"]
    intake._remember("large", httpx_body(b"x" * 1000))
    assert list(intake._late) == ["large"]


def httpx_body(content: bytes) -> Any:
    return SimpleNamespace(body=content)


def test_work_that_would_wait_too_long_is_refused_at_once() -> None:
    gate = Gate(wait_limit_s=1.0)
    gate.s_per_byte = 1 / 1_000_000
    first, second, third = Slot(gate), Slot(gate), Slot(gate)
    first.queue(5_000_000, is_small=False)  # alone, anything is taken
    with pytest.raises(Overloaded):
        second.queue(1, is_small=True)
    second.release()
    first.release()
    second.queue(500_000, is_small=False)
    third.queue(400_000, is_small=False)
    with pytest.raises(Overloaded):
        Slot(gate).queue(200_000, is_small=False)
    third.queue(400_000, is_small=False)  # the same size again holds no more
    assert gate.waiting == 900_000
    second.release()
    third.release()
    assert (gate.waiting, len(gate.small)) == (0, 0)


def test_small_bodies_are_refused_while_one_of_them_has_waited_too_long() -> None:
    now = 0.0
    gate = Gate(wait_limit_s=1.0, clock=lambda: now)
    large, oldest, next_one, refused = Slot(gate), Slot(gate), Slot(gate), Slot(gate)
    large.queue(1_000, is_small=True)
    large.queue(9_000, is_small=False)  # as it turned out after decompression
    now = 10.0
    oldest.queue(10, is_small=True)  # a large body may take its time: the others do not wait for it
    now = 11.0
    next_one.queue(10, is_small=True)
    now = 11.1
    with pytest.raises(Overloaded):
        refused.queue(10, is_small=True)
    refused.release()
    oldest.release()
    refused.queue(10, is_small=True)


def test_the_gate_learns_from_large_bodies_how_long_a_byte_takes() -> None:
    gate = Gate()
    before = gate.s_per_byte
    gate.learn(TELLING_BYTES - 1, 100.0)
    assert gate.s_per_byte == before
    for _ in range(100):
        gate.learn(10_000_000, 5.0)
    assert gate.s_per_byte == pytest.approx(5.0 / 10_000_000, rel=0.01)


async def test_a_token_may_stand_in_front_of_the_path(client: httpx.AsyncClient, engine: SlowEngine) -> None:
    engine.go_on.set()
    client.headers.pop("Authorization")
    for path, status in (
        (f"/k/{TOKEN}/v1/events", 200),
        (f"/k/{TOKEN}/v1/raw?format=auto", 200),
        (f"/k/{TOKEN}/v1/events/", 200),
        ("/k/wrong/v1/events", 401),
        (f"/k/admin{TOKEN}/v1/events", 403),
        ("/k/" + "x" * 2000 + "/v1/events", 401),
        (f"/k/{TOKEN}", 405),
        ("/k//v1/events", 401),
    ):
        answer = await client.post(path, content=RECORD)
        assert (path, answer.status_code) == (path, status)
        assert TOKEN not in answer.text


async def test_a_header_goes_before_a_token_in_the_path(
    client: httpx.AsyncClient, engine: SlowEngine
) -> None:
    engine.go_on.set()
    assert (await client.post("/k/wrong/v1/events", content=RECORD)).status_code == 200


async def test_the_path_is_rewritten_in_place_so_that_no_log_has_the_token() -> None:
    seen: list[dict[str, Any]] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    scope = {"type": "http", "path": f"/k/{TOKEN}/upload", "raw_path": b"x"}
    await PathKey(inner)(scope, None, None)  # type: ignore[arg-type]
    assert seen[0] is scope
    assert (scope["path"], scope["raw_path"]) == ("/upload", b"/upload")
