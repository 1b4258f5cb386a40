"""The look at whether a digest is due."""

from types import SimpleNamespace
from typing import Any

from redis.asyncio import Redis
from structlog.testing import capture_logs

from actions.world import World
from app.digests import digest_look
from app.metrics import Metrics
from app.policies.policy import Policy, load_policy

HOUR = 3_600_000
NIGHT = 1_795_305_600_000
"""2026-11-22T00:00Z."""
NONE = "security_alerts: {auth_failures: {}}\n"
DAILY = NONE + "digests: {daily: {channels: [mail]}}\nchannels: {mail: {type: slack, url_env: X}}\n"


def a_world(redis: Redis, clock: list[int], text: str) -> Any:
    actions = World.make(redis, lambda: clock[0])
    policy = SimpleNamespace(current=load_policy(text, "p.yaml"))
    return SimpleNamespace(actions=actions, policy=policy, metrics=Metrics())


async def test_it_sends_by_the_policy_in_force_and_says_so_in_the_log(redis: Redis) -> None:
    clock = [NIGHT]
    world = a_world(redis, clock, NONE)
    look = digest_look(world)
    policies: list[tuple[str, Policy]] = [("off", world.policy.current), ("on", load_policy(DAILY, "p.yaml"))]
    sent: list[tuple[str, str]] = []
    for name, policy in policies:
        world.policy.current = policy
        for _ in range(48):
            with capture_logs() as logs:
                await look()
            sent += [(name, entry["first_day"]) for entry in logs if entry["event"] == "digest_sent"]
            clock[0] += HOUR
    assert sent == [("on", "2026-11-23"), ("on", "2026-11-24")]
    assert await world.actions.outbox.waiting() == 2


async def test_a_redis_that_is_away_is_counted_each_time_and_logged_once() -> None:
    away = Redis.from_url("redis://127.0.0.1:1")
    world = a_world(away, [NIGHT], DAILY)
    look = digest_look(world)
    with capture_logs() as logs:
        for _ in range(3):
            await look()
    assert [entry["event"] for entry in logs] == ["digests_not_sent"]
    assert 'bartizan_storage_errors_total{place="digests"} 3.0' in world.metrics.render().decode()
    await away.aclose()
