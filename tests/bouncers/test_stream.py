"""`GET /v1/decisions/stream`: everything at the start, then what came and went, for each bouncer by itself."""

import asyncio
import random

import pytest
from bouncing import ALICE, FIREWALL, HOUR_MS, LOOKUP, NGINX, Bench

from actions.blocks.block import Origin
from actions.blocks.decision import Decision
from app.bouncers.desk import BouncerDesk
from app.bouncers.durations import FOR_GOOD_MS, parse_go_duration
from app.bouncers.offers import CHUNK
from app.lookup.addresses import spelled
from app.lookup.feed import Feed
from app.lookup.follower import Follower
from app.lookup.packed import PackedList
from app.policies.enforcement import Fallback
from detectors.finding import DecisionType


async def test_nothing_is_two_empty_lists(bench: Bench):
    answer = await bench.get("/v1/decisions/stream?startup=true")
    assert answer.content == b'{"new":[],"deleted":[]}'
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


async def test_a_start_and_then_changes_each_once(bench: Bench):
    first = await bench.block("203.0.113.1")
    assert await bench.pull(query="startup=true") == (["203.0.113.1"], [])
    assert await bench.pull() == ([], [])
    await bench.block("203.0.113.2")
    assert await bench.pull() == (["203.0.113.2"], [])
    assert await bench.pull() == ([], [])
    await bench.lift(first)
    assert await bench.pull() == ([], ["203.0.113.1"])
    assert await bench.pull(query="") == ([], ["203.0.113.1"])  # within 2 s once more: the answer may be lost


async def test_a_block_that_ends_is_deleted(bench: Bench):
    await bench.block("203.0.113.1")
    await bench.block("2001:db8::7")
    await bench.pull(query="startup=true")
    await bench.pass_time(HOUR_MS + 1)
    new, deleted = await bench.pull()
    assert (new, set(deleted)) == ([], {"203.0.113.1", "2001:db8::7"})


async def test_each_bouncer_has_its_own_place(bench: Bench):
    await bench.pull(query="startup=true")
    await bench.pull("python-bouncer/0.0.5", "startup=true")
    await bench.block("203.0.113.1")
    assert await bench.pull() == (["203.0.113.1"], [])
    assert await bench.pull("python-bouncer/0.0.5") == (["203.0.113.1"], [])
    proxied = {"X-Api-Key": LOOKUP, "User-Agent": NGINX, "X-Forwarded-For": "198.51.100.77"}
    bench.client._transport.client = ("192.0.2.1", 1)  # type: ignore[attr-defined]
    answer = await bench.client.get("/v1/decisions/stream", headers=proxied)
    assert len(answer.json()["new"]) == 1  # the same key from another address: never pulled before
    assert {(row.type, row.address) for row in await bench.world.bouncers.store.all()} == {
        ("crowdsec-nginx-bouncer", "198.51.100.7"),
        ("python-bouncer", "198.51.100.7"),
        ("crowdsec-nginx-bouncer", "198.51.100.77"),
    }


async def test_a_head_moves_no_cursor(bench: Bench):
    await bench.pull(query="startup=true")
    await bench.block("203.0.113.1")
    for _ in range(2):
        await bench.client.head("/v1/decisions/stream", headers={"X-Api-Key": LOOKUP, "User-Agent": NGINX})
    assert await bench.pull() == (["203.0.113.1"], [])


async def test_the_scopes_are_addresses_unless_others_are_asked_for(bench: Bench):
    await bench.block("FR")
    await bench.block("203.0.113.1")
    assert await bench.pull(query="startup=true") == (["203.0.113.1"], [])
    both = "startup=true&scopes=ip,country"
    assert set((await bench.pull(query=both))[0]) == {"FR", "203.0.113.1"}


async def test_a_deletion_is_held_back_while_another_decision_holds_the_value(bench: Bench):
    single = await bench.block("203.0.113.0")
    whole = await bench.block("203.0.113.0/30")
    new, _ = await bench.pull(FIREWALL, "startup=true")
    assert sorted(new) == [f"203.0.113.{n}" for n in range(4)]
    await bench.lift(single)
    new, deleted = await bench.pull(FIREWALL)
    assert new == ["203.0.113.0"]
    assert deleted == new, "taken back and told anew in one answer: with the end of what remains"
    await bench.lift(whole)
    _, deleted = await bench.pull(FIREWALL)
    assert sorted(deleted) == [f"203.0.113.{n}" for n in range(4)]


async def test_a_stronger_type_takes_the_place_of_a_weaker_one(bench: Bench):
    await bench.captcha("203.0.113.1")
    await bench.pull(query="startup=true")
    await bench.block("203.0.113.1")
    answer = (await bench.get("/v1/decisions/stream")).json()
    assert [(i["value"], i["type"]) for i in answer["new"]] == [("203.0.113.1", "ban")]
    assert answer["deleted"] == []


async def test_the_filter_comes_before_the_deduplication(bench: Bench):
    """Upstream's issues 2014 and 3373: a filtered bouncer missed a ban where another origin held a longer one."""
    await bench.block("203.0.113.1", origin=Origin.RULE, rule="auth_failures")
    await bench.pull()
    packed = PackedList.of("drop", ["203.0.113.1"], reason="listed", fetched_at=bench.clock[0])
    bench.world.feed.take_list("drop", packed, bench.world.feed.cursor)
    answer = (await bench.get("/v1/decisions/stream?startup=true")).json()
    assert [(i["origin"], i["scenario"]) for i in answer["new"]] == [("lists", "drop")]
    answer = (await bench.get("/v1/decisions/stream?startup=true&origins=crowdsec,cscli")).json()
    assert [i["origin"] for i in answer["new"]] == ["crowdsec"]


async def test_another_version_of_a_list_is_told_as_what_came_and_went(bench: Bench):
    def version(*values: str) -> PackedList:
        return PackedList.of("drop", values, reason="listed", fetched_at=bench.clock[0])

    feed = bench.world.feed
    own = await bench.block("203.0.113.3")
    feed.take_list("drop", version("203.0.113.1", "203.0.113.2", "203.0.113.3"), feed.cursor)
    await bench.block("198.51.100.1")
    assert set((await bench.pull(query="startup=true"))[0]) == {
        *(f"203.0.113.{n}" for n in (1, 2, 3)),
        "198.51.100.1",
    }
    ms, _, number = feed.cursor.partition("-")
    feed.take_list("drop", version("203.0.113.2", "203.0.113.4"), f"{ms}-{int(number) + 1}")
    new, deleted = await bench.pull()
    assert (set(new), deleted) == ({"203.0.113.3", "203.0.113.4"}, ["203.0.113.1"])
    items = (await bench.get("/v1/decisions?origins=lists")).json()
    assert {(i["value"], i["scenario"]) for i in items} == {("203.0.113.2", "drop"), ("203.0.113.4", "drop")}
    feed.take_list("drop", None, f"{ms}-{int(number) + 2}")
    new, deleted = await bench.pull()
    assert {"203.0.113.2", "203.0.113.4"} <= set(deleted) and new == []
    assert await bench.values("ip=203.0.113.3") == [own.value]


async def test_the_allowlist_takes_away_and_gives_back(bench: Bench):
    await bench.block("203.0.113.0/24")
    assert await bench.pull(query="startup=true") == (["203.0.113.0/24"], [])
    await bench.actions.reviews.allow("203.0.113.128/25", "ours", ALICE)
    await bench.follow()
    assert await bench.pull() == (["203.0.113.0/25"], ["203.0.113.0/24"])
    await bench.actions.allowlist.remove("203.0.113.128/25", ALICE)
    await bench.follow()
    assert await bench.pull() == (["203.0.113.0/24"], ["203.0.113.0/25"])


async def test_what_is_allowlisted_inside_a_block_is_deleted(bench: Bench):
    await bench.block("203.0.113.9")
    await bench.pull(query="startup=true")
    await bench.actions.reviews.allow("203.0.113.9", "a partner", ALICE)
    await bench.follow()
    assert await bench.pull() == ([], ["203.0.113.9"])


async def test_ranges_are_expanded_for_who_drops_them_where_they_are_small(bench: Bench):
    await bench.block("203.0.113.0/24")
    await bench.block("198.18.0.0/23")
    new, _ = await bench.pull(FIREWALL, "startup=true")
    assert len(new) == 257
    assert "198.18.0.0/23" in new and "203.0.113.255" in new
    new, _ = await bench.pull(NGINX, "startup=true")
    assert sorted(new) == ["198.18.0.0/23", "203.0.113.0/24"]
    assert len((await bench.pull(NGINX, "startup=true&expand=true"))[0]) == 257
    assert len((await bench.pull(FIREWALL, "startup=true&expand=false"))[0]) == 2


async def test_the_addresses_that_attacked_stand_beside_their_network(bench: Bench):
    block = await bench.block(
        "2001:db8:1:2::/64", origin=Origin.RULE, rule="auth_failures", seen=("2001:db8:1:2::a",)
    )
    new, _ = await bench.pull(FIREWALL, "startup=true")
    assert new == ["2001:db8:1:2::/64", "2001:db8:1:2::a"]
    assert (await bench.pull(NGINX, "startup=true"))[0] == ["2001:db8:1:2::/64"]
    await bench.lift(block)
    assert (await bench.pull(FIREWALL))[1] == ["2001:db8:1:2::/64", "2001:db8:1:2::a"]


async def test_an_extended_block_is_taken_back_and_told_anew_to_a_firewall(bench: Bench):
    block = await bench.block("203.0.113.1")
    await bench.pull(FIREWALL, "startup=true")
    await bench.pull(NGINX, "startup=true")
    await bench.actions.reviews.extend(block.id, bench.clock[0] + 9 * HOUR_MS, ALICE)
    await bench.follow()
    assert await bench.pull(FIREWALL) == (["203.0.113.1"], ["203.0.113.1"])
    assert await bench.pull(NGINX) == (["203.0.113.1"], [])


async def test_another_fallback_in_the_policy_is_a_change(bench: Bench):
    await bench.captcha("203.0.113.1")
    assert await bench.pull(FIREWALL, "startup=true") == (["203.0.113.1"], [])
    bench.world.feed.fallback = {**bench.world.feed.fallback, DecisionType.CAPTCHA: Fallback.IGNORE}
    assert await bench.pull(FIREWALL) == ([], ["203.0.113.1"])
    bench.world.feed.fallback = {**bench.world.feed.fallback, DecisionType.CAPTCHA: Fallback.BAN}
    assert (await bench.pull(FIREWALL))[0] == ["203.0.113.1"]


async def another_process(bench: Bench) -> None:
    """The same Redis, a process that has just begun."""
    world, actions = bench.world, bench.actions
    world.feed = Feed(world.now)
    bench.follower = Follower(actions.feed, world.feed, world.now)
    world.bouncers = BouncerDesk(world.feed, actions.feed, actions.blocklist, actions.redis, world.now)
    await bench.follow()


async def test_another_process_goes_on_where_the_first_one_was(bench: Bench):
    gone = await bench.block("203.0.113.1")
    await bench.pull(query="startup=true")
    await bench.lift(gone)
    await bench.block("203.0.113.2")
    await another_process(bench)
    assert await bench.pull() == (["203.0.113.2"], ["203.0.113.1"])


async def test_a_bouncer_whose_place_is_lost_is_told_everything_and_what_has_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    gone = await bench.block("203.0.113.1")
    await bench.block("203.0.113.2")
    await bench.pull(query="startup=true")
    await bench.lift(gone)
    [bouncer] = await bench.world.bouncers.store.all()
    ahead = {"cursor": "9999999999999-1"}  # of a Redis that has lost something since
    await bench.actions.redis.hset(f"bartizan:{{act}}:bouncer:{bouncer.id}", mapping=ahead)
    monkeypatch.setattr("app.bouncers.desk.CATCH_UP_S", 0.01)
    new, deleted = await bench.pull()
    assert (new, deleted) == (["203.0.113.2"], ["203.0.113.1"])


class Enforcer:
    """A bouncer that keeps what it was told: of each value until when."""

    def __init__(self, agent: str, *, overwrites: bool, deletes_first: bool) -> None:
        self.agent, self.overwrites, self.deletes_first = agent, overwrites, deletes_first
        self.held: dict[tuple[str, str], int] = {}

    def expire(self, now: int) -> None:
        self.held = {key: until for key, until in self.held.items() if until > now}

    async def pull(self, bench: Bench, startup: str = "false") -> None:
        now = bench.clock[0]
        body = (await bench.get(f"/v1/decisions/stream?startup={startup}", self.agent)).json()
        self.expire(now)
        steps = [self._delete, self._add] if self.deletes_first else [self._add, self._delete]
        for step in steps:
            step(body, now)

    def _delete(self, body: dict, now: int) -> None:
        for item in body["deleted"]:
            self.held.pop((item["scope"], item["value"]), None)

    def _add(self, body: dict, now: int) -> None:
        for item in body["new"]:
            key, until = (item["scope"], item["value"]), now + parse_go_duration(item["duration"])
            if self.overwrites:
                self.held[key] = until
            else:
                self.held.setdefault(key, until)


@pytest.mark.parametrize("seed", range(12))
async def test_whoever_pulls_now_and_then_holds_what_a_newcomer_is_told(bench: Bench, seed: int):
    """Random blocks, lifts, ends, allowlist entries; bouncers that keep their first end, and those that do not."""
    chance = random.Random(seed)
    values = [f"203.0.113.{n}" for n in range(4)] + ["203.0.113.0/30", "203.0.113.0/24", "203.0.0.0/16"]
    values += ["2001:db8::1", "2001:db8::/64", "2001:db8::/120"]
    enforcers = [
        Enforcer(FIREWALL, overwrites=False, deletes_first=True),
        Enforcer(NGINX, overwrites=True, deletes_first=True),
        Enforcer("crowdsec-custom-bouncer/v1", overwrites=True, deletes_first=False),
    ]
    for enforcer in enforcers:
        await enforcer.pull(bench, "true")
    for _ in range(60):
        await random_step(bench, chance, values)
        for enforcer in enforcers:
            if chance.random() < 0.4:
                await enforcer.pull(bench)
                fresh = Enforcer(enforcer.agent, overwrites=True, deletes_first=True)
                await look(bench, fresh)
                assert enforcer.held.keys() == fresh.held.keys()
                for key, until in fresh.held.items():
                    is_for_good = until - bench.clock[0] >= FOR_GOOD_MS - 1000
                    slack_ms = FOR_GOOD_MS // 2 if is_for_good else 1000
                    assert abs(until - enforcer.held[key]) <= slack_ms, key


async def look(bench: Bench, fresh: Enforcer) -> None:
    """What a newcomer of the same kind is told; its place is nobody else's."""
    headers = {"X-Api-Key": LOOKUP, "User-Agent": fresh.agent, "X-Forwarded-For": "198.51.100.99"}
    transport = bench.client._transport
    transport.client = ("192.0.2.1", 1)  # type: ignore[attr-defined]
    body = (await bench.client.get("/v1/decisions/stream?startup=true", headers=headers)).json()
    transport.client = ("198.51.100.7", 40_000)  # type: ignore[attr-defined]
    fresh._add(body, bench.clock[0])


async def random_step(bench: Bench, chance: random.Random, values: list[str]) -> None:
    value = chance.choice(values)
    present = await bench.actions.blocklist.find_active(value)
    allowed = [entry.value for entry in await bench.actions.allowlist.entries()]
    match chance.choice(
        ["block", "block", "block", "lift", "extend", "time", "allow", "disallow", "restart"]
    ):
        case "block" if not allowed:
            kind = chance.choice([DecisionType.BAN, DecisionType.BAN, DecisionType.CAPTCHA])
            if present is None or kind.strength > present.type.strength:
                duration = chance.choice([60_000, HOUR_MS, None])
                await bench.block(value, type=kind, duration_ms=duration)
        case "lift" if present is not None:
            await bench.lift(present)
        case "extend" if present is not None:
            until = bench.clock[0] + chance.choice([30_000, 2 * HOUR_MS])
            await bench.actions.reviews.extend(present.id, until, ALICE)
            await bench.follow()
        case "time":
            await bench.pass_time(chance.choice([500, 5_000, 70_000, HOUR_MS]))
        case "allow":
            until = chance.choice([None, bench.clock[0] + 60_000])
            await bench.actions.reviews.allow(value, "ours", ALICE, until)
            await bench.follow()
        case "disallow" if allowed:
            await bench.actions.allowlist.remove(chance.choice(allowed), ALICE)
            await bench.follow()
        case "restart":
            await another_process(bench)


async def test_a_long_list_comes_in_pieces_and_leaves_the_loop_to_others(bench: Bench):
    """100,000 decisions: the same items as ever, each once, and other work gets its turn all the while."""
    number = 100_000
    table = bench.world.feed.table
    for n in range(number):
        value = spelled(4, 0x14000000 + n)
        table.add(Decision(f"{n:016x}", value, bench.clock[0] + HOUR_MS, rule="auth_failures"))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    answer = await bench.get("/v1/decisions/stream?startup=true", FIREWALL)
    whole = await bench.get("/v1/decisions", FIREWALL)
    task.cancel()
    assert len({item["value"] for item in answer.json()["new"]}) == number
    assert answer.json()["deleted"] == []
    assert len({item["id"] for item in whole.json()}) == number
    assert turns > 4 * number / CHUNK
    assert await bench.pull(FIREWALL) == ([], [])
