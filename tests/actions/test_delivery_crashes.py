"""A crash between any two steps of dispatching and sending: nothing is lost, and recorded once."""

from collections import Counter

import pytest
from acting import Clock, Ear
from crashes import Fault, crash_at_each_step
from delivering import a_message, a_world, deliveries, lines, opened, write
from redis.asyncio import Redis

from actions.delivery.dispatch import GROUP
from actions.delivery.letters import keys_of, outbox_key
from actions.delivery.message import MessageKind
from actions.storage import ensure_group
from actions.world import World
from detectors.errors import DeliveryError
from detectors.finding import Severity

TYPES = {"mail": "email", "chat": "slack", "pager": "pagerduty"}


class Half:
    """A mail server, a chat that gathers, a pager that refuses for good: each remembers over all processes."""

    def __init__(self) -> None:
        self.mail, self.chat, self.pager = Ear("mail"), Ear("chat", groups=True), Ear("pager")
        self.pager.failure = DeliveryError("404", permanent=True)

    def world(self, redis: Redis, clock: Clock, consumer: str) -> World:
        world = a_world(redis, clock, self.mail, self.chat, self.pager, types=TYPES, consumer=consumer)
        world.sender.lease_ms = world.dispatcher.claim_idle_ms = 0
        return world


async def run_all(world: World, clock: Clock) -> None:
    await world.deliver()
    clock.forward(30_000)
    await world.deliver()


@pytest.mark.parametrize("way", ["never arrives", "answer lost", "cancelled"])
async def test_a_crash_at_any_step_loses_no_letter_and_records_each_once(
    redis: Redis, frail: Redis, clock: Clock, fault: Fault, way: str
) -> None:
    receivers: list[Half] = []

    async def prepare() -> None:
        await redis.flushall()
        await redis.script_flush()
        receivers[:] = [Half()]
        world = receivers[0].world(redis, clock, "writer")
        await opened(world, 2)
        await opened(world, 1, first=5, severity=Severity.MEDIUM)

    async def run() -> None:
        await run_all(receivers[0].world(frail, clock, "crashed"), clock)

    async def take_over() -> None:
        world = receivers[0].world(redis, clock, "next")
        await run_all(world, clock)
        await check(world, receivers[0], most=2)

    struck = await crash_at_each_step(fault, frail, prepare=prepare, run=run, take_over=take_over, way=way)
    await check(receivers[0].world(redis, clock, "last"), receivers[0], most=1)
    assert struck > 20, "every step was interrupted once"


async def test_a_move_waits_for_the_opening_that_a_dead_process_has_in_hand(
    redis: Redis, clock: Clock
) -> None:
    ear = Ear("pager")
    world = a_world(redis, clock, ear, types={"pager": "pagerduty"})
    await opened(world)
    await ensure_group(redis, outbox_key(), GROUP)
    await redis.xreadgroup(GROUP, "dead", {outbox_key(): ">"})
    await write(world, a_message(kind=MessageKind.ACKNOWLEDGED))
    for _ in range(3):
        await world.deliver()
        clock.forward(1_000)
    assert (ear.heard, await deliveries(world)) == ([], [])
    assert (await world.channel_health.all({"pager"}))[0].failing_since is None
    world.dispatcher.claim_idle_ms = 0
    await world.deliver()
    clock.forward(1_000)
    await world.deliver()
    assert [m.kind for m in ear.heard] == [MessageKind.OPENED, MessageKind.ACKNOWLEDGED]


async def check(world: World, receivers: Half, most: int) -> None:
    """Each channel has heard of each incident, twice where the crash came between sending and recording."""
    for ear, incidents in (receivers.mail, {1, 2}), (receivers.chat, {1, 2}):
        heard = Counter(m.incident_id for m in ear.heard if m.incident_id)
        assert set(heard) == {f"INC-2026-{n:04d}" for n in incidents}
        assert max(heard.values()) <= most
    seen = Counter(found for found in await deliveries(world) if found[2])
    assert seen == {
        **{(name, "delivered", f"INC-2026-000{n}"): 1 for name in ("mail", "chat") for n in (1, 2)},
        **{("pager", "failed", f"INC-2026-000{n}"): 1 for n in (1, 2)},
        ("mail", "digest", "INC-2026-0003"): 1,
    }
    kinds = Counter(kind for kind, _ in await lines(world, "INC-2026-0001"))
    assert kinds == {"notified": 2, "notify_failed": 1}
    assert await lines(world, "INC-2026-0003") == [("not_notified", "not told through mail: daily digest")]
    assert len((await world.dead_letters.page())[0]) == 2
    notices = {name for name, _, incident in await deliveries(world) if not incident}
    assert notices == {"chat"}
    for name in TYPES:
        assert [await world.redis.exists(key) for key in keys_of(name)] == [0, 0, 0, 1]
    assert await world.outbox.waiting() == 0
