"""Announced windows and their notices: bounded, audited, told exactly once, whatever happens in between."""

import asyncio
from typing import Any

import msgspec
import pytest
from acting import ALICE, DAY, HOUR, MINUTE, NOON, Clock, Tally
from crashes import Fault, crash_at_each_step
from redis.asyncio import Redis

from actions.delivery.message import Message, MessageKind
from actions.delivery.outbox import outbox_key
from actions.errors import ConflictError, UnknownError
from actions.quiet import maintenance_windows as module
from actions.quiet.maintenance import Schedule, Window
from actions.quiet.maintenance_notices import NoticeSettings
from actions.quiet.maintenance_windows import maintenance_key
from actions.world import World

START = NOON - NOON % HOUR
"""Wednesday 2026-11-18T11:00Z."""
WEEKLY = Window(
    name="weekly",
    duration_ms=2 * HOUR,
    schedule=Schedule(weekdays=((7, 7),), at_minute=120),
    notice_ms=DAY,
)
SUNDAY = START + 3 * DAY + 15 * HOUR
"""2026-11-22T02:00Z."""


async def announce(world: World, hours: float = 2, **fields: Any) -> Window:
    ends_at = fields.pop("starts_at", None) or world.now()
    made: Window = await world.maintenance.announce(
        fields.pop("name", "urgent"),
        ALICE,
        "a hole in the kernel",
        starts_at=ends_at,
        ends_at=ends_at + round(hours * HOUR),
        **fields,
    )
    return made


async def written(redis: Redis) -> list[Message]:
    rows: Any = await redis.xrange(outbox_key())
    return [msgspec.json.decode(fields[b"m"], type=Message) for _, fields in rows]


async def test_a_window_is_announced_and_removed_with_a_trail(world: World) -> None:
    made = await announce(world)
    assert (made.id, made.author, made.starts, made.duration_ms) == ("MNT-0001", "alice", (NOON,), 2 * HOUR)
    assert await world.maintenance.windows(NOON) == [made]
    assert await world.maintenance.remove(made.id, ALICE, "done") == made
    assert await world.maintenance.windows(NOON) == []
    entries, _ = await world.audit.page(target="maintenance:")
    assert [(e.actor, e.action, e.reason) for e in entries] == [
        ("alice", "maintenance.remove", "done"),
        ("alice", "maintenance.announce", "a hole in the kernel"),
    ]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": " "}, "name: is empty"),
        ({"name": "x" * 101}, "name: has more than 100"),
        ({"hours": 0}, "until: must be later"),
        ({"hours": 7 * 24 + 0.1}, "until: a maintenance window may last 7 days"),
        ({"starts_at": NOON + 800 * DAY}, "from: is more than two years ahead"),
    ],
)
async def test_what_cannot_be_a_window_is_refused(world: World, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        await announce(world, **fields)


async def test_a_window_of_the_policy_is_not_removed_here(world: World) -> None:
    world.maintenance.planned = (WEEKLY,)
    with pytest.raises(ConflictError, match="'weekly' is a window of the policy"):
        await world.maintenance.remove("weekly", ALICE)
    with pytest.raises(UnknownError, match="MNT-7"):
        await world.maintenance.remove("MNT-7", ALICE)


async def test_past_ones_are_kept_thirty_days_and_make_room(
    world: World, clock: Clock, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    await announce(world, hours=1)
    later = await announce(world, starts_at=NOON + 20 * DAY)
    with pytest.raises(ConflictError, match="2 maintenance windows lie ahead"):
        await announce(world)
    clock.forward(HOUR)
    newest = await announce(world)
    assert {w.id for w in await world.maintenance.windows(clock())} == {later.id, newest.id}
    clock.forward(30 * DAY + 2 * HOUR)
    assert await world.maintenance.windows(clock()) == [later]
    assert await redis.hlen(maintenance_key()) == 1
    assert 0 < await redis.pttl(maintenance_key()) <= 51 * DAY


async def test_upcoming_shows_what_is_open_and_what_comes_in_order(world: World, clock: Clock) -> None:
    world.maintenance.planned = (WEEKLY,)
    await announce(world)
    found = await world.maintenance.upcoming(clock(), 14 * DAY)
    assert [(one.window.name, one.starts_at) for one in found] == [
        ("urgent", NOON),
        ("weekly", SUNDAY),
        ("weekly", SUNDAY + 7 * DAY),
    ]
    assert [one.window.name for one in await world.maintenance.upcoming(clock(), DAY)] == ["urgent"]


async def test_a_notice_is_written_once_when_its_time_has_come(
    world: World, clock: Clock, redis: Redis
) -> None:
    world.maintenance.planned = (WEEKLY,)
    clock.ms = SUNDAY - DAY - 1
    assert await world.notices.write_due() == 0
    clock.forward(1)
    assert await world.notices.write_due() == 1
    assert await world.notices.write_due() == 0
    (message,) = await written(redis)
    assert (message.kind, message.incident_id, message.rule, message.subject) == (
        *(MessageKind.NOTICE, "", "maintenance", "weekly"),
    )
    assert (message.severity, message.priority, message.at) == ("low", "P3", clock())
    assert message.title == "Maintenance ahead: weekly, Sun 2026-11-22 02:00 to 04:00 UTC"
    assert "muted while it lasts" in message.text


async def test_a_restart_and_other_processes_do_not_repeat_it(
    world: World, clock: Clock, redis: Redis
) -> None:
    clock.ms = SUNDAY - DAY
    worlds = [World.make(redis, clock, counters=Tally()) for _ in range(8)]
    for other in worlds:
        other.maintenance.planned = (WEEKLY,)
    assert sum(await asyncio.gather(*(other.notices.write_due() for other in worlds))) == 1
    clock.forward(DAY - 1)
    fresh = World.make(redis, clock, counters=Tally())
    fresh.maintenance.planned = (WEEKLY,)
    assert await fresh.notices.write_due() == 0
    assert len(await written(redis)) == 1


async def test_a_late_notice_is_sent_until_the_window_begins_and_not_afterwards(
    world: World, clock: Clock, redis: Redis
) -> None:
    world.maintenance.planned = (WEEKLY,)
    clock.ms = SUNDAY
    assert await world.notices.write_due() == 0
    clock.ms = SUNDAY - 1
    assert await world.notices.write_due() == 1


async def test_each_occurrence_has_its_own_notice(world: World, clock: Clock, redis: Redis) -> None:
    world.maintenance.planned = (msgspec.structs.replace(WEEKLY, notice_ms=8 * DAY),)
    clock.ms = SUNDAY - DAY
    assert await world.notices.write_due() == 2
    clock.ms = SUNDAY + 6 * DAY
    assert await world.notices.write_due() == 1
    assert [m.title[-29:-15] for m in await written(redis)] == [
        *("2026-11-22 02:", "2026-11-29 02:", "2026-12-06 02:")
    ]


async def test_beginning_and_end_are_told_where_the_policy_asks(
    world: World, clock: Clock, redis: Redis
) -> None:
    world.maintenance.planned = (WEEKLY,)
    world.notices.settings = NoticeSettings(channels=("slack",), at_start=True, at_end=True)
    for hours in (-1, 0, 1, 2, 2.5, 4):
        clock.ms = SUNDAY + round(hours * HOUR)
        await world.notices.write_due()
    found = await written(redis)
    assert [m.title.partition(":")[0] for m in found] == [
        *("Maintenance ahead", "Maintenance has begun", "Maintenance is over")
    ]
    assert {m.channels for m in found} == {("slack",)}
    clock.ms = SUNDAY + 7 * DAY + 2 * HOUR + 61 * MINUTE
    assert await world.notices.write_due() == 0


async def test_who_announces_an_emergency_tells_people_at_once(
    world: World, clock: Clock, redis: Redis
) -> None:
    await announce(world, channels=["mail"])
    await announce(world, name="tonight", starts_at=NOON + 6 * HOUR)
    await announce(world, name="next week", starts_at=NOON + 7 * DAY, notice_ms=DAY)
    assert await world.notices.write_due() == 2
    first, second = await written(redis)
    assert first.title == "Maintenance has begun: urgent, Wed 2026-11-18 11:06 to 13:06 UTC"
    assert first.channels == ("mail",)
    assert "a hole in the kernel (alice)" in first.text
    assert second.title.startswith("Maintenance ahead: tonight")
    clock.forward(6 * HOUR)
    assert await world.notices.write_due() == 0


async def test_a_window_without_notice_is_told_to_nobody(world: World, clock: Clock) -> None:
    world.maintenance.planned = (msgspec.structs.replace(WEEKLY, notice_ms=None),)
    clock.ms = SUNDAY - MINUTE
    assert await world.notices.write_due() == 0


async def test_the_windows_own_clock_is_shown_beside_utc(world: World, clock: Clock, redis: Redis) -> None:
    schedule = Schedule(weekdays=((7, 7),), at_minute=22 * 60, timezone="America/New_York")
    world.maintenance.planned = (msgspec.structs.replace(WEEKLY, schedule=schedule, duration_ms=4 * HOUR),)
    clock.ms = SUNDAY + 2 * HOUR
    await world.notices.write_due()
    (message,) = await written(redis)
    assert message.title == (
        "Maintenance ahead: weekly, Mon 2026-11-23 03:00 to 07:00 UTC"
        " (Sun 2026-11-22 22:00 to Mon 2026-11-23 02:00 America/New_York)"
    )


@pytest.mark.parametrize("way", ["never arrives", "answer lost", "cancelled"])
async def test_a_crash_at_any_step_neither_loses_nor_repeats_a_notice(
    redis: Redis, clock: Clock, fault: Fault, frail: Redis, way: str
) -> None:
    clock.ms = SUNDAY - DAY

    def process(client: Redis) -> World:
        made = World.make(client, clock, counters=Tally())
        made.maintenance.planned = (WEEKLY,)
        return made

    async def take_over() -> None:
        await process(redis).notices.write_due()
        assert len(await written(redis)) == 1

    steps = await crash_at_each_step(
        fault,
        frail,
        prepare=redis.flushall,
        run=lambda: process(frail).notices.write_due(),
        take_over=take_over,
        way=way,
    )
    assert steps >= 4
