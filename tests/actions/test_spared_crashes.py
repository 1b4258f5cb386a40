"""A crash between any two steps about a claimed bot: people are told once, and the block is judged again once."""

from collections import Counter

import pytest
from acting import Clock, Ear
from crashes import Fault, crash_at_each_step
from name_servers import GOOGLEBOT, free_port
from redis.asyncio import Redis
from test_verified_bots import put_claim

from actions.blocks.reverse_dns import ReverseDns
from actions.blocks.verified_bots import again_key
from actions.responder import Responder
from actions.world import World
from detectors.windows import findings_key


@pytest.mark.parametrize("way", ["never arrives", "answer lost"])
@pytest.mark.parametrize("is_verified", [True, False])
async def test_a_crash_at_any_step_changes_nothing_in_the_end(
    redis: Redis, frail: Redis, clock: Clock, fault: Fault, name_server: str, way: str, is_verified: bool
) -> None:
    server = name_server if is_verified else f"127.0.0.1:{free_port()}"
    dns = ReverseDns((server,), budget_s=5 if is_verified else 0.05)

    async def prepare() -> None:
        await redis.flushall()
        await redis.script_flush()
        await put_claim(redis, GOOGLEBOT)

    async def run() -> None:
        world = World.make(frail, clock, consumer="crashed", channels=[Ear()], dns=dns)
        world.sender.lease_ms = 0
        await Responder(world, consumer="crashed").drain()

    async def take_over() -> None:
        world = World.make(redis, clock, consumer="next", channels=[Ear()], dns=dns)
        await Responder(world, consumer="next", claim_idle_ms=0).drain()
        await check(redis, clock, is_verified)

    struck = await crash_at_each_step(fault, frail, prepare=prepare, run=run, take_over=take_over, way=way)
    await check(redis, clock, is_verified)
    assert struck > 20, "every step was interrupted once"


async def check(redis: Redis, clock: Clock, is_verified: bool) -> None:
    world = World.make(redis, clock, channels=[Ear()])
    world.dispatcher.claim_idle_ms = 0
    await world.deliver()
    [incident] = (await world.incidents.page())[0]
    assert (incident.event_count, incident.finding_count) == (10, 1)
    kinds = Counter(e.kind for e in (await world.timeline.page(incident.id))[0])
    notes = {"action_skipped": 1, "notified": 1} if is_verified else {"action_taken": 1, "evidence_added": 1}
    assert kinds == {"created": 1, **notes}
    assert len((await world.outbox.notifications())[0]) == int(is_verified)
    assert (await world.blocklist.find_active(GOOGLEBOT) is None) == is_verified
    assert await redis.zcard(again_key()) == int(not is_verified)
    assert await redis.xlen(findings_key(0)) == 0
