"""Who changed what, when and why."""

import pytest
from acting import ALICE, NOON, Clock
from redis.asyncio import Redis

from actions.audit import Actor, Audit
from actions.errors import UnknownError


@pytest.fixture
def audit(redis: Redis, clock: Clock) -> Audit:
    return Audit(redis, clock)


async def test_an_entry_is_read_as_it_was_written(audit: Audit) -> None:
    entry_id = await audit.record(
        ALICE, "policy.replace", "policy:policy.yaml", before={"a": 1}, after={"a": 2}, reason="tuning"
    )
    entry = await audit.get(entry_id)
    assert (entry.id, entry.at, entry.actor, entry.role) == (entry_id, NOON, "alice", "responder")
    assert (entry.before, entry.after, entry.reason) == ({"a": 1}, {"a": 2}, "tuning")


async def test_entries_are_listed_newest_first_by_page_and_filter(audit: Audit) -> None:
    for n in range(6):
        actor = Actor("bob", "admin") if n % 2 else ALICE
        await audit.record(actor, f"block.{'lift' if n < 3 else 'extend'}", f"block:{n}")
    first, cursor = await audit.page(limit=4)
    second, end = await audit.page(cursor=cursor, limit=4)
    assert [e.target for e in first + second] == [f"block:{n}" for n in range(5, -1, -1)]
    assert end is None
    assert len((await audit.page(actor="bob"))[0]) == 3
    assert len((await audit.page(action="block.lift"))[0]) == 3
    assert len((await audit.page(action="block."))[0]) == 6
    assert len((await audit.page(target="block:4"))[0]) == 1


@pytest.mark.parametrize("entry_id", ["", "x", "1-1", "-", "+", "1"])
async def test_an_unknown_entry_says_so(audit: Audit, entry_id: str) -> None:
    with pytest.raises(UnknownError):
        await audit.get(entry_id)


async def test_a_cursor_that_is_not_ours_is_refused(audit: Audit) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await audit.page(cursor="x")
