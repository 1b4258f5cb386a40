"""A crash between any two steps of a recovery: the incident is resolved once, and people are told once."""

from collections import Counter

import pytest
from acting import NOON, Clock, Ear
from crashes import Fault, crash_at_each_step
from redis.asyncio import Redis
from test_recovery_of_incidents import HOST, RULE

from actions.responder import Responder
from actions.world import World
from detectors.windows import Group, Windows, findings_key, meta_of


@pytest.mark.parametrize("way", ["never arrives", "answer lost"])
@pytest.mark.parametrize(
    ("goods", "status"), [([0, 0, 0, 1, 1], "resolved"), ([0, 0, 0, 1, 1, 0, 0, 0], "triggered")]
)
async def test_a_crash_at_any_step_changes_nothing_in_the_end(
    redis: Redis, frail: Redis, clock: Clock, fault: Fault, way: str, goods: list[int], status: str
) -> None:
    times = [NOON + number for number in range(len(goods))]

    async def prepare() -> None:
        await redis.flushall()
        await redis.script_flush()
        await Windows(redis).apply(
            [Group(RULE, HOST, RULE.name, meta_of(RULE, HOST), times, goods, [])], None
        )

    async def run() -> None:
        world = World.make(frail, clock, consumer="crashed", channels=[Ear()])
        world.sender.lease_ms = 0
        await Responder(world, consumer="crashed").drain()

    async def take_over() -> None:
        world = World.make(redis, clock, consumer="next", channels=[Ear()])
        await Responder(world, consumer="next", claim_idle_ms=0).drain()
        await check(redis, clock, status)

    struck = await crash_at_each_step(fault, frail, prepare=prepare, run=run, take_over=take_over, way=way)
    await check(redis, clock, status)
    assert struck > 20, "every step was interrupted once"


async def check(redis: Redis, clock: Clock, status: str) -> None:
    world = World.make(redis, clock, channels=[Ear()])
    world.dispatcher.claim_idle_ms = 0
    await world.deliver()
    [incident] = (await world.incidents.page())[0]
    assert incident.status == status
    entries = (await world.timeline.page(incident.id))[0]
    kinds = Counter(e.kind for e in entries if e.kind not in ("notified", "not_notified"))
    relapsed = {"reopened": 1, "event_attached": 1} if status == "triggered" else {}
    assert kinds == {"created": 1, "resolved": 1, **relapsed}
    told = Counter(n.message.kind.value for n in (await world.outbox.notifications())[0])
    assert told == {"opened": 1, "resolved": 1} | ({"reopened": 1} if relapsed else {})
    assert await redis.xlen(findings_key(0)) == 0
