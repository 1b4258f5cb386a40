"""Messages are dispatched to their channels and recorded, and none is lost on the way."""

import asyncio

from acting import ALICE, Clock, Ear, Tally, a_finding
from delivering import a_message, a_world, deliveries, lines, log_of, opened, write
from redis.asyncio import Redis

from actions.delivery.dispatch import GROUP
from actions.delivery.letters import keys_of
from actions.delivery.message import Message, MessageKind
from actions.delivery.outbox import LogChannel, notifications_key, outbox_key
from actions.delivery.routing import Routes, Timing
from actions.incidents.runbook import runbook_of
from actions.incidents.status import Move, Verdict
from actions.storage import ensure_group
from actions.world import World
from detectors.finding import Severity


async def test_a_message_is_sent_recorded_and_gone(
    world: World, ear: Ear, redis: Redis, tally: Tally
) -> None:
    [incident] = await opened(world)
    assert await world.outbox.waiting() == 1
    assert await world.deliver() == 1
    assert await world.deliver() == 0
    [message] = ear.heard
    assert (message.incident_id, message.rule, message.subject) == (incident.id, "auth_failures", "192.0.2.0")
    [letter] = ear.letters
    assert (letter.channel, letter.incident, letter.total) == ("ear", incident, 1)
    [notification] = await log_of(world)
    assert (notification.channel, notification.status, notification.message) == ("ear", "delivered", message)
    assert await lines(world, incident.id) == [("notified", "told through ear: opened")]
    assert await world.outbox.waiting() == 0
    assert (await redis.xpending(outbox_key(), GROUP))["pending"] == 0
    assert [await redis.exists(key) for key in keys_of("ear")] == [0, 0, 0, 1]
    assert tally.counted["messages channel=ear result=delivered"] == 1


async def test_a_row_taken_by_a_process_that_died_is_dispatched_by_another(
    world: World, redis: Redis, clock: Clock, ear: Ear
) -> None:
    await opened(world)
    await ensure_group(redis, outbox_key(), GROUP)
    await redis.xreadgroup(GROUP, "dead", {outbox_key(): ">"})
    assert await world.deliver() == 0
    other = a_world(redis, clock, ear, consumer="two")
    other.dispatcher.claim_idle_ms = 0
    assert await other.deliver() == 1
    assert len(ear.heard) == 1
    assert await world.outbox.waiting() == 0


async def test_a_process_begins_with_the_rows_it_had_taken_itself(
    world: World, redis: Redis, ear: Ear
) -> None:
    await opened(world)
    await ensure_group(redis, outbox_key(), GROUP)
    await redis.xreadgroup(GROUP, "one", {outbox_key(): ">"})
    assert await world.deliver() == 1


async def test_a_message_in_a_hundred_hands_at_once_is_one_letter_sent_once(
    world: World, redis: Redis, clock: Clock, ear: Ear
) -> None:
    await opened(world)
    worlds = [a_world(redis, clock, ear, consumer=str(n)) for n in range(100)]
    for each in worlds:
        each.dispatcher.claim_idle_ms = 0
    for start in range(0, 100, 25):
        await asyncio.gather(*(each.dispatcher.step() for each in worlds[start : start + 25]))
    for start in range(0, 100, 25):
        await asyncio.gather(*(each.sender.step() for each in worlds[start : start + 25]))
    assert len(ear.letters) == len(await log_of(world)) == 1
    assert await world.outbox.waiting() == 0


async def test_a_message_goes_to_each_channel_that_the_policy_names_and_a_digest_takes_the_rest(
    redis: Redis, clock: Clock, tally: Tally
) -> None:
    mail, chat, own = Ear("mail"), Ear("chat"), Ear("log")
    types = {"mail": "email", "chat": "slack", "log": "log"}
    world = a_world(redis, clock, mail, chat, own, tally=tally, types=types)
    [high] = await opened(world)
    [medium] = await opened(world, first=1, severity=Severity.MEDIUM)
    await world.deliver()
    assert [len(each.heard) for each in (mail, chat, own)] == [1, 1, 2]
    assert ("mail", "digest", medium.id) in await deliveries(world)
    assert await lines(world, medium.id) == [("not_notified", "not told through mail: daily digest")]
    assert [kind for kind, _ in await lines(world, high.id)] == ["notified", "notified"]
    assert tally.counted["messages channel=mail result=digest"] == 1


async def test_what_no_route_names_is_said_to_be_told_to_nobody(redis: Redis, clock: Clock) -> None:
    mail, own = Ear("mail"), Ear("log")
    world = a_world(redis, clock, mail, own)
    world.take_routes(Routes(types={"mail": "email", "log": "log"}, routes=()), Timing())
    [incident] = await opened(world)
    await world.deliver()
    assert (mail.heard, len(own.heard)) == ([], 1)
    assert await lines(world, incident.id) == [("not_notified", "not told: no route")]
    assert ("", "unrouted", incident.id) in await deliveries(world)


async def test_what_is_muted_is_recorded_with_what_muted_it(redis: Redis, clock: Clock, ear: Ear) -> None:
    class Silence:
        async def muted_by(self, message: Message, now: int) -> str | None:
            return "silence 12" if message.rule == "auth_failures" else None

    own = Ear("log")
    world = a_world(redis, clock, ear, own)
    world.dispatcher.muting = Silence()
    [muted] = await opened(world)
    await opened(world, first=1, rule="security_breach")
    await write(world, a_message(kind=MessageKind.NOTICE, incident_id=""))
    await world.deliver()
    assert [m.rule for m in ear.heard] == ["security_breach", "auth_failures"]
    assert len(own.heard) == 3
    assert await lines(world, muted.id) == [("not_notified", "not told through ear: muted_by silence 12")]
    assert ("ear", "muted", muted.id) in await deliveries(world)


async def test_an_installation_with_nothing_but_its_log_keeps_timelines_quiet(
    redis: Redis, clock: Clock
) -> None:
    world = World.make(redis, clock)
    [incident] = await opened(world)
    await world.deliver()
    assert await deliveries(world) == [("log", "delivered", incident.id)]
    assert await lines(world, incident.id) == []


async def test_the_log_of_deliveries_is_paged_and_filtered(world: World) -> None:
    await opened(world, 5)
    await world.deliver()
    first, cursor = await world.outbox.notifications(limit=3)
    second, end = await world.outbox.notifications(cursor=cursor, limit=3)
    ids = [n.message.incident_id[-1] for n in first + second]
    assert ids == ["5", "4", "3", "2", "1"]
    assert end is None
    [one] = (await world.outbox.notifications(incident_id="INC-2026-0002"))[0]
    assert one.message.subject == "192.0.2.1"
    assert len((await world.outbox.notifications(channel="ear", status="delivered"))[0]) == 5
    for other in ({"channel": "mail"}, {"status": "failed"}):
        assert (await world.outbox.notifications(**other))[0] == []


async def test_the_log_channel_takes_any_text(redis: Redis, clock: Clock) -> None:
    world = World.make(redis, clock, channels=[LogChannel()])
    finding = a_finding(why="%s {0} \x1b[31m </script> \u202e \0", subject="{act}%n")
    await world.incidents.open_or_join(finding, tell=True)
    assert await world.deliver() == 1
    first, _, _ = (await world.outbox.notifications())[0][0].message.text.partition("\n")
    assert first == finding.why


async def test_a_message_says_in_its_second_line_what_to_do_first(world: World, ear: Ear) -> None:
    await opened(world)
    await world.deliver()
    _, *rest = ear.heard[0].text.splitlines()
    assert rest == [f"What to do first: {runbook_of('auth_failures').act}"]


async def test_a_person_who_moves_an_incident_is_told_nothing_himself(world: World, redis: Redis) -> None:
    await opened(world, 3)
    await world.deliver()
    assert await redis.xlen(notifications_key()) == 3
    await world.moves.move("INC-2026-0001", Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    assert await world.outbox.waiting() == 1


async def test_a_row_that_cannot_be_read_does_not_stop_the_others(
    world: World, redis: Redis, ear: Ear, tally: Tally
) -> None:
    await redis.xadd(outbox_key(), {"m": "{}"})
    await redis.xadd(outbox_key(), {"x": "y"})
    await opened(world)
    assert await world.dispatcher.step() == 3
    await world.deliver()
    assert len(ear.heard) == len(await log_of(world)) == 1
    assert await world.outbox.waiting() == 0
    assert tally.counted["messages channel=none result=unreadable"] == 2
