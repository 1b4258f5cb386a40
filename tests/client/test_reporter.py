"""Reporting events, with a scripted Bartizan: nothing is lost, nothing counts twice, nobody waits."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from bartizan_client import BlocklistClient, key_used, login_failed
from bartizan_client.reporter import BATCH_EVENTS, LONGEST_EVENT_BYTES, Reporter

NOW_S = 1_764_000_000.5
TAKEN = httpx.Response(200, json={"accepted": 1, "rejected": 0, "duplicate": False, "errors": []})


class Ingest:
    """Answers a batch with the next of its answers, then takes all; remembers them."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []
        self.counts: Counter[str] = Counter()

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else TAKEN
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def reporter(self, **options: Any) -> Reporter:
        defaults: dict[str, Any] = {
            "now": lambda: NOW_S,
            "jitter": lambda: 1.0,
            "sleep": self.sleep,
            "linger_s": 0.01,
            "transport": httpx.MockTransport(self.handle),
        }
        return Reporter("http://bartizan.invalid/", "ingest-token", self.counts, **defaults | options)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for request in self.requests for line in request.content.splitlines()]

    @property
    def keys(self) -> list[str]:
        return [request.headers["idempotency-key"] for request in self.requests]


async def all_sent(reporter: Reporter) -> None:
    """Runs it until nothing waits."""
    task = asyncio.create_task(reporter.run())
    async with asyncio.timeout(10):
        while reporter.pending:  # noqa: ASYNC110 - nothing tells when a queue is empty
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task])


async def test_events_go_to_ingest_in_its_own_words() -> None:
    ingest = Ingest()
    reporter = ingest.reporter()
    assert reporter.report(login_failed("203.0.113.9", "alice", path="/login"))
    assert reporter.report(key_used("203.0.113.9", "key-7"), status=200)
    assert reporter.report(client_ip="203.0.113.9", timestamp="2026-01-01T00:00:00Z")
    await all_sent(reporter)
    (request,) = ingest.requests
    assert (request.method, request.url.path) == ("POST", "/v1/events")
    assert request.headers["authorization"] == "Bearer ingest-token"
    login, key, plain = ingest.events
    assert login == {
        "timestamp": "2025-11-24T16:00:00.500Z",
        "category": "authentication",
        "outcome": "failure",
        "client_ip": "203.0.113.9",
        "user": "alice",
        "path": "/login",
    }
    assert (key["api_key_id"], key["status"]) == ("key-7", 200)
    assert plain["timestamp"] == "2026-01-01T00:00:00Z"
    assert ingest.counts == {"events_reported": 3}


async def test_a_batch_has_a_bound_and_a_key_of_its_own() -> None:
    ingest = Ingest()
    reporter = ingest.reporter()
    for number in range(2 * BATCH_EVENTS + 1):
        reporter.report(number=number)
    await all_sent(reporter)
    assert [len(request.content.splitlines()) for request in ingest.requests] == [500, 500, 1]
    assert [event["number"] for event in ingest.events] == list(range(1001))
    assert len(set(ingest.keys)) == 3


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("hangs"),
        httpx.RemoteProtocolError("gone"),
        httpx.Response(503),
        httpx.Response(500),
        httpx.Response(429),
        httpx.Response(401),
        httpx.Response(302, headers={"location": "http://elsewhere.invalid"}),
    ],
)
async def test_a_batch_keeps_its_key_over_its_retries(failure: httpx.Response | Exception) -> None:
    ingest = Ingest(failure, failure, failure)
    reporter = ingest.reporter()
    reporter.report(login_failed("203.0.113.9"))
    await all_sent(reporter)
    assert len(ingest.requests) == 4
    assert len(set(ingest.keys)) == 1
    assert len({request.content for request in ingest.requests}) == 1
    assert ingest.slept == [0.5, 1.0, 2.0]
    assert ingest.counts == {"report_failures": 3, "events_reported": 1}


async def test_retry_after_is_kept() -> None:
    ingest = Ingest(httpx.Response(503, headers={"retry-after": "7"}))
    reporter = ingest.reporter(jitter=lambda: 0.0)
    reporter.report(x=1)
    await all_sent(reporter)
    assert ingest.slept == [7.0]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_is_refused_for_good_is_not_sent_again(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    ingest = Ingest(httpx.Response(status))
    reporter = ingest.reporter()
    reporter.report(x=1)
    await all_sent(reporter)
    assert len(ingest.requests) == 1
    assert ingest.counts == {"events_rejected": 1}
    assert f"for good: {status}" in caplog.text


async def test_records_that_bartizan_sets_aside_are_counted() -> None:
    ingest = Ingest(httpx.Response(200, json={"accepted": 1, "rejected": 1}))
    reporter = ingest.reporter()
    reporter.report(x=1)
    reporter.report(x=2)
    await all_sent(reporter)
    assert ingest.counts == {"events_reported": 1, "events_rejected": 1}


class Nasty:
    def __str__(self) -> str:
        raise KeyboardInterrupt if False else RuntimeError("no text")


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "event",
    [
        {"x": Nasty()},
        {"x": float("nan")},
        {"x": LOOP},
        {("a", "b"): 1},
        {"x": "y" * LONGEST_EVENT_BYTES},
        7,
        "text",
    ],
)
def test_what_cannot_be_reported_is_dropped_and_raises_nothing(
    event: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ingest = Ingest()
    reporter = ingest.reporter()
    assert reporter.report(event) is False
    assert reporter.report(event) is False
    assert ingest.counts == {"events_dropped": 2}
    assert caplog.text.count("an event is not reported") == 1


def test_odd_values_are_written_as_text() -> None:
    assert Ingest().reporter().report(x=object(), y={1, 2}, z=b"\xff", ok="\ud800")


def test_a_full_queue_drops_the_newest() -> None:
    ingest = Ingest()
    reporter = ingest.reporter(queue_size=3)
    assert [reporter.report(number=n) for n in range(5)] == [True, True, True, False, False]
    reporter.flush_now(1)
    assert [event["number"] for event in ingest.events] == [0, 1, 2]
    assert ingest.counts == {"events_dropped": 2, "events_reported": 3}


def test_without_a_token_events_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    client = BlocklistClient("http://bartizan.invalid", "t")
    assert client.report(x=1) is False
    assert client.counts == {"events_dropped": 1}
    assert "report_token" in caplog.text


@pytest.mark.parametrize("is_sync", [True, False])
async def test_the_end_sends_what_waits_with_the_key_of_what_was_under_way(is_sync: bool) -> None:
    ingest = Ingest(httpx.ConnectError("refused"))
    held = asyncio.Event()

    async def sleep(_: float) -> None:
        held.set()
        await asyncio.Event().wait()

    reporter = ingest.reporter(sleep=sleep)
    for number in range(BATCH_EVENTS + 1):
        reporter.report(number=number)
    task = asyncio.create_task(reporter.run())
    await asyncio.wait_for(held.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    if is_sync:
        await asyncio.to_thread(reporter.flush_now, 5)
    else:
        await reporter.flush(5)
    assert ingest.keys[0] == ingest.keys[1] != ingest.keys[2]
    assert ingest.counts == {"report_failures": 1, "events_reported": BATCH_EVENTS + 1}


Flush = Callable[[Reporter], Awaitable[None]]


@pytest.mark.parametrize(
    "flush", [lambda r: r.flush(0.05), lambda r: asyncio.to_thread(r.flush_now, 0.05)], ids=["async", "sync"]
)
async def test_a_flush_ends_in_time_and_says_what_was_not_sent(
    flush: Flush, caplog: pytest.LogCaptureFixture
) -> None:
    ingest = Ingest(*[httpx.ConnectError("refused")] * 100)
    reporter = ingest.reporter()
    reporter.report(x=1)
    async with asyncio.timeout(5):
        await flush(reporter)
    assert reporter.pending == 0
    assert ingest.counts["events_dropped"] == 1
    assert "1 events were not reported before the end" in caplog.text


async def test_events_are_taken_from_any_thread() -> None:
    ingest = Ingest()
    reporter = ingest.reporter()
    task = asyncio.create_task(reporter.run())
    await asyncio.gather(
        *(asyncio.to_thread(lambda: [reporter.report(x=1) for _ in range(200)]) for _ in range(5))
    )
    task.cancel()
    await asyncio.wait([task])
    await reporter.flush(5)
    assert ingest.counts["events_reported"] == 1000


async def test_neither_a_token_nor_an_event_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    ingest = Ingest(httpx.Response(503), httpx.Response(422))
    reporter = ingest.reporter()
    with caplog.at_level(logging.DEBUG, "bartizan_client"):
        reporter.report(password="hunter2")
        await all_sent(reporter)
    assert "hunter2" not in caplog.text
    assert "ingest-token" not in caplog.text
