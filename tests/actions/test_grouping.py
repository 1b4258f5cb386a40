"""What waits for others, for how long, and what becomes of it meanwhile."""

import pytest
from acting import ALICE, HOUR, MINUTE, Clock, Ear
from delivering import a_message, a_world, deliveries, lines, opened, write
from redis.asyncio import Redis

from actions.delivery.letters import MESSAGES_KEPT, keys_of
from actions.delivery.message import Message, MessageKind
from actions.delivery.routing import Timing
from actions.incidents.status import Move, Verdict
from detectors.finding import Priority

SECOND = 1_000


@pytest.fixture
def chat() -> Ear:
    return Ear("slack", groups=True)


async def test_37_addresses_of_one_rule_within_two_minutes_are_two_letters_and_none_is_missing(
    redis: Redis, clock: Clock, chat: Ear
) -> None:
    """The first waits for 30 s; what comes after it waits until five minutes have passed."""
    world = a_world(redis, clock, chat)
    for n in range(37):
        await opened(world, 1, first=n)
        clock.forward(2 * MINUTE // 37)
        await world.deliver()
    clock.forward(5 * MINUTE)
    await world.deliver()
    assert [len(letter.messages) for letter in chat.letters] == [11, 26]
    assert len({m.subject for m in chat.heard}) == 37


async def test_37_addresses_within_the_wait_are_one_letter(redis: Redis, clock: Clock, chat: Ear) -> None:
    world = a_world(redis, clock, chat, timing=Timing(group_wait_ms=2 * MINUTE))
    for n in range(37):
        await opened(world, 1, first=n)
        clock.forward(3 * SECOND)
        await world.deliver()
    assert chat.letters == []
    clock.forward(12 * SECOND)
    await world.deliver()
    [letter] = chat.letters
    assert (len(letter.messages), letter.total, letter.incident, letter.ref) == (37, 37, None, "")
    assert await deliveries(world) == [("slack", "delivered", f"INC-2026-{n:04d}") for n in range(1, 38)]
    assert await lines(world, "INC-2026-0037") == [("notified", "told through slack: opened")]
    assert [await redis.exists(key) for key in keys_of("slack")] == [0, 0, 0, 1]


async def test_a_letter_keeps_50_messages_and_counts_the_others(
    redis: Redis, clock: Clock, chat: Ear
) -> None:
    world = a_world(redis, clock, chat)
    await opened(world, MESSAGES_KEPT + 7)
    await world.deliver()
    clock.forward(30 * SECOND)
    await world.deliver()
    [letter] = chat.letters
    assert (len(letter.messages), letter.total) == (MESSAGES_KEPT, MESSAGES_KEPT + 7)
    assert await lines(world, "INC-2026-0057") == [("notified", "told through slack: opened")]
    await write(world, a_message(57, kind=MessageKind.RESOLVED))
    await world.deliver()
    assert chat.letters[-1].messages[0].kind == MessageKind.RESOLVED


async def test_of_those_only_counted_one_is_written_out_when_all_others_are_over(
    redis: Redis, clock: Clock, chat: Ear
) -> None:
    world = a_world(redis, clock, chat)
    for incident in (await opened(world, MESSAGES_KEPT + 2))[:MESSAGES_KEPT]:
        await world.moves.move(incident.id, Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    await world.deliver()
    clock.forward(30 * SECOND)
    await world.deliver()
    [letter] = chat.letters
    assert ([m.incident_id for m in letter.messages], letter.total) == (["INC-2026-0051"], 2)


async def test_different_rules_and_kinds_do_not_share_a_letter(redis: Redis, clock: Clock, chat: Ear) -> None:
    world = a_world(redis, clock, chat)
    await write(world, a_message(1), a_message(2, rule="token_cracking"), a_message(3))
    await write(world, a_message(4, kind=MessageKind.UPDATE))
    await world.deliver()
    clock.forward(30 * SECOND)
    await world.deliver()
    assert sorted(len(letter.messages) for letter in chat.letters) == [1, 1, 2]


@pytest.mark.parametrize(
    "fields",
    [
        {"priority": Priority.P0},
        {"immediate": True},
        {"kind": MessageKind.ESCALATED},
        {"kind": MessageKind.REOPENED},
    ],
)
async def test_what_is_urgent_does_not_wait(
    redis: Redis, clock: Clock, chat: Ear, fields: dict[str, object]
) -> None:
    world = a_world(redis, clock, chat)
    await write(world, a_message(**fields))
    await world.deliver()
    assert len(chat.letters) == 1


async def test_a_channel_with_a_record_per_incident_gets_each_by_itself_at_once(
    redis: Redis, clock: Clock
) -> None:
    pager = Ear("pagerduty")
    world = a_world(redis, clock, pager)
    incidents = await opened(world, 3)
    await world.deliver()
    assert [letter.incident for letter in pager.letters] == incidents


async def test_what_is_resolved_before_its_time_was_never_told(redis: Redis, clock: Clock, chat: Ear) -> None:
    world = a_world(redis, clock, chat)
    first, second = await opened(world, 2)
    await world.deliver()
    await world.moves.move(first.id, Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    await world.deliver()
    assert chat.letters == []
    clock.forward(30 * SECOND)
    await world.deliver()
    [letter] = chat.letters
    assert [m.incident_id for m in letter.messages] == [second.id]
    assert letter.incident == second
    assert sorted(await deliveries(world)) == [
        ("slack", "delivered", second.id),
        ("slack", "superseded", first.id),
        ("slack", "superseded", first.id),
    ]
    assert await lines(world, first.id) == [
        ("not_notified", "not told through slack: superseded: dismissed meanwhile"),
        ("not_notified", "not told through slack: superseded: nobody was told here that it was open"),
    ]


async def test_an_update_while_the_news_waits_is_in_its_letter(redis: Redis, clock: Clock, chat: Ear) -> None:
    world = a_world(redis, clock, chat)
    [incident] = await opened(world)
    await opened(world, 1, id="0:9-9")  # joins, and writes that it goes on
    await world.deliver()
    clock.forward(30 * SECOND)
    await world.deliver()
    [letter] = chat.letters
    assert [m.kind for m in letter.messages] == [MessageKind.OPENED]
    assert letter.incident is not None
    assert letter.incident.version == (await world.incidents.get(incident.id)).version
    assert ("slack", "superseded", incident.id) in await deliveries(world)
    assert (await lines(world, incident.id))[0] == (
        "not_notified",
        "not told through slack: grouped, the letter that waits shows it",
    )


async def test_what_is_urgent_takes_the_letter_before_it_along(redis: Redis, clock: Clock, chat: Ear) -> None:
    world = a_world(redis, clock, chat)
    await opened(world, 2)
    await world.deliver()
    await write(world, a_message(2, kind=MessageKind.ESCALATED))
    await world.deliver()
    assert [m.kind for m in chat.heard] == [MessageKind.OPENED, MessageKind.OPENED, MessageKind.ESCALATED]


async def test_a_group_that_was_told_rests_for_its_interval(redis: Redis, clock: Clock, chat: Ear) -> None:
    world = a_world(redis, clock, chat)
    await opened(world, 1)
    await world.deliver()
    clock.forward(30 * SECOND)
    await world.deliver()
    await opened(world, 2, first=10)
    await world.deliver()
    clock.forward(4 * MINUTE)
    await world.deliver()
    assert len(chat.letters) == 1
    clock.forward(MINUTE)
    await world.deliver()
    assert [len(letter.messages) for letter in chat.letters] == [1, 2]
    clock.forward(HOUR)
    await opened(world, 1, first=20)
    await world.deliver()
    clock.forward(29 * SECOND)
    await world.deliver()
    assert len(chat.letters) == 2
    clock.forward(SECOND)
    await world.deliver()
    assert len(chat.letters) == 3


async def test_who_is_untouched_after_hours_is_told_again(redis: Redis, clock: Clock, chat: Ear) -> None:
    mail = Ear("email", groups=True)
    world = a_world(redis, clock, chat, mail)
    waiting, taken = await opened(world, 2)
    await world.deliver()
    clock.forward(30 * SECOND)
    await world.deliver()
    await world.moves.move(taken.id, Move.ACKNOWLEDGE, ALICE)
    clock.forward(4 * HOUR - SECOND)
    assert await world.repeats.step() == 0
    clock.forward(SECOND)
    assert [await world.repeats.step() for _ in range(2)] == [1, 0]
    await world.deliver()
    clock.forward(30 * SECOND)
    await world.deliver()
    last = chat.letters[-1].messages[0]
    assert (last.incident_id, last.kind) == (waiting.id, MessageKind.UPDATE)
    assert "Nobody has acknowledged it for 4 h 0 min." in last.text
    assert len(mail.letters) == 2  # the opening, and that one of them is taken
    await world.moves.move(waiting.id, Move.ACKNOWLEDGE, ALICE)
    clock.forward(5 * HOUR)
    assert await world.repeats.step() == 0
    assert await redis.exists("bartizan:{act}:repeats") == 0


async def test_what_is_still_untouched_when_its_silence_ends_is_told_then(
    redis: Redis, clock: Clock, chat: Ear
) -> None:
    class Silence:
        is_on = True

        async def muted_by(self, message: Message, now: int) -> str | None:
            return "silence 12" if self.is_on else None

    world = a_world(redis, clock, chat)
    silence = world.dispatcher.muting = Silence()
    waiting, over = await opened(world, 2)
    await world.deliver()
    await world.moves.move(over.id, Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    for _ in range(3):
        clock.forward(5 * MINUTE)
        assert await world.repeats.step() == 0
    silence.is_on = False
    clock.forward(5 * MINUTE)
    assert await world.repeats.step() == 1
    await world.deliver()
    clock.forward(30 * SECOND)
    await world.deliver()
    assert [(m.incident_id, m.kind) for m in chat.heard] == [(waiting.id, MessageKind.OPENED)]
    assert len([row for row in await deliveries(world) if row[1] == "muted"]) == 2
