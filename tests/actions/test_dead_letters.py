"""Letters that could not be delivered, and what people do with them."""

import asyncio

import pytest
from acting import ALICE, Clock, Ear
from delivering import a_message, a_world, opened, write
from redis.asyncio import Redis

from actions.delivery.message import MessageKind
from actions.errors import ConflictError, UnknownError
from actions.world import World
from detectors.errors import DeliveryError

KNOWN = frozenset({"ear"})


@pytest.fixture
async def dead(world: World, ear: Ear) -> list[str]:
    """The ids of three dead letters, oldest first; the channel has been mended since."""
    ear.failure = DeliveryError("410 gone", permanent=True)
    await opened(world, 3)
    await world.deliver()
    ear.failure = None
    return [one.id for one in (await world.dead_letters.page())[0]][::-1]


async def test_a_dead_letter_is_sent_again_and_the_audit_says_by_whom(
    world: World, ear: Ear, dead: list[str]
) -> None:
    again = await world.dead_letters.retry(dead[0], ALICE, known=KNOWN)
    assert await world.deliver() == 1
    assert [(letter.id, letter.messages) for letter in ear.letters] == [(again.letter_id, again.messages)]
    assert await world.dead_letters.counts() == {"ear": 2}
    [entry, *_] = (await world.audit.page())[0]
    assert (entry.actor, entry.action, entry.target) == (
        "alice",
        "notification.retry",
        f"letter:{again.letter_id}",
    )


async def test_one_that_is_sent_again_goes_before_what_was_written_later_of_its_incident(
    world: World, ear: Ear, dead: list[str], clock: Clock
) -> None:
    ear.failure = DeliveryError("503", permanent=False)
    await write(world, a_message(1, kind=MessageKind.UPDATE))
    await world.deliver()
    ear.failure = None
    await world.dead_letters.retry(dead[0], ALICE, known=KNOWN)
    assert await world.deliver() == 1
    clock.forward(2_000)
    await world.deliver()
    assert [m.kind for m in ear.heard] == [MessageKind.OPENED, MessageKind.UPDATE]


async def test_all_of_a_channel_are_sent_again_oldest_first(world: World, ear: Ear, dead: list[str]) -> None:
    assert await world.dead_letters.retry_all("ear", ALICE, known=KNOWN) == 3
    await world.deliver()
    assert [m.subject for m in ear.heard] == ["192.0.2.0", "192.0.2.1", "192.0.2.2"]
    assert (await world.dead_letters.page())[0] == []


async def test_a_hundred_who_retry_at_once_send_it_once(
    redis: Redis, clock: Clock, ear: Ear, dead: list[str]
) -> None:
    worlds = [a_world(redis, clock, ear, consumer=str(n)) for n in range(20)]
    for _ in range(5):
        await asyncio.gather(
            *(world.dead_letters.retry(dead[0], ALICE, known=KNOWN) for world in worlds),
            return_exceptions=True,
        )
    await worlds[0].deliver()
    assert len(ear.letters) == 1


async def test_a_dead_letter_is_dropped_with_a_reason(world: World, dead: list[str]) -> None:
    await world.dead_letters.drop(dead[1], ALICE, "of yesterday")
    assert [one.id for one in (await world.dead_letters.page())[0]] == [dead[2], dead[0]]
    [entry, *_] = (await world.audit.page())[0]
    assert (entry.action, entry.reason) == ("notification.drop", "of yesterday")


async def test_what_is_not_there_or_has_no_channel_is_refused(world: World, dead: list[str]) -> None:
    for wrong in ("1-1", "x"):
        with pytest.raises(UnknownError, match=wrong):
            await world.dead_letters.drop(wrong, ALICE)
    with pytest.raises(ConflictError, match="no channel ear"):
        await world.dead_letters.retry(dead[0], ALICE, known=frozenset())
    with pytest.raises(ConflictError, match="no channel gone"):
        await world.dead_letters.retry_all("gone", ALICE, known=KNOWN)
    with pytest.raises(ValueError, match="cursor"):
        await world.dead_letters.page(cursor="x")


async def test_dead_letters_are_paged_by_channel(world: World, dead: list[str]) -> None:
    first, cursor = await world.dead_letters.page(channel="ear", limit=2)
    rest, end = await world.dead_letters.page(channel="ear", cursor=cursor, limit=2)
    assert ([one.id for one in first + rest], end) == (dead[::-1], None)
    assert await world.dead_letters.page(channel="mail") == ([], None)
