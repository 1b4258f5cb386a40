"""The follower against a made-up source: outages, restarts, and entries it cannot read."""

import asyncio
from collections.abc import Callable

import pytest

from actions.blocks.block import AllowEntry, Change, Decision
from actions.blocks.feed import Changes, Snapshot
from app.lookup.feed import Feed
from app.lookup.follower import Follower
from detectors.errors import StorageError

NOW = 1_764_000_000_000


def decision(value: str, decision_id: str = "") -> Decision:
    return Decision(decision_id or value, value, NOW + 60_000, rule="auth_failures", created_at=NOW)


def allow(value: str) -> AllowEntry:
    return AllowEntry(value, "office", "ada", NOW)


class MadeUpSource:
    """Answers what a test laid out, in order: a value, None (start over), or an error to raise."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def _next(self) -> object:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def snapshot(self, each_page: Callable[[list[Decision]], object]) -> Snapshot:
        self.asked.append("snapshot")
        found = Snapshot(*self._next())  # type: ignore[misc]
        each_page(found.decisions)
        return found

    async def changes(self, since: str, block_ms: int = 0) -> Changes:
        self.asked.append(since)
        answer = self._next()
        return Changes(since, [], reset=True) if answer is None else Changes(*answer)  # type: ignore[misc]


class Pauses:
    """Notes how long each pause would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


AWAY = StorageError("away")


def follow(
    *answers: object, chance: Callable[[], float] = lambda: 1.0
) -> tuple[Follower, Feed, MadeUpSource, Pauses]:
    source, feed, pauses = MadeUpSource(*answers), Feed(lambda: NOW), Pauses()
    return Follower(source, feed, lambda: NOW, sleep=pauses, chance=chance), feed, source, pauses


async def steps(follower: Follower, number: int) -> None:
    for _ in range(number):
        await follower.step()


def blocked(feed: Feed, address: str) -> bool:
    return feed.table.lookup(address, NOW)[0] is not None


async def test_the_list_is_loaded_and_then_followed() -> None:
    follower, feed, source, _ = follow(
        ("5-0", [decision("203.0.113.1")], [allow("192.0.2.1")]),
        (
            "6-1",
            [
                Change("6-0", "add", "", decision("203.0.113.9")),
                Change("6-1", "allow_add", "", None, allow("192.0.2.9")),
            ],
        ),
        ("6-1", []),
        (
            "7-0",
            [
                Change("6-2", "remove", "expired", decision("203.0.113.9")),
                Change("7-0", "allow_remove", "", None, allow("192.0.2.9")),
            ],
        ),
    )
    assert not feed.is_ready
    await follower.step()
    assert feed.is_ready and blocked(feed, "203.0.113.1")
    await follower.step()
    assert blocked(feed, "203.0.113.9")
    assert feed.table.lookup("192.0.2.9", NOW) == (None, True)
    await steps(follower, 2)
    assert not blocked(feed, "203.0.113.9")
    assert feed.table.lookup("192.0.2.9", NOW) == (None, False)
    assert source.asked == ["snapshot", "5-0", "6-1", "6-1"]
    assert feed.cursor == "7-0"
    assert follower.heard_at == NOW


async def test_the_list_stays_in_force_through_an_outage_and_is_read_anew_after_it() -> None:
    follower, feed, source, pauses = follow(
        ("5-0", [decision("203.0.113.1")], []),
        AWAY,
        AWAY,
        ("9-0", [decision("203.0.113.2")], []),
        ("9-0", []),
    )
    await steps(follower, 3)
    assert feed.is_ready and blocked(feed, "203.0.113.1")
    await steps(follower, 2)
    assert not blocked(feed, "203.0.113.1") and blocked(feed, "203.0.113.2")
    assert source.asked == ["snapshot", "5-0", "snapshot", "snapshot", "9-0"]
    assert pauses.seconds == [0.1, 0.2]


async def test_before_the_first_load_an_outage_leaves_the_list_not_ready() -> None:
    follower, feed, _, _ = follow(AWAY, ("5-0", [], []))
    await follower.step()
    assert not feed.is_ready and follower.heard_at is None
    await follower.step()
    assert feed.is_ready


async def test_pauses_grow_to_a_bound_and_are_spread_by_chance() -> None:
    follower, _, _, pauses = follow(*[AWAY] * 20)
    await steps(follower, 20)
    assert pauses.seconds[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert max(pauses.seconds) == 2.0
    follower, _, _, pauses = follow(AWAY, chance=lambda: 0.0)
    await follower.step()
    assert pauses.seconds == [0.05]


async def test_a_stream_that_no_longer_reaches_back_makes_it_load_again() -> None:
    follower, feed, source, _ = follow(("5-0", [], []), None, ("9-0", [decision("203.0.113.2")], []))
    await steps(follower, 3)
    assert source.asked == ["snapshot", "5-0", "snapshot"]
    assert blocked(feed, "203.0.113.2")


async def test_an_entry_that_cannot_be_read_is_passed_over() -> None:
    follower, feed, _, _ = follow(
        ("5-0", [decision("not an address"), decision("203.0.113.1")], []),
        (
            "8-0",
            [
                Change("6-0", "add", "", decision("not an address")),
                Change("7-0", "from_the_future", "", None),
                Change("8-0", "add", "", decision("203.0.113.9")),
            ],
        ),
    )
    await steps(follower, 2)
    assert blocked(feed, "203.0.113.1") and blocked(feed, "203.0.113.9")
    assert feed.cursor == "8-0"


async def test_it_runs_until_it_is_cancelled() -> None:
    follower, feed, source, _ = follow(("5-0", [], []))
    source.answers.extend([("5-0", [])] * 3)
    forever = asyncio.Event()

    async def changes(since: str, block_ms: int = 0) -> Changes:
        await forever.wait()
        return Changes(since, [])

    source.changes = changes  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        task = asyncio.create_task(follower.run())
        while not feed.is_ready:  # noqa: ASYNC110 - the task runs step by step
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
