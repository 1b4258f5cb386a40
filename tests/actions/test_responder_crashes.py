"""A crash between any two steps: nothing is lost and nothing done twice.

The n-th thing sent to Redis fails, for every n there is, in three ways: it never arrives, it arrives and its
answer is lost, or the process is cancelled. Then a new process takes over.
"""

from collections import Counter

import pytest
from acting import IP, NOON, Clock, Ear
from crashes import Fault, crash_at_each_step
from redis.asyncio import Redis
from test_responder import put

from actions.blocks.keys import blocks_key
from actions.incidents.keys import incidents_key
from actions.incidents.timeline import noted_key
from actions.responder import Responder
from actions.storage import text_of
from actions.world import World
from detectors.finding import Action, Finding
from detectors.windows import findings_key, read_finding


@pytest.mark.parametrize("way", ["never arrives", "answer lost", "cancelled"])
async def test_a_crash_between_any_two_steps_loses_nothing_and_repeats_nothing(
    redis: Redis, frail: Redis, clock: Clock, fault: Fault, way: str
) -> None:
    async def prepare() -> None:
        await redis.flushall()
        await redis.script_flush()
        await put(redis, actions=tuple(Action))

    async def run() -> None:
        world = World.make(frail, clock, consumer="crashed", channels=[Ear()])
        world.sender.lease_ms = 0
        await Responder(world, consumer="crashed").drain()

    async def take_over() -> None:
        world = World.make(redis, clock, consumer="next", channels=[Ear()])
        await Responder(world, consumer="next", claim_idle_ms=0).drain()
        await check(redis, clock)

    struck = await crash_at_each_step(fault, frail, prepare=prepare, run=run, take_over=take_over, way=way)
    await check(redis, clock)
    assert struck > 30, "every step was interrupted once"


MANY = 6
QUIET = (Action.BLOCK_IP, Action.INVESTIGATE, Action.ALERT_ADMIN)


@pytest.mark.parametrize(
    ("way", "cut"),
    [
        ("never arrives", "by the same"),
        ("answer lost", "one by one"),
        ("answer lost", "some together"),
        ("cancelled", "one by one"),
    ],
)
async def test_a_crash_among_merged_findings_counts_each_once_however_they_come_again(
    redis: Redis, frail: Redis, clock: Clock, fault: Fault, way: str, cut: str
) -> None:
    findings: list[Finding] = []

    async def prepare() -> None:
        await redis.flushall()
        entries = [await put(redis, actions=QUIET) for _ in range(MANY)]
        findings[:] = await findings_of(redis, entries)

    async def run() -> None:
        world = World.make(frail, clock, consumer="crashed", channels=[Ear()])
        world.sender.lease_ms = 0
        await Responder(world, consumer="crashed").drain()

    async def take_over() -> None:
        world = World.make(redis, clock, consumer="next", channels=[Ear()])
        if cut == "some together":
            await Responder(world).handle(*findings[2:4])
        consumer = "crashed" if cut == "by the same" else "next"
        await Responder(world, consumer=consumer, claim_idle_ms=0).drain()
        await check_merged(redis, clock, findings)

    struck = await crash_at_each_step(fault, frail, prepare=prepare, run=run, take_over=take_over, way=way)
    await check_merged(redis, clock, findings)
    assert struck > 30, "every step was interrupted once"


async def findings_of(redis: Redis, entries: list[bytes]) -> list[Finding]:
    rows = dict(await redis.xrange(findings_key(0)))
    return [read_finding(0, entry, rows[entry]) for entry in entries]


async def check_merged(redis: Redis, clock: Clock, findings: list[Finding]) -> None:
    """Each counted once, each acted upon, alone or in company; one block, one message."""
    world = World.make(redis, clock, channels=[Ear()])
    world.dispatcher.claim_idle_ms = 0
    await world.deliver()
    [incident] = (await world.incidents.page())[0]
    assert (incident.event_count, incident.finding_count) == (10 * MANY, MANY)
    block = await world.blocklist.find_active(IP)
    assert block is not None
    assert (block.strikes, (await world.blocklist.counts())["kept"]) == (1, 1)
    marks = [text_of(await redis.get(incidents_key("seen", f.id))).split() for f in findings]
    for name, leader in marks:
        assert name == incident.id
        assert await redis.exists(noted_key(name, f"{leader} block_ip"))
        assert await redis.exists(noted_key(name, f"{leader} investigate"))
        assert await redis.exists(incidents_key("told", leader))
    lines = Counter(e.kind for e in (await world.timeline.page(incident.id))[0])
    acted = len({leader for _, leader in marks})
    # some that join those already counted act under their id: one more line, no more actions
    assert lines.pop("event_attached", 0) in (acted - 1, acted)
    assert lines == {
        "created": 1,
        "action_taken": 1,
        **({"action_skipped": acted - 1} if acted > 1 else {}),
        "evidence_added": acted,
        "notified": 2,
    }
    told = Counter(n.message.kind.value for n in (await world.outbox.notifications())[0])
    assert told == {"opened": 1, "update": 1}
    assert await redis.xlen(findings_key(0)) == 0


async def check(redis: Redis, clock: Clock) -> None:
    """Exactly one of everything, whatever happened."""
    world = World.make(redis, clock, channels=[Ear()])
    world.dispatcher.claim_idle_ms = 0
    await world.deliver()
    [incident] = (await world.incidents.page())[0]
    assert (incident.event_count, incident.finding_count) == (10, 1)
    block = await world.blocklist.find_active(IP)
    assert block is not None
    assert (block.strikes, block.incident_id, block.until) == (1, incident.id, NOON + 4 * 3_600_000)
    assert await redis.get(blocks_key("strikes", IP)) == b"1"
    assert (await world.blocklist.counts())["kept"] == 1
    assert [c.op for c in (await world.feed.changes("0-0")).entries] == ["add"]
    kinds = [e.kind for e in (await world.timeline.page(incident.id))[0]]
    assert sorted(kinds) == ["action_taken", "created", "evidence_added", "notified"]
    [notification] = (await world.outbox.notifications())[0]
    assert notification.message.incident_id == incident.id
    assert await world.outbox.waiting() == 0
    assert await world.dossiers.find(incident.id) is not None
    assert await redis.xlen(findings_key(0)) == 0
