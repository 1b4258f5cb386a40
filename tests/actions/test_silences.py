"""Silences: made, extended and ended by people, bounded, audited, gone in the end."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from acting import ALICE, DAY, HOUR, NOON, Clock
from redis.asyncio import Redis

from actions.audit import Actor
from actions.errors import ConflictError, UnknownError
from actions.quiet import silences as module
from actions.quiet.matchers import Matcher, MatchField
from actions.quiet.silences import Silence, SilenceState, silences_key
from actions.world import World

BOB = Actor("bob", "responder")
RULE = Matcher(field=MatchField.RULE, values=("high_error_rate",))


async def silence(world: World, *matchers: Matcher, hours: float = 2, **fields: int) -> Silence:
    ends_at = fields.pop("ends_at", world.now() + round(hours * HOUR))
    return await world.silences.create(matchers or (RULE,), ALICE, "load test", ends_at=ends_at, **fields)


async def trail(world: World) -> list[tuple[str, str, str]]:
    entries, _ = await world.audit.page(target="silence:")
    return [(entry.actor, entry.action, entry.reason) for entry in entries]


async def test_a_silence_says_who_what_why_and_until_when_and_is_audited(world: World) -> None:
    made = await silence(world)
    assert (made.id, made.author, made.comment) == ("SIL-0001", "alice", "load test")
    assert (made.starts_at, made.ends_at, made.created_at) == (NOON, NOON + 2 * HOUR, NOON)
    assert await world.silences.get("SIL-0001") == made
    assert await world.silences.all() == [made]
    assert await trail(world) == [("alice", "silence.create", "load test")]


async def test_its_state_follows_the_clock(world: World, clock: Clock) -> None:
    made = await silence(world, hours=3, starts_at=NOON + HOUR)
    assert [made.state(NOON + hours * HOUR) for hours in (0, 1, 2, 3)] == [
        *(SilenceState.PENDING, SilenceState.ACTIVE, SilenceState.ACTIVE, SilenceState.EXPIRED)
    ]
    assert await world.silences.active(NOON) == []
    clock.forward(HOUR)
    assert await world.silences.active(clock()) == [made]
    clock.forward(2 * HOUR)
    assert await world.silences.active(clock()) == []


async def test_one_that_would_have_begun_begins_now(world: World) -> None:
    assert (await silence(world, starts_at=NOON - DAY)).starts_at == NOON


@pytest.mark.parametrize(
    ("matchers", "says"),
    [
        ((), "matchers: match every message"),
        ((Matcher(field=MatchField.RULE, values=("*",), glob=True),), "match every message"),
        ((Matcher(field=MatchField.SUBJECT, values=("x", "**?"), glob=True),), "match every message"),
        ((Matcher(field=MatchField.AREA, values=("security", "service")),), "match every message"),
        ((Matcher(field=MatchField.PRIORITY, values=("P*",), glob=True),), "match every message"),
        (
            (Matcher(field=MatchField.SEVERITY, values=("hihg",)),),
            "severity is never 'hihg'; it is one of critical",
        ),
        ((Matcher(field=MatchField.SEVERITY, values=("x*",), glob=True),), "severity is never like 'x*'"),
        ((Matcher(field=MatchField.RULE, values=()),), "rule needs 1 to 100 values, not 0"),
        ((Matcher(field=MatchField.RULE, values=(" ",)),), "rule has an empty value"),
        ((Matcher(field=MatchField.RULE, values=("x" * 301,)),), "more than 300 characters"),
        ((RULE,) * 21, "more than 20"),
        (
            (Matcher(field=MatchField.RULE, values=("security_breach",)),),
            "security_breach can never be muted",
        ),
    ],
)
async def test_what_matches_everything_or_nothing_is_refused(
    world: World, matchers: tuple[Matcher, ...], says: str
) -> None:
    with pytest.raises(ValueError, match=r"^matchers: ") as refusal:
        await world.silences.create(matchers, ALICE, "why", ends_at=NOON + HOUR)
    assert says in str(refusal.value)
    assert await world.silences.all() == []


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "says"),
    [
        (None, NOON, "until: must be later"),
        (NOON + HOUR, NOON + HOUR, "until: must be later"),
        (None, NOON + 30 * DAY + 1, "until: a silence may last 30 days at most"),
        (NOON + 400 * DAY, NOON + 401 * DAY, "starts_at: is more than a year ahead"),
    ],
)
async def test_times_that_make_no_sense_or_too_long_a_silence_are_refused(
    world: World, starts_at: int | None, ends_at: int, says: str
) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        await world.silences.create((RULE,), ALICE, "why", starts_at=starts_at, ends_at=ends_at)


@pytest.mark.parametrize(("comment", "says"), [(" ", "say why"), ("x" * 501, "more than 500")])
async def test_a_reason_is_needed(world: World, comment: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^comment: .*{says}"):
        await world.silences.create((RULE,), ALICE, comment, ends_at=NOON + HOUR)


async def test_thirty_days_exactly_are_allowed(world: World) -> None:
    assert (await silence(world, ends_at=NOON + 30 * DAY)).ends_at == NOON + 30 * DAY


async def test_it_is_extended_and_ended_early_by_people_with_a_trail(world: World, clock: Clock) -> None:
    made = await silence(world)
    longer = await world.silences.extend(made.id, BOB, "takes longer", ends_at=NOON + 5 * HOUR)
    assert longer.ends_at == NOON + 5 * HOUR
    clock.forward(HOUR)
    ended = await world.silences.expire(made.id, BOB, "done")
    assert (ended.starts_at, ended.ends_at) == (NOON, NOON + HOUR)
    assert ended.state(clock()) is SilenceState.EXPIRED
    assert await trail(world) == [
        ("bob", "silence.expire", "done"),
        ("bob", "silence.extend", "takes longer"),
        ("alice", "silence.create", "load test"),
    ]
    (entry, *_), _ = await world.audit.page(action="silence.expire")
    assert (entry.before["ends_at"], entry.after["ends_at"]) == (NOON + 5 * HOUR, NOON + HOUR)


async def test_a_pending_one_ends_before_it_began(world: World) -> None:
    made = await silence(world, hours=3, starts_at=NOON + HOUR)
    ended = await world.silences.expire(made.id, BOB)
    assert (ended.starts_at, ended.ends_at) == (NOON, NOON)


async def test_it_cannot_be_extended_past_thirty_days_from_now_nor_into_the_past(
    world: World, clock: Clock
) -> None:
    made = await silence(world)
    clock.forward(HOUR)
    with pytest.raises(ValueError, match="30 days"):
        await world.silences.extend(made.id, BOB, ends_at=clock() + 30 * DAY + 1)
    with pytest.raises(ValueError, match="later"):
        await world.silences.extend(made.id, BOB, ends_at=clock())


async def test_what_is_over_or_unknown_says_so(world: World, clock: Clock) -> None:
    made = await silence(world)
    clock.forward(2 * HOUR)
    moves: list[Callable[[str], Awaitable[Silence]]] = [
        lambda name: world.silences.expire(name, BOB),
        lambda name: world.silences.extend(name, BOB, ends_at=clock() + HOUR),
    ]
    for move in moves:
        with pytest.raises(ConflictError, match="SIL-0001 is over"):
            await move(made.id)
        with pytest.raises(UnknownError, match="SIL-9"):
            await move("SIL-9")
    with pytest.raises(UnknownError, match="SIL-9"):
        await world.silences.get("SIL-9")


async def test_expired_ones_are_kept_thirty_days_and_then_gone(
    world: World, clock: Clock, redis: Redis
) -> None:
    made = await silence(world)
    other = await silence(world, ends_at=NOON + 20 * DAY)
    clock.forward(30 * DAY + 2 * HOUR - 1)
    assert {s.id for s in await world.silences.all()} == {made.id, other.id}
    clock.forward(1)
    with pytest.raises(UnknownError):
        await world.silences.get(made.id)
    assert await world.silences.all() == [other]
    assert await redis.hlen(silences_key()) == 1


async def test_all_of_them_expire_with_the_last(world: World, redis: Redis) -> None:
    await silence(world, ends_at=NOON + 20 * DAY)
    made = await silence(world)
    ttl_ms = await redis.pttl(silences_key())
    assert 50 * DAY - 60_000 < ttl_ms <= 50 * DAY
    await world.silences.expire("SIL-0001", BOB)
    assert await redis.pttl(silences_key()) <= 30 * DAY + 2 * HOUR
    assert made.id == "SIL-0002"


async def test_there_are_never_more_than_the_bound_and_expired_ones_make_room(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    first = await silence(world, hours=1)
    for _ in range(2):
        await silence(world, hours=9)
    with pytest.raises(ConflictError, match="3 silences are pending or active"):
        await silence(world)
    clock.forward(HOUR)
    made = await silence(world)
    assert [s.id for s in await world.silences.all()] == [made.id, "SIL-0003", "SIL-0002"]
    assert first.id == "SIL-0001"


async def test_a_read_serves_a_second_and_a_change_by_this_process_is_known_at_once(
    world: World, clock: Clock, redis: Redis
) -> None:
    made = await silence(world)
    assert await world.silences.active(clock()) == [made]
    await redis.delete(silences_key())
    clock.forward(999)
    assert await world.silences.active(clock()) == [made]
    clock.forward(1)
    assert await world.silences.active(clock()) == []
    again = await silence(world)
    assert await world.silences.active(clock()) == [again]


async def test_of_many_at_once_exactly_as_many_as_the_bound_are_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    made = await asyncio.gather(*(silence(world) for _ in range(30)), return_exceptions=True)
    assert sum(isinstance(one, Silence) for one in made) == 10
    assert {type(one) for one in made} == {Silence, ConflictError}
    assert len({one.id for one in await world.silences.all()}) == 10
    assert len(await trail(world)) == 10
