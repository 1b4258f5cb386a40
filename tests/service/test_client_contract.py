"""The client and the real service: every scope and type on the way, and an application's own events."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from bartizan_client import BlocklistClient, DecisionType, Scope, SyncBlocklistClient, login_failed
from benchmarks.service import TOKENS, Service, running_service

ADMIN = {"Authorization": f"Bearer {TOKENS['admin']}"}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running_service() as started:
        yield started


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


async def decide(http: httpx.AsyncClient, **request: Any) -> str:
    answer = await http.post("/v1/admin/blocks", json={"duration": "1h", "reason": "test", **request})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_every_scope_and_type_arrives_and_ends(service: Service) -> None:
    client = BlocklistClient(service.url, TOKENS["lookup"], snapshot=None)
    async with client, httpx.AsyncClient(base_url=service.url, headers=ADMIN, timeout=20) as http:
        ids = [
            await decide(http, value="203.0.113.7", type="captcha"),
            await decide(http, value="203.0.113.8", type="throttle"),
            await decide(http, value="203.0.113.128/25"),
            await decide(http, value="FR", scope="Country"),
            await decide(http, value="AS64500", scope="AS", type="captcha"),
            await decide(http, value="alice", scope="User"),
        ]
        await until(lambda: len(client.table) == len(ids))
        blocked = [client.is_blocked(f"203.0.113.{n}") for n in (7, 8, 9, 200)]
        assert blocked == [True, False, False, True], "by the policy's fallback: captcha ban, throttle ignore"
        throttled = client.table.find("203.0.113.8", [DecisionType.THROTTLE])
        assert throttled is not None
        assert (throttled.id, throttled.type, throttled.scope) == (ids[1], DecisionType.THROTTLE, Scope.IP)
        system = client.table.find_subject(Scope.AS, "64500")
        assert system is not None
        assert system.type is DecisionType.CAPTCHA
        assert client.table.find_subject(Scope.COUNTRY, "FR") is not None
        assert client.status().decisions == {
            "ban": 3,
            "captcha": 2,
            "throttle": 1,
            "Country": 1,
            "AS": 1,
            "User": 1,
        }
        for id in ids:
            assert (await http.delete(f"/v1/admin/blocks/{id}?reason=test")).status_code < 300
        await until(lambda: len(client.table) == 0)


async def test_a_stronger_type_takes_the_place_of_a_weaker_one(service: Service) -> None:
    client = BlocklistClient(service.url, TOKENS["lookup"], snapshot=None)
    async with client, httpx.AsyncClient(base_url=service.url, headers=ADMIN, timeout=20) as http:
        await decide(http, value="203.0.113.20", type="throttle")
        await until(lambda: client.table.counts()["throttle"] == 1)
        await decide(http, value="203.0.113.20", type="ban")
        await until(lambda: client.is_blocked("203.0.113.20"))
        assert client.table.counts()["throttle"] == 0


async def test_reported_events_are_counted_and_block_even_over_a_restart(service: Service) -> None:
    """Nine while the service is away, one after it is back: ten in all, none of them twice."""
    client = BlocklistClient(
        service.url, TOKENS["lookup"], report_token=TOKENS["ingest"], snapshot=None, jitter=lambda: 0.0
    )
    async with client:
        service.kill()
        for _ in range(9):
            assert client.report(login_failed("203.0.113.30", "alice", path="/login"))
        await until(lambda: client.counts["report_failures"] > 0)
        await asyncio.to_thread(service.start_again)
        await until(lambda: client.counts["events_reported"] == 9, seconds=40)
        assert not client.is_blocked("203.0.113.30")
        client.report(login_failed("203.0.113.30", "alice", path="/login"))
        await until(lambda: client.is_blocked("203.0.113.30"))
    assert client.counts["events_reported"] == 10
    assert client.counts["events_dropped"] == 0


def test_what_waits_is_sent_at_the_end(service: Service) -> None:
    client = SyncBlocklistClient(
        service.url, TOKENS["lookup"], report_token=TOKENS["ingest"], snapshot=None, flush_s=10
    )
    for _ in range(10):
        client.report(login_failed("203.0.113.40", "bob"))
    client.close()
    assert client.counts["events_reported"] == 10
    with SyncBlocklistClient(service.url, TOKENS["lookup"], snapshot=None) as other:
        deadline = time.monotonic() + 20
        while not other.is_blocked("203.0.113.40"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
