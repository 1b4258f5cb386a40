"""The health checker: asks once per interval over all processes, tries again, counts the answer."""

import httpx
import pytest
from redis.asyncio import Redis

from app.health_check import HealthChecker, turn_key
from app.policies.health import HealthCheck
from app.policies.policy import load_policy
from detectors.errors import StorageError
from detectors.event import Batch

NOW = 1_764_000_000_000
CHECK = HealthCheck("https://api.example/up?deep=1", interval_ms=60_000, timeout_ms=1000, retries=2)
POLICY = load_policy("health_check: {endpoint: 'https://api.example/up'}", "policy.yaml")


class Site:
    """A site that answers what it is told to, and the checker that asks it."""

    def __init__(self, redis: Redis, answers: list[int | Exception]) -> None:
        self.answers = answers
        self.asked = 0
        self.batches: list[Batch] = []
        self.checker = HealthChecker(redis, lambda: POLICY, self.take, lambda: NOW)

    async def take(self, batch: Batch) -> None:
        self.batches.append(batch)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found)

    async def check(self) -> bool:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self.answer)) as client:
            return await self.checker.check_if_due(client, CHECK)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.health_check.RETRY_S", 0)


async def test_a_good_answer_is_counted_as_one(redis: Redis) -> None:
    site = Site(redis, [204])
    assert await site.check()
    event = site.batches[0].events[0]
    assert (event.category, event.outcome, event.status) == ("health_check", "success", 204)
    assert (event.host, event.path, event.timestamp) == ("api.example", "/up", NOW)
    assert b"deep" not in site.batches[0].records[0]


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([500, 500, 503], 503),
        ([500, 500, httpx.ConnectError("refused")], None),
        ([httpx.ReadTimeout("slow")] * 3, None),
    ],
)
async def test_it_is_ill_only_when_every_attempt_failed(
    redis: Redis, answers: list[int | Exception], status: int | None
) -> None:
    site = Site(redis, answers)
    assert await site.check()
    assert site.asked == 3
    event = site.batches[0].events[0]
    assert (event.outcome, event.status) == ("failure", status)


async def test_it_is_well_when_a_later_attempt_succeeds(redis: Redis) -> None:
    site = Site(redis, [500, 200])
    await site.check()
    assert [batch.events[0].outcome for batch in site.batches] == ["success"]


async def test_of_several_processes_one_checks_in_an_interval(redis: Redis) -> None:
    first, second = Site(redis, [200]), Site(redis, [200])
    assert [await first.check(), await second.check()] == [True, False]
    assert 59_000 < await redis.pttl(turn_key(CHECK)) <= 60_000
    await redis.delete(turn_key(CHECK))
    assert await second.check()


async def test_without_redis_it_says_so_and_asks_nobody() -> None:
    site = Site(Redis(unix_socket_path="/nowhere.sock"), [200])
    with pytest.raises(StorageError):
        await site.check()
    assert site.asked == 0
