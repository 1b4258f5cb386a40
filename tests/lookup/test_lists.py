"""External lists beside our own decisions: who says what about a value, and what those who follow hear."""

import asyncio
import json
import random
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.blocks.decision import Decision
from app.lookup.feed import Feed
from app.lookup.packed import PackedList
from app.lookup.table import Allowed, Table
from app.lookup.wire import Removed
from detectors.finding import DecisionType

NOW = 1_764_000_000_000
BAN, CAPTCHA = DecisionType.BAN, DecisionType.CAPTCHA


def listed(
    *values: str, name: str = "drop", kind: DecisionType = BAN, until: int | None = None
) -> PackedList:
    return PackedList.of(name, values, type=kind, reason="on a list", fetched_at=NOW, until=until)


def own(value: str, decision_id: str = "own", kind: DecisionType = BAN) -> Decision:
    return Decision(decision_id, value, None, type=kind, created_at=NOW)


def feed_of(*entries: Decision, lists: tuple[PackedList, ...] = ()) -> Feed:
    table = Table()
    for entry in entries:
        table.add(entry)
    feed = Feed(lambda: NOW)
    feed.load("1-0", table)
    for packed in lists:
        feed.take_list(packed.name, packed)
    return feed


def origin(feed: Feed, address: str) -> str | None:
    found, _ = feed.table.lookup(address, NOW)
    return None if found is None else f"{found.origin} {found.value}"


def told(feed: Feed, since: str) -> tuple[dict[str, str], dict[str, str]]:
    body = feed.known_changes(since)
    assert body is not None
    answer: dict[str, Any] = json.loads(body)
    return {d["value"]: d["id"] for d in answer["added"]}, {r["value"]: r["id"] for r in answer["removed"]}


VALUES = st.one_of(
    st.integers(0, 255).map(lambda n: f"203.0.113.{n}"),
    st.tuples(st.integers(0, 255), st.integers(20, 31)).map(lambda p: str(ip_network(f"203.0.{p[0]}.0/{p[1]}", False))),
    st.integers(0, 20).map(lambda n: f"2001:db8:{n:x}::/48"),
    st.integers(0, 20).map(lambda n: f"2001:db8::{n:x}"),
)  # fmt: skip
ASKED = [f"203.0.113.{n}" for n in range(0, 256, 5)] + ["203.0.7.1", "2001:db8::3", "2001:db8:5::1"]


@settings(deadline=None)
@given(st.lists(VALUES, max_size=60))
def test_a_list_covers_what_its_values_cover(values: list[str]) -> None:
    packed, networks = listed(*values), [ip_network(value) for value in values]
    assert len(packed) == len(set(networks))
    assert {packed.decision(key).value for key in packed.entries()} == {
        str(n.network_address) if n.num_addresses == 1 else str(n) for n in networks
    }
    table = Table()
    table.put_list("drop", packed)
    for address in ASKED:
        covering = [n for n in networks if ip_address(address) in n]
        found, _ = table.lookup(address, NOW)
        assert (found is not None) == bool(covering), address
        if found is not None:
            assert ip_network(found.value).prefixlen == max(n.prefixlen for n in covering)
            assert (found.origin, found.id) == ("lists:drop", f"lists:drop:{found.value}")


def test_the_first_and_the_last_address_of_a_block_are_found() -> None:
    edges = ("0.0.0.0", "0.0.255.255", "0.1.0.0", "203.0.255.255", "203.1.0.0", "255.255.255.255")
    packed = listed(*edges)
    table = Table()
    table.put_list("drop", packed)
    assert all(table.lookup(address, NOW)[0] for address in edges)
    assert not any(table.lookup(address, NOW)[0] for address in ("0.0.0.1", "0.1.0.1", "255.255.255.254"))


def test_ours_comes_before_a_lists_and_the_stronger_before_ours() -> None:
    feed = feed_of(own("203.0.113.9"), own("203.0.113.8", kind=CAPTCHA), lists=(listed("203.0.113.0/24"),))
    assert origin(feed, "203.0.113.9") == "rule 203.0.113.9"
    assert origin(feed, "203.0.113.8") == "lists:drop 203.0.113.0/24"
    assert origin(feed, "203.0.113.7") == "lists:drop 203.0.113.0/24"
    feed.table.allow(Allowed("203.0.113.7", None))
    assert origin(feed, "203.0.113.7") is None


def test_a_list_whose_copy_is_too_old_blocks_nobody() -> None:
    feed = feed_of(lists=(listed("203.0.113.9", until=NOW),))
    assert origin(feed, "203.0.113.9") is None
    assert list(feed.table.blocks(NOW)) == []


def test_followers_hear_what_a_new_version_changes() -> None:
    feed = feed_of(own("203.0.113.1"), lists=(listed("203.0.113.1", "203.0.113.2", "203.0.113.3"),))
    assert feed.known_changes("0-0") is None, "who was there before takes the whole list"
    feed.take_list("drop", listed("203.0.113.3", "203.0.113.4"), "2-0")
    assert told(feed, "1-0") == (
        {"203.0.113.1": "own", "203.0.113.4": "lists:drop:203.0.113.4"},
        {"203.0.113.2": "lists:drop:203.0.113.2"},
    )
    feed.take_list("drop", None, "3-0")
    added, removed = told(feed, "2-0")
    assert (added, set(removed)) == ({}, {"203.0.113.3", "203.0.113.4"})


def test_a_block_that_is_lifted_leaves_the_lists_word() -> None:
    feed = feed_of(own("203.0.113.9"), lists=(listed("203.0.113.9"),))
    feed.apply("2-0", Removed("own", "203.0.113.9"))
    assert told(feed, "1-0") == ({"203.0.113.9": "lists:drop:203.0.113.9"}, {})
    assert origin(feed, "203.0.113.9") == "lists:drop 203.0.113.9"


def test_two_lists_with_the_same_value_are_one_entry_for_those_who_follow() -> None:
    both = (listed("203.0.113.9", name="a", kind=CAPTCHA), listed("203.0.113.9", "203.0.113.8", name="b"))
    feed = feed_of(lists=both)
    assert sorted(d.id for d in feed.table.blocks(NOW)) == ["lists:b:203.0.113.8", "lists:b:203.0.113.9"]
    feed.take_list("b", None, "2-0")
    added, removed = told(feed, "1-0")
    assert added == {"203.0.113.9": "lists:a:203.0.113.9"}
    assert removed == {"203.0.113.8": "lists:b:203.0.113.8"}


def test_a_reload_of_our_own_blocks_leaves_the_lists() -> None:
    feed = feed_of(own("203.0.113.1"), lists=(listed("203.0.113.1", "203.0.113.9"),))
    feed.load("5-0", Table())
    assert told(feed, "1-0") == ({"203.0.113.1": "lists:drop:203.0.113.1"}, {})
    assert origin(feed, "203.0.113.9") is not None


def test_a_version_that_changes_too_much_makes_those_who_follow_start_over() -> None:
    feed = Feed(lambda: NOW, ring_size=3)
    feed.load("1-0", Table())
    feed.take_list("drop", listed(*(f"203.0.113.{n}" for n in range(4))), "2-0")
    assert feed.known_changes("1-0") is None
    assert feed.known_changes("2-0") is not None


def test_a_very_large_list_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.lookup.feed.MOST_AT_ONCE", 100)
    chance = random.Random(3)
    values = {f"203.{chance.randrange(256)}.{chance.randrange(256)}.7" for _ in range(5000)}
    feed = feed_of(own("198.51.100.0/24"), lists=(listed(*values),))

    async def read() -> tuple[int, bytes]:
        etag, body = await feed.whole_list()
        assert etag
        assert not isinstance(body, bytes)
        parts = [part async for part in body]
        return len(parts), b"".join(parts)

    parts, body = asyncio.run(read())
    assert parts > 2
    found = [entry["value"] for entry in json.loads(body)["blocks"]]
    assert sorted(found) == sorted({*values, "198.51.100.0/24"})


def test_a_reset_in_pieces_is_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.lookup.feed.MOST_AT_ONCE", 1)
    feed = feed_of(own("203.0.113.1"), own("203.0.113.2"))

    async def read() -> bytes:
        body = await feed.changes_since(None)
        return body if isinstance(body, bytes) else b"".join([part async for part in body])

    answer = json.loads(asyncio.run(read()))
    assert (answer["reset"], answer["cursor"], len(answer["blocks"])) == (True, "1-0", 2)
