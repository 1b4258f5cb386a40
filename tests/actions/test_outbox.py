"""Messages are delivered and recorded, and none is lost."""

import asyncio

from acting import ALICE, Clock, Ear, Tally, a_finding
from redis.asyncio import Redis

from actions.incident_status import Move, Verdict
from actions.outbox import ATTEMPTS, GROUP, LogChannel, Outbox, notifications_key, outbox_key
from actions.runbook import runbook_of
from actions.storage import ensure_group
from actions.world import World
from detectors.errors import DeliveryError


async def told(world: World, count: int = 1) -> None:
    for n in range(count):
        await world.incidents.open_or_join(a_finding(n, subject=f"192.0.2.{n}"), tell=True)


async def test_a_message_is_sent_recorded_and_gone(
    world: World, ear: Ear, redis: Redis, tally: Tally
) -> None:
    await told(world)
    assert await world.outbox.waiting() == 1
    assert await world.outbox.deliver() == 1
    assert await world.outbox.deliver() == 0
    [message] = ear.heard
    assert (message.incident_id, message.rule, message.subject) == (
        "INC-2026-0001",
        "auth_failures",
        "192.0.2.0",
    )
    [notification] = (await world.outbox.notifications())[0]
    assert (notification.channel, notification.status, notification.message) == ("ear", "delivered", message)
    assert await world.outbox.waiting() == 0
    assert (await redis.xpending(outbox_key(), GROUP))["pending"] == 0
    assert tally.counted["messages channel=ear result=delivered"] == 1


async def test_a_message_taken_by_a_process_that_died_is_sent_by_another(
    world: World, redis: Redis, clock: Clock, ear: Ear
) -> None:
    await told(world)
    await ensure_group(redis, outbox_key(), GROUP)
    await redis.xreadgroup(GROUP, "dead", {outbox_key(): ">"})
    assert await world.outbox.deliver() == 0
    other = Outbox(redis, clock, consumer="two", channels=[ear], claim_idle_ms=0)
    assert await other.deliver() == 1
    assert len(ear.heard) == 1
    assert await world.outbox.waiting() == 0


async def test_a_message_sent_by_two_at_once_is_recorded_once(
    world: World, redis: Redis, clock: Clock, ear: Ear
) -> None:
    await told(world)
    others = [Outbox(redis, clock, consumer=str(n), channels=[ear], claim_idle_ms=0) for n in range(10)]
    await asyncio.gather(*(o.deliver() for o in others))
    assert len((await world.outbox.notifications())[0]) == 1
    assert await world.outbox.waiting() == 0


async def test_a_message_that_can_never_arrive_is_recorded_as_failed(world: World, ear: Ear) -> None:
    await told(world)
    ear.failure = DeliveryError("404 no such channel", permanent=True)
    assert await world.outbox.deliver() == 1
    [notification] = (await world.outbox.notifications())[0]
    assert (notification.status, notification.error) == ("failed", "404 no such channel")


async def test_a_message_that_fails_for_now_is_tried_again_and_given_up_in_the_end(
    world: World, redis: Redis, clock: Clock, ear: Ear
) -> None:
    await told(world)
    outbox = Outbox(redis, clock, channels=[ear], claim_idle_ms=0)
    ear.failure = DeliveryError("429", permanent=False)
    for _ in range(ATTEMPTS - 1):
        assert await outbox.deliver() == 0
        assert await outbox.waiting() == 1
    assert await outbox.deliver() == 1
    assert (await outbox.notifications())[0][0].status == "failed"


async def test_a_message_that_failed_once_arrives_later(
    world: World, redis: Redis, clock: Clock, ear: Ear
) -> None:
    await told(world)
    outbox = Outbox(redis, clock, channels=[ear], claim_idle_ms=0)
    ear.failure = DeliveryError("429", permanent=False)
    await outbox.deliver()
    ear.failure = None
    assert await outbox.deliver() == 1
    assert len(ear.heard) == 1


async def test_the_log_of_deliveries_is_paged_and_filtered(world: World) -> None:
    await told(world, 5)
    await world.outbox.deliver()
    first, cursor = await world.outbox.notifications(limit=3)
    second, end = await world.outbox.notifications(cursor=cursor, limit=3)
    ids = [n.message.incident_id[-1] for n in first + second]
    assert ids == ["5", "4", "3", "2", "1"]
    assert end is None
    [one] = (await world.outbox.notifications(incident_id="INC-2026-0002"))[0]
    assert one.message.subject == "192.0.2.1"


async def test_the_log_channel_takes_any_text(world: World, redis: Redis, clock: Clock) -> None:
    finding = a_finding(why="%s {0} \x1b[31m </script> \u202e", subject="{act}%n")
    await world.incidents.open_or_join(finding, tell=True)
    outbox = Outbox(redis, clock, channels=[LogChannel()])
    assert await outbox.deliver() == 1
    first, _, _ = (await outbox.notifications())[0][0].message.text.partition("\n")
    assert first == finding.why


async def test_a_message_says_in_its_second_line_what_to_do_first(world: World, ear: Ear) -> None:
    await told(world)
    await world.outbox.deliver()
    _, *rest = ear.heard[0].text.splitlines()
    assert rest == [f"What to do first: {runbook_of('auth_failures').act}"]


async def test_the_log_of_deliveries_is_bounded(world: World, redis: Redis) -> None:
    await told(world, 3)
    await world.outbox.deliver()
    assert await redis.xlen(notifications_key()) == 3
    await world.moves.move("INC-2026-0001", Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    assert await world.outbox.waiting() == 1


async def test_a_row_that_cannot_be_read_does_not_stop_the_others(
    world: World, redis: Redis, ear: Ear, tally: Tally
) -> None:
    await redis.xadd(outbox_key(), {"m": "{}"})
    await redis.xadd(outbox_key(), {"x": "y"})
    await told(world)
    assert await world.outbox.deliver() == 3
    assert len(ear.heard) == len((await world.outbox.notifications())[0]) == 1
    assert await world.outbox.waiting() == 0
    assert tally.counted["messages channel=none result=unreadable"] == 2
