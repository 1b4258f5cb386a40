"""Each period's digest once: whatever crashes, whoever sleeps, however many processes there are."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from acting import ALICE, DAY, HOUR, MINUTE, Clock, a_finding
from crashes import Fault, crash_at_each_step
from redis.asyncio import Redis

from actions.delivery.message import Message, MessageKind
from actions.digests.periods import DigestPlan, Rhythm, Schedule, period_of
from actions.digests.sender import MARK_TTL_MS, DigestSender, digest_key
from actions.errors import ConflictError
from actions.storage import act_key
from actions.world import World
from detectors.errors import StorageError

DAILY, WEEKLY = Schedule(Rhythm.DAILY, 420, ("mail",)), Schedule(Rhythm.WEEKLY, 480, ("chat",))


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def sender(world: World, *schedules: Schedule, timezone: str = "UTC") -> DigestSender:
    return DigestSender(world, lambda: DigestPlan(schedules or (DAILY,), timezone))


async def waiting(redis: Redis) -> list[Message]:
    """The digests that were queued, in order."""
    rows = await redis.xrange(act_key("outbox"))
    found = [msgspec.json.decode(fields[b"m"], type=Message) for _, fields in rows]
    return [message for message in found if message.kind is MessageKind.DIGEST]


async def begun(
    world: World, clock: Clock, at: str = "2026-11-23T12:00", *schedules: Schedule
) -> DigestSender:
    """A service whose digests were switched on at this time."""
    clock.ms = ms(at)
    found = sender(world, *schedules)
    assert await found.send_due() == []
    return found


async def test_a_digest_is_sent_at_its_time_and_not_again(world: World, clock: Clock, redis: Redis) -> None:
    digests = await begun(world, clock, "2026-11-24T12:00")
    clock.ms = ms("2026-11-25T06:59:59.999")
    assert await digests.send_due() == []
    clock.ms = ms("2026-11-25T07:00")
    [period] = await digests.send_due()
    assert period.days_text == "24 Nov 2026"
    for _ in range(3):
        clock.forward(30_000)
        assert await digests.send_due() == []
    [message] = await waiting(redis)
    assert message.title == "Daily digest, 24 Nov 2026: nothing happened"
    assert message.channels == ("mail",)
    assert await redis.get("bartizan:{act}:digest:daily:2026-11-24") == b"sent"
    assert MARK_TTL_MS - 1000 < await redis.pttl(digest_key(period)) <= MARK_TTL_MS


async def test_two_weeks_of_looks_send_each_digest_once(world: World, clock: Clock, redis: Redis) -> None:
    digests = await begun(world, clock, "2026-11-15T12:00", DAILY, WEEKLY)
    while clock.ms < ms("2026-12-01T00:00"):
        await digests.send_due()
        clock.forward(20 * MINUTE)
    sent = [message.title.partition(":")[0] for message in await waiting(redis)]
    assert [title for title in sent if title.startswith("Weekly")] == [
        "Weekly digest, 9 to 15 Nov 2026",
        "Weekly digest, 16 to 22 Nov 2026",
        "Weekly digest, 23 to 29 Nov 2026",
    ]
    assert [title for title in sent if title.startswith("Daily")] == [
        f"Daily digest, {day} Nov 2026" for day in range(15, 30)
    ]


@pytest.mark.parametrize(("changed", "first"), [("2026-03-29", 26), ("2026-10-25", 22)])
async def test_each_digest_is_sent_once_where_the_clock_is_changed(
    world: World, clock: Clock, redis: Redis, changed: str, first: int
) -> None:
    schedule = Schedule(Rhythm.DAILY, 150)  # 02:30, skipped in March, and shown twice in October
    digests = sender(world, schedule, timezone="Europe/Berlin")
    clock.ms = ms(f"{changed}T00:00") - 2 * DAY
    sent = []
    for _ in range(4 * 24 * 4):
        sent += await digests.send_due()
        clock.forward(15 * MINUTE)
    assert [period.first_day.day for period in sent] == [first, first + 1, first + 2, first + 3]
    hours = [(period.to_ms - period.from_ms) / HOUR for period in sent]
    assert hours == [24, 24, 24, 23 if changed.endswith("29") else 25]


async def test_what_was_due_while_the_service_was_down_is_sent_at_its_start(
    world: World, clock: Clock, redis: Redis
) -> None:
    await begun(world, clock, "2026-11-24T12:00")
    clock.ms = ms("2026-11-26T06:59")
    assert [p.days_text for p in await sender(world).send_due()] == ["24 Nov 2026"]


async def test_older_ones_are_left_out_and_the_next_one_says_so(
    world: World, clock: Clock, redis: Redis
) -> None:
    await begun(world, clock, "2026-11-20T12:00")
    clock.ms = ms("2026-11-24T12:00")
    assert [p.days_text for p in await sender(world).send_due()] == ["23 Nov 2026"]
    [message] = await waiting(redis)
    assert message.title == "Daily digest, 23 Nov 2026: 0 incidents, 0 resolved, 0 blocks"
    assert "No daily digest was sent for 20 Nov 2026, 21 Nov 2026, 22 Nov 2026" in message.text
    clock.forward(DAY)
    await sender(world).send_due()
    assert "No daily digest" not in (await waiting(redis))[-1].text


async def test_of_many_that_are_missing_the_newest_are_named(
    world: World, clock: Clock, redis: Redis
) -> None:
    await begun(world, clock, "2026-10-25T12:00")
    clock.ms = ms("2026-11-24T12:00")
    await sender(world).send_due()
    [message] = await waiting(redis)
    assert "No daily digest was sent for 22 before and 16 Nov 2026, 17 Nov 2026" in message.text


async def test_digests_that_are_switched_on_begin_with_the_next_one(
    world: World, clock: Clock, redis: Redis
) -> None:
    digests = await begun(world, clock, "2026-11-23T12:00")
    assert await waiting(redis) == []
    assert await redis.get("bartizan:{act}:digest:daily:2026-11-22") == b"begun"
    clock.ms = ms("2026-11-24T07:00")
    assert [p.days_text for p in await digests.send_due()] == ["23 Nov 2026"]


async def test_none_is_sent_where_the_policy_names_none(world: World, clock: Clock, redis: Redis) -> None:
    digests = DigestSender(world, DigestPlan)
    for _ in range(50):
        assert await digests.send_due() == []
        clock.forward(HOUR)
    assert await redis.keys("*digest*") == []


async def test_an_empty_one_is_left_out_where_the_policy_says_so(
    world: World, clock: Clock, redis: Redis
) -> None:
    quiet = Schedule(Rhythm.DAILY, 420, ("mail",), skip_empty=True)
    digests = await begun(world, clock, "2026-11-23T12:00", quiet)
    clock.ms = ms("2026-11-24T07:00")
    assert await digests.send_due() == []
    assert await redis.get("bartizan:{act}:digest:daily:2026-11-23") == b"empty"
    await world.incidents.open_or_join(a_finding(at=clock.ms))
    assert await digests.send_due() == [], "what came later is the next one's"
    clock.forward(DAY)
    assert [p.days_text for p in await digests.send_due()] == ["24 Nov 2026"]
    assert "No daily digest" not in (await waiting(redis))[0].text


async def test_a_policy_that_changes_sends_no_period_twice(world: World, clock: Clock, redis: Redis) -> None:
    await begun(world, clock, "2026-11-23T12:00")
    clock.ms = ms("2026-11-24T07:00")
    await sender(world).send_due()
    for schedule, timezone in [
        (Schedule(Rhythm.DAILY, 600), "UTC"),
        (Schedule(Rhythm.DAILY, 421), "UTC"),
        (Schedule(Rhythm.DAILY, 300), "Europe/Berlin"),
        (Schedule(Rhythm.DAILY, 360), "Asia/Tokyo"),
    ]:
        for _ in range(6):
            await sender(world, schedule, timezone=timezone).send_due()
            clock.forward(10 * MINUTE)
    assert [m.title.partition(":")[0] for m in await waiting(redis)] == ["Daily digest, 23 Nov 2026"]


async def test_eight_processes_at_once_send_it_once(redis: Redis, redis_server: str, clock: Clock) -> None:
    await begun(World.make(redis, clock), clock, "2026-11-22T12:00", DAILY, WEEKLY)
    clock.ms = ms("2026-11-23T08:00")
    clients = [Redis.from_url(redis_server) for _ in range(8)]
    senders = [sender(World.make(client, clock), DAILY, WEEKLY) for client in clients]
    sent = await asyncio.gather(*(one.send_due() for one in senders for _ in range(3)))
    assert sorted(period.rhythm.value for periods in sent for period in periods) == ["daily", "weekly"]
    assert sorted(m.title.split()[0] for m in await waiting(redis)) == ["Daily", "Weekly"]
    for client in clients:
        await client.aclose()


@pytest.mark.parametrize("way", ["never arrives", "answer lost", "cancelled"])
async def test_a_crash_at_each_step_sends_exactly_one(
    redis: Redis, frail: Redis, clock: Clock, fault: Fault, way: str
) -> None:
    async def prepare() -> None:
        await redis.flushall()
        world = World.make(redis, clock)
        await begun(world, clock, "2026-11-23T12:00")
        opened = (await world.incidents.open_or_join(a_finding(at=clock.ms))).incident
        await world.work.add_follow_up(opened.id, ALICE, "mend it", "bob", clock.ms)
        clock.ms = ms("2026-11-24T07:00")

    async def run() -> None:
        await sender(World.make(frail, clock)).send_due()

    async def check() -> None:
        [message] = await waiting(redis)
        assert message.title == "Daily digest, 23 Nov 2026: 1 incident, 0 resolved, 0 blocks"
        assert await redis.get("bartizan:{act}:digest:daily:2026-11-23") == b"sent"

    async def take_over() -> None:
        await sender(World.make(redis, clock)).send_due()
        await check()

    struck = await crash_at_each_step(fault, frail, prepare=prepare, run=run, take_over=take_over, way=way)
    await check()
    assert struck > 5, "every step was interrupted once"


async def test_a_copy_is_marked_audited_and_leaves_the_due_one_alone(
    world: World, clock: Clock, redis: Redis
) -> None:
    digests = await begun(world, clock, "2026-11-23T12:00")
    copied = await digests.send_copy(period_of(Rhythm.DAILY, datetime(2026, 11, 23).date(), "UTC"), ALICE)
    assert not copied.is_over
    clock.ms = ms("2026-11-24T07:00")
    await digests.send_due()
    titles = [m.title for m in await waiting(redis)]
    assert titles == [
        "Copy: Daily digest, 23 Nov 2026 so far: nothing happened",
        "Daily digest, 23 Nov 2026: 0 incidents, 0 resolved, 0 blocks",
    ], "the second tells of who asked for the first"
    [entry], _ = await world.audit.page()
    assert (entry.actor, entry.action, entry.target) == ("alice", "digest.send", "digest:daily:2026-11-23")
    assert entry.after == {"channels": ["mail"], "title": titles[0]}
    with pytest.raises(ConflictError, match="the policy names no weekly digest"):
        await digests.send_copy(period_of(Rhythm.WEEKLY, datetime(2026, 11, 23).date(), "UTC"), ALICE)


async def test_a_redis_that_is_away_is_a_storage_error(clock: Clock) -> None:
    away = Redis.from_url("redis://127.0.0.1:1")
    with pytest.raises(StorageError):
        await sender(World.make(away, clock)).send_due()
    await away.aclose()
