"""The dead man's signal against a real HTTP server: sent while all is well, held back where it is not."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import structlog
from redis.asyncio import Redis

from actions.responder import Responder
from actions.world import World
from app import dead_man
from app.dead_man import QUIET_MS, TURN_KEY, Checks, DeadMan
from app.metrics import Metrics
from app.policies.dead_man import DeadManSettings, SecretUrl
from detectors.windows import findings_key

NOW = 1_764_000_000_000


@dataclass
class Receiver:
    """A server that notes what it was asked, and answers as told."""

    url: str
    asked: list[str] = field(default_factory=list)
    status: int = 200
    answering: threading.Event = field(default_factory=threading.Event)
    heard: threading.Event = field(default_factory=threading.Event)

    @property
    def settings(self) -> DeadManSettings:
        return DeadManSettings(url=SecretUrl(f"{self.url}/ping/s3cret"))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(f"{self.command} {self.path}")
            found.heard.set()
            found.answering.wait(20)
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}")
    found.answering.set()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.answering.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


class Process:
    """One process of the service, its responder with a turn behind it, and its clock."""

    def __init__(self, redis: Redis, receiver: Receiver) -> None:
        self.ms = NOW
        self.receiver = receiver
        self.responder = Responder(World.make(redis, self.now), shards=2)
        self.responder._turned_at = {0: NOW, 1: NOW}
        self.metrics = Metrics()
        self.settings = receiver.settings
        self.checks = Checks(redis, self.responder, 2, self.now)
        self.dead_man = DeadMan(redis, lambda: self.settings, self.checks, self.metrics)

    def now(self) -> int:
        return self.ms

    async def signal(self) -> bool:
        async with httpx.AsyncClient() as client:
            return await self.dead_man.signal_if_due(client, self.settings)

    def counted(self) -> dict[str, int]:
        rows = self.metrics.dead_man_signals.collect()[0].samples
        return {row.labels["result"]: int(row.value) for row in rows if row.value}


async def test_while_all_is_well_the_address_is_asked_once_an_interval_by_one_process(
    redis: Redis, receiver: Receiver
) -> None:
    one, two = Process(redis, receiver), Process(redis, receiver)
    assert sorted([await one.signal(), await two.signal(), await one.signal()]) == [False, False, True]
    assert receiver.asked == ["GET /ping/s3cret"]
    assert 59_000 < await redis.pttl(TURN_KEY) <= 60_000
    await redis.delete(TURN_KEY)
    assert await two.signal()
    assert (one.counted(), two.counted()) == ({"sent": 1}, {"sent": 1})


async def test_a_finding_that_waits_for_too_long_holds_it_back(redis: Redis, receiver: Receiver) -> None:
    process = Process(redis, receiver)
    await redis.xadd(findings_key(1), {"x": "y"}, id=f"{NOW - 60_000}-0")
    assert await process.signal()
    process.ms += 1
    await redis.delete(TURN_KEY)
    assert not await process.signal()
    assert process.counted() == {"sent": 1, "held_back": 1}
    assert len(receiver.asked) == 1


async def test_a_responder_that_does_nothing_holds_it_back(redis: Redis, receiver: Receiver) -> None:
    process = Process(redis, receiver)
    process.ms += QUIET_MS
    assert await process.signal()
    process.responder._turned_at[0] = process.ms
    process.ms += 1
    await redis.delete(TURN_KEY)
    assert not await process.signal()
    assert process.counted() == {"sent": 1, "held_back": 1}


async def test_the_address_for_failures_is_asked_instead_where_there_is_one(
    redis: Redis, receiver: Receiver
) -> None:
    process = Process(redis, receiver)
    process.settings = DeadManSettings(
        url=SecretUrl(f"{receiver.url}/ping"), fail_url=SecretUrl(f"{receiver.url}/ping/fail")
    )
    process.ms += QUIET_MS + 1
    assert not await process.signal()
    assert receiver.asked == ["GET /ping/fail"]
    assert process.counted() == {"held_back": 1}


async def test_without_redis_nobody_signals(receiver: Receiver) -> None:
    process = Process(Redis(unix_socket_path="/nowhere.sock"), receiver)
    assert not await process.signal()
    assert (receiver.asked, process.counted()) == ([], {"held_back": 1})


async def test_a_redis_that_takes_no_writes_holds_it_back(redis: Redis, receiver: Receiver) -> None:
    process = Process(redis, receiver)
    await redis.set("x", b"y" * 100)
    await redis.config_set("maxmemory", 1)
    try:
        assert not await process.signal()
    finally:
        await redis.config_set("maxmemory", 0)
    assert (receiver.asked, process.counted()) == ([], {"held_back": 1})


@pytest.mark.parametrize("status", [301, 404, 500])
async def test_a_refusal_is_counted_and_logged_once_without_the_address(
    redis: Redis, receiver: Receiver, status: int
) -> None:
    process = Process(redis, receiver)
    receiver.status = status
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            assert not await process.signal()
            await redis.delete(TURN_KEY)
        receiver.status = 200
        assert await process.signal()
    assert process.counted() == {"failed": 3, "sent": 1}
    assert [(line["result"], line["reason"]) for line in logs] == [
        ("failed", f"status {status}"),
        ("sent", ""),
    ]
    assert "s3cret" not in repr(logs)


async def test_an_address_that_does_not_answer_is_given_up_after_the_timeout(
    redis: Redis, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dead_man.TIMEOUT_S <= 10
    monkeypatch.setattr(dead_man, "TIMEOUT_S", 0.05)
    receiver.answering.clear()
    process = Process(redis, receiver)
    with structlog.testing.capture_logs() as logs:
        assert not await process.signal()
    assert [line["reason"] for line in logs] == ["no answer (TimeoutError)"]


WRONG = ["127.0.0.1:1", "", "[", "[::1", ":80", "a:99999", "a:b", "xn--", "a..b", "-", "%00", "a@", "x" * 300]


@pytest.mark.parametrize(
    "url", [SecretUrl(env="NOT_SET_ANYWHERE"), *(SecretUrl(f"http://{host}/s3cret") for host in WRONG)]
)
async def test_an_address_that_is_wrong_is_a_failure_and_no_more(
    redis: Redis, receiver: Receiver, url: SecretUrl
) -> None:
    process = Process(redis, receiver)
    process.settings = DeadManSettings(url=url)
    with structlog.testing.capture_logs() as logs:
        assert not await process.signal()
    assert process.counted() == {"failed": 1}
    assert "s3cret" not in repr(logs)


async def test_the_task_waits_for_the_responder_and_begins_with_it(
    redis: Redis, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_man, "LOOK_S", 0.001)
    process = Process(redis, receiver)
    stop = asyncio.Event()
    process.responder._turned_at.clear()
    assert not process.checks.has_begun()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(process.dead_man.run(stop))
        task = tasks.create_task(process.responder.run(stop))
        assert await asyncio.to_thread(receiver.heard.wait, 10)
        assert not task.done()
        stop.set()
    assert (receiver.asked, process.counted()) == (["GET /ping/s3cret"], {"sent": 1})
