"""What followers of the list are told, against a client that applies it."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.blocks.decision import Decision
from actions.blocks.subjects import Scope
from app.lookup.feed import Feed, parse_cursor
from app.lookup.table import Allowed, Table
from app.lookup.wire import Change, Disallowed, Removed

NOW = 1_764_000_000_000


def decision(value: str, decision_id: str = "", until: int | None = None) -> Decision:
    scope = Scope.RANGE if "/" in value else Scope.IP
    made = {"reason": "because", "rule": "auth_failures", "created_at": NOW}
    return Decision(decision_id or value, value, until, scope, **made)


def table_of(*entries: Decision | Allowed) -> Table:
    table = Table()
    for entry in entries:
        if isinstance(entry, Decision):
            table.add(entry)
        else:
            table.allow(entry)
    return table


def feed_of(*entries: Decision | Allowed, cursor: str = "1-0", ring_size: int = 100) -> Feed:
    feed = Feed(lambda: NOW, ring_size)
    feed.load(cursor, table_of(*entries))
    return feed


def told(feed: Feed, since: str | None) -> dict[str, Any]:
    body = asyncio.run(feed.changes_since(since))
    assert isinstance(body, bytes)
    answer: dict[str, Any] = json.loads(body)
    return answer


def whole(feed: Feed) -> tuple[str, bytes]:
    etag, body = asyncio.run(feed.whole_list())
    assert isinstance(body, bytes)
    return etag, body


FALLBACKS = {"captcha": "ban", "throttle": "ignore"}


def test_nothing_new_is_an_empty_step_at_the_same_cursor() -> None:
    answer = told(feed_of(), "1-0")
    assert answer == {
        "cursor": "1-0",
        "added": [],
        "removed": [],
        "allow_added": [],
        "allow_removed": [],
        "fallback": FALLBACKS,
    }


def test_changes_are_told_in_the_shape_of_the_contract() -> None:
    feed = feed_of(decision("203.0.113.1"), Allowed("192.0.2.1", None))
    feed.apply("2-0", decision("203.0.113.9"))
    feed.apply("2-1", Removed("203.0.113.1", "203.0.113.1"))
    feed.apply("3-0", Allowed("198.51.100.0/24", NOW + 1))
    feed.apply("3-1", Disallowed("192.0.2.1"))
    assert told(feed, "1-0") == {
        "cursor": "3-1",
        "added": [
            {
                "id": "203.0.113.9",
                "value": "203.0.113.9",
                "reason": "because",
                "rule": "auth_failures",
                "incident_id": None,
                "created_at": "2025-11-24T16:00:00.000Z",
                "until": None,
                "scope": "Ip",
                "type": "ban",
                "origin": "rule",
            }
        ],
        "removed": [{"id": "203.0.113.1", "value": "203.0.113.1", "scope": "Ip"}],
        "allow_added": [{"value": "198.51.100.0/24", "until": "2025-11-24T16:00:00.001Z"}],
        "allow_removed": [{"value": "192.0.2.1"}],
        "fallback": FALLBACKS,
    }
    assert told(feed, "2-1")["added"] == []
    assert len(told(feed, "2-1")["allow_added"]) == 1


def test_a_value_is_added_or_removed_but_never_both() -> None:
    feed = feed_of()
    feed.apply("2-0", decision("203.0.113.9", "first"))
    feed.apply("3-0", Removed("first", "203.0.113.9"))
    assert (told(feed, "1-0")["added"], len(told(feed, "1-0")["removed"])) == ([], 1)
    feed.apply("4-0", decision("203.0.113.9", "second"))
    answer = told(feed, "1-0")
    assert ([d["id"] for d in answer["added"]], answer["removed"]) == (["second"], [])
    feed.apply("5-0", Removed("first", "203.0.113.9"))
    assert [d["id"] for d in told(feed, "1-0")["added"]] == ["second"]


@pytest.mark.parametrize("cursor", [None, "0", "0-0", "1-0", "99-0"])
def test_a_cursor_too_old_or_of_another_list_gets_the_whole_list(cursor: str | None) -> None:
    feed = feed_of(decision("203.0.113.1"), Allowed("192.0.2.1", None), cursor="5-0", ring_size=2)
    for number in (6, 7, 8):
        feed.apply(f"{number}-0", decision(f"203.0.113.{number}"))
    answer = told(feed, cursor)
    assert (answer["reset"], answer["cursor"]) == (True, "8-0")
    assert [d["id"] for d in answer["blocks"]] == ["203.0.113.1"] + [f"203.0.113.{n}" for n in (6, 7, 8)]
    assert answer["allowlist"] == [{"value": "192.0.2.1", "until": None}]


def test_the_oldest_cursor_of_the_ring_is_still_served() -> None:
    feed = feed_of(cursor="5-0", ring_size=2)
    for number in (6, 7, 8):
        feed.apply(f"{number}-0", decision(f"203.0.113.{number}"))
    assert [d["id"] for d in told(feed, "6-0")["added"]] == ["203.0.113.7", "203.0.113.8"]


def test_a_reload_tells_the_followers_what_it_changed() -> None:
    feed = feed_of(decision("203.0.113.1"), decision("203.0.113.2"), Allowed("192.0.2.1", None))
    feed.load("9-0", table_of(decision("203.0.113.2"), decision("203.0.113.3"), Allowed("192.0.2.2", None)))
    answer = told(feed, "1-0")
    assert [d["value"] for d in answer["added"]] == ["203.0.113.3"]
    assert [d["value"] for d in answer["removed"]] == ["203.0.113.1"]
    assert [d["value"] for d in answer["allow_added"]] == ["192.0.2.2"]
    assert [d["value"] for d in answer["allow_removed"]] == ["192.0.2.1"]


def test_a_reload_from_a_redis_that_lost_something_makes_everyone_start_over() -> None:
    feed = feed_of(decision("203.0.113.1"), cursor="9-0")
    feed.load("3-0", table_of())
    assert told(feed, "9-0")["reset"] is True
    assert told(feed, "2-0")["reset"] is True
    assert "reset" not in told(feed, "3-0")


def test_the_whole_list_leaves_out_what_is_over_and_its_etag_says_so() -> None:
    clock = [NOW]
    feed = Feed(lambda: clock[0])
    feed.load("1-0", table_of(decision("203.0.113.1", until=NOW + 5), decision("203.0.113.2")))
    first = whole(feed)
    assert [b["value"] for b in json.loads(first[1])["blocks"]] == ["203.0.113.1", "203.0.113.2"]
    clock[0] = NOW + 4
    assert whole(feed) == first
    clock[0] = NOW + 5
    etag, body = whole(feed)
    assert [b["value"] for b in json.loads(body)["blocks"]] == ["203.0.113.2"]
    assert etag != first[0]


@pytest.mark.parametrize("text", ["", "-", "1-", "x", "1-x", "-1", "1.0", "٣-0", "9" * 50, "$"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    if text == "1-":
        assert parse_cursor(text) == (1, 0)
        return
    with pytest.raises(ValueError, match="is not a cursor"):
        parse_cursor(text)


async def test_a_waiter_is_woken_by_a_change() -> None:
    feed = feed_of()
    waiter = asyncio.create_task(feed.wait_past("1-0", 60))
    await asyncio.sleep(0)
    assert not waiter.done()
    feed.apply("2-0", decision("203.0.113.9"))
    await waiter


async def test_a_waiter_returns_at_once_when_something_has_happened_or_the_process_ends() -> None:
    feed = feed_of()
    feed.apply("2-0", decision("203.0.113.9"))
    await feed.wait_past("1-0", 60)
    waiter = asyncio.create_task(feed.wait_past("2-0", 60))
    await asyncio.sleep(0)
    feed.close()
    await waiter
    await feed.wait_past("2-0", 60)


async def test_a_waiter_goes_home_empty_when_its_time_is_over() -> None:
    await feed_of().wait_past("1-0", 0.001)


async def test_a_cursor_of_a_faster_neighbour_is_waited_for() -> None:
    feed = feed_of()
    assert feed.is_ahead("2-0")
    waiter = asyncio.create_task(feed.wait_until("2-0", 60))
    await asyncio.sleep(0)
    feed.apply("2-0", decision("203.0.113.9"))
    await waiter
    assert not feed.is_ahead("2-0")


STEPS = ["add", "remove", "allow", "disallow", "poll"]
VALUES = ["203.0.113.1", "203.0.113.2", "203.0.113.0/24", "2001:db8::/64"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "remove", "allow", "disallow", "poll"]), st.sampled_from(VALUES))
    ),
    st.integers(1, 8),
)
def test_a_client_that_follows_has_what_the_process_has(steps: list[tuple[str, str]], ring_size: int) -> None:
    feed = feed_of(ring_size=ring_size)
    mine: dict[str, str] = {}
    allowed: set[str] = set()
    ids: dict[str, str] = {}
    cursor: str | None = None
    for number, (what, value) in enumerate([*steps, ("poll", "")], 2):
        change: Change
        match what:
            case "add":
                ids[value] = str(number)
                change = decision(value, str(number))
            case "remove":
                change = Removed(ids.pop(value, "none"), value)
            case "allow":
                change = Allowed(value, None)
            case "disallow":
                change = Disallowed(value)
            case _:
                answer = told(feed, cursor)
                cursor = answer["cursor"]
                if answer.get("reset"):
                    mine = {d["value"]: d["id"] for d in answer["blocks"]}
                    allowed = {a["value"] for a in answer["allowlist"]}
                    continue
                mine |= {d["value"]: d["id"] for d in answer["added"]}
                mine = {v: i for v, i in mine.items() if v not in {r["value"] for r in answer["removed"]}}
                allowed |= {a["value"] for a in answer["allow_added"]}
                allowed -= {a["value"] for a in answer["allow_removed"]}
                continue
        feed.apply(f"{number}-0", change)
    assert mine == {d.value: d.id for d in feed.table.blocks(NOW)} == ids
    assert allowed == {a.value for a in feed.table.allowlist(NOW)}
