"""Who is blocked, for how long, and what stops a block."""

import asyncio

import pytest
from acting import ALICE, DAY, HOUR, IP, MINUTE, NOON, Clock, a_manual, a_request
from redis.asyncio import Redis

from actions.blocks.block import BlockFilter, BlockStatus, Origin, Outcome, Review
from actions.blocks.blocklist import block_id_for, new_block_id
from actions.blocks.keys import HISTORY_LENGTH, HISTORY_TTL_MS, KEPT_MS, STRIKES_TTL_MS, block_key, blocks_key
from actions.blocks.networks import NeverBlock
from actions.errors import UnknownError
from actions.world import World


async def test_a_block_is_in_force_until_its_end(world: World, clock: Clock) -> None:
    result = await world.blocklist.block(a_request(at=NOON - MINUTE, incident_id="INC-2026-0001"))
    assert result.outcome == Outcome.CREATED
    block = await world.blocklist.find_active(IP)
    assert block == result.block
    assert block is not None
    assert (block.status, block.review, block.strikes) == (BlockStatus.ACTIVE, Review.UNREVIEWED, 1)
    assert (block.created_at, block.until) == (NOON, NOON - MINUTE + 4 * HOUR)
    assert (block.actor, block.rule, block.incident_id) == ("bartizan", "auth_failures", "INC-2026-0001")
    clock.ms = NOON - MINUTE + 4 * HOUR - 1
    assert await world.blocklist.find_active(IP) is not None
    assert await world.blocklist.expire_due() == 0
    clock.forward(1)
    assert await world.blocklist.find_active(IP) is None
    assert await world.blocklist.expire_due() == 1
    assert await world.blocklist.expire_due() == 0
    assert (await world.blocklist.get("b1")).status == BlockStatus.EXPIRED
    changes = (await world.feed.changes("0-0")).entries
    assert [(c.op, c.reason) for c in changes] == [("add", "blocked"), ("remove", "expired")]


@pytest.mark.parametrize(
    ("strike", "hours"),
    [(1, 4), (2, 8), (3, 16), (4, 32), (5, 64), (6, 128), (7, 168), (8, 168), (60, 168), (2000, 168)],
)
async def test_each_strike_doubles_the_time_up_to_the_cap(
    world: World, redis: Redis, strike: int, hours: int
) -> None:
    await redis.set(blocks_key("strikes", IP), strike - 1)
    block = (await world.blocklist.block(a_request())).block
    assert block is not None
    assert (block.strikes, block.until) == (strike, NOON + hours * HOUR)


async def test_strikes_double_over_real_blocks_one_after_the_other(world: World, clock: Clock) -> None:
    ends = []
    for n in range(4):
        block = (await world.blocklist.block(a_request(f"b{n}"))).block
        assert block is not None
        assert block.until is not None
        ends.append((block.until - clock.ms) // HOUR)
        clock.ms = block.until
    assert ends == [4, 8, 16, 32]


async def test_the_same_request_twice_is_one_block(world: World) -> None:
    first = await world.blocklist.block(a_request())
    second = await world.blocklist.block(a_request())
    assert (first.outcome, second.outcome) == (Outcome.CREATED, Outcome.EXISTS)
    assert first.block == second.block
    assert (await world.blocklist.counts())["kept"] == 1


async def test_a_request_repeated_after_it_was_lifted_does_not_block_again(world: World) -> None:
    await world.blocklist.block(a_request())
    await world.reviews.unblock("b1", ALICE, "a customer")
    again = await world.blocklist.block(a_request())
    assert again.outcome == Outcome.EXISTS
    assert again.block is not None
    assert again.block.status == BlockStatus.LIFTED
    assert await world.blocklist.find_active(IP) is None


@pytest.mark.parametrize("around", [IP, "203.0.113.0/24", "203.0.0.0/16"])
async def test_a_subject_blocked_already_gets_no_second_block_and_no_strike(
    world: World, redis: Redis, around: str
) -> None:
    await world.blocklist.block(a_manual("m1", around))
    strikes = await redis.get(blocks_key("strikes", IP))
    result = await world.blocklist.block(a_request())
    assert result.outcome == Outcome.ALREADY_BLOCKED
    assert result.block is not None
    assert result.block.id == "m1"
    assert await redis.get(blocks_key("strikes", IP)) == strikes
    assert (await world.blocklist.counts())["active"] == 1


async def test_a_person_may_block_an_address_inside_a_blocked_network(world: World) -> None:
    await world.blocklist.block(a_manual("m1", "203.0.113.0/24"), ALICE)
    assert (await world.blocklist.block(a_manual("m2", IP), ALICE)).outcome == Outcome.CREATED
    assert [d.id for d in await world.blocklist.covering(IP)] == ["m2", "m1"]


@pytest.mark.parametrize(
    ("age_ms", "outcome"),
    [
        (0, Outcome.CREATED),
        (4 * HOUR - 1, Outcome.CREATED),
        (4 * HOUR, Outcome.TOO_LATE),
        (9 * DAY, Outcome.TOO_LATE),
    ],
)
async def test_late_evidence_makes_no_block_and_no_strike(
    world: World, redis: Redis, age_ms: int, outcome: Outcome
) -> None:
    assert (await world.blocklist.block(a_request(at=NOON - age_ms))).outcome == outcome
    strikes = await redis.get(blocks_key("strikes", IP))
    assert strikes == (b"1" if outcome == Outcome.CREATED else None)
    if outcome == Outcome.TOO_LATE:
        assert await redis.keys("*blocks*") == []


async def test_an_overdue_block_does_not_hide_a_new_one(world: World, clock: Clock) -> None:
    await world.blocklist.block(a_request("b1"))
    clock.forward(4 * HOUR)
    result = await world.blocklist.block(a_request("b2"))
    assert result.outcome == Outcome.CREATED
    assert result.block is not None
    assert result.block.strikes == 2
    assert (await world.blocklist.get("b1")).status == BlockStatus.EXPIRED
    ops = [(c.op, c.decision.id) for c in (await world.feed.changes("0-0")).entries if c.decision]
    assert ops == [("add", "b1"), ("remove", "b1"), ("add", "b2")]


@pytest.mark.parametrize(
    ("value", "entry"),
    [
        ("127.0.0.1", "loopback 127.0.0.0/8"),
        ("::1", "loopback ::1"),
        ("10.0.0.7", "private network 10.0.0.0/8"),
        ("169.254.1.1", "link-local 169.254.0.0/16"),
        ("100.64.3.4", "carrier-grade NAT 100.64.0.0/10"),
        ("224.0.0.1", "multicast 224.0.0.0/4"),
        ("198.51.100.7", "trusted proxy 198.51.100.0/24"),
        ("203.0.112.0/15", "a /15 needs force"),
        ("2001:db8::/31", "a /31 needs force"),
    ],
)
async def test_what_must_not_be_blocked_is_refused_with_the_entry_that_stopped_it(
    world: World, value: str, entry: str
) -> None:
    world.blocklist.never_block = NeverBlock([("trusted proxy", "198.51.100.0/24")])
    for actor in (None, ALICE):
        result = await world.blocklist.block(a_request(value=value), actor)
        assert (result.outcome, result.entry) == (Outcome.REFUSED, entry)
    assert (await world.blocklist.counts())["kept"] == 0


async def test_force_blocks_a_wide_network_but_not_what_must_never_be(world: World) -> None:
    wide = await world.blocklist.block(a_manual("m1", "198.18.0.0/15", force=True), ALICE)
    assert wide.outcome == Outcome.CREATED
    world_ = await world.blocklist.block(a_manual("m2", "0.0.0.0/0", force=True), ALICE)
    assert world_.outcome == Outcome.REFUSED


async def test_an_allowlisted_address_is_refused_and_a_network_around_it_is_not(world: World) -> None:
    await world.reviews.allow("203.0.113.0/28", "our office", ALICE)
    refused = await world.blocklist.block(a_request())
    assert (refused.outcome, refused.entry) == (Outcome.REFUSED, "allowlist 203.0.113.0/28 (our office)")
    wider = await world.blocklist.block(a_manual("m1", "203.0.113.0/24"), ALICE)
    assert wider.outcome == Outcome.CREATED


async def test_an_entry_of_the_allowlist_made_elsewhere_is_seen_at_once(
    world: World, redis: Redis, clock: Clock
) -> None:
    await world.blocklist.block(a_request("b0", "203.0.113.200"))
    await World.make(redis, clock).reviews.allow(IP, "our monitor", ALICE)
    assert (await world.blocklist.block(a_request())).outcome == Outcome.REFUSED


async def test_an_ended_entry_of_the_allowlist_protects_no_more(world: World, clock: Clock) -> None:
    await world.reviews.allow(IP, "a test", ALICE, until=NOON + HOUR)
    clock.forward(HOUR)
    assert (await world.blocklist.block(a_request())).outcome == Outcome.CREATED


async def test_a_person_s_block_is_exact_needs_no_review_and_is_audited(world: World) -> None:
    block = (await world.blocklist.block(a_manual(), ALICE)).block
    assert block is not None
    assert (block.until, block.review, block.actor) == (NOON + HOUR, Review.NOT_NEEDED, "alice")
    entries, _ = await world.audit.page()
    assert [(e.action, e.target, e.actor, e.role, e.reason) for e in entries] == [
        ("block.create", "block:m1", "alice", "responder", "seen it")
    ]
    assert entries[0].before is None
    assert entries[0].after["value"] == IP


async def test_a_permanent_block_never_ends(world: World, clock: Clock, redis: Redis) -> None:
    block = (await world.blocklist.block(a_manual(duration_ms=None), ALICE)).block
    assert block is not None
    assert block.until is None
    clock.forward(10_000 * DAY)
    assert await world.blocklist.expire_due() == 0
    assert await world.blocklist.find_active(IP) == block
    assert await redis.pttl(block_key("m1")) == -1


async def test_one_ipv6_owner_cannot_set_off_the_brake(world: World) -> None:
    world.blocklist.brake_limit = 3
    made = [await world.blocklist.block(a_request(f"x{n}", f"2001:db8:1:{n:x}::/64")) for n in range(8)]
    assert {result.outcome for result in made} == {Outcome.CREATED}
    other = [await world.blocklist.block(a_request(f"y{n}", f"2001:db8:{n:x}::/64")) for n in range(2, 6)]
    assert [r.outcome for r in other] == [Outcome.CREATED, Outcome.CREATED, Outcome.BRAKED, Outcome.BRAKED]


async def test_the_brake_stops_one_rule_at_its_501st_block_within_ten_minutes(
    world: World, clock: Clock
) -> None:
    for n in range(500):
        request = a_request(f"b{n}", f"198.51.{n // 250}.{n % 250}")
        assert (await world.blocklist.block(request)).outcome == Outcome.CREATED
    clock.forward(10 * MINUTE - 1)
    braked = [await world.blocklist.block(a_request(f"x{n}", f"192.0.2.{n}")) for n in range(3)]
    assert [(r.outcome, r.first) for r in braked] == [
        (Outcome.BRAKED, True),
        (Outcome.BRAKED, False),
        (Outcome.BRAKED, False),
    ]
    again = await world.blocklist.block(a_request("x0", "192.0.2.0"))
    assert (again.outcome, again.first) == (Outcome.BRAKED, True)
    other = await world.blocklist.block(a_request("o", "192.0.2.9", rule="suspicious_activity"))
    assert other.outcome == Outcome.CREATED
    assert (await world.blocklist.block(a_manual("m", "192.0.2.8"), ALICE)).outcome == Outcome.CREATED
    clock.forward(10 * MINUTE)
    assert (await world.blocklist.block(a_request("y", "192.0.2.7"))).outcome == Outcome.CREATED


async def test_a_network_of_an_ipv6_subject_is_one_value(world: World) -> None:
    assert (await world.blocklist.block(a_request(value="2001:db8:1:2::/64"))).outcome == Outcome.CREATED
    assert [d.value for d in await world.blocklist.covering("2001:db8:1:2::77")] == ["2001:db8:1:2::/64"]
    inside = await world.blocklist.block(a_request("b2", "2001:db8:1:2::77"))
    assert inside.outcome == Outcome.ALREADY_BLOCKED


async def test_a_hundred_findings_at_once_make_exactly_one_block(world: World, redis: Redis) -> None:
    results = await asyncio.gather(*(world.blocklist.block(a_request(f"b{n}")) for n in range(100)))
    outcomes = [r.outcome for r in results]
    assert outcomes.count(Outcome.CREATED) == 1
    assert outcomes.count(Outcome.ALREADY_BLOCKED) == 99
    assert await redis.get(blocks_key("strikes", IP)) == b"1"
    assert len((await world.feed.changes("0-0")).entries) == 1


async def test_every_key_is_left_with_its_ttl(world: World, redis: Redis, clock: Clock) -> None:
    await world.blocklist.block(a_request())
    slack = 60_000
    for key, ttl in [
        (block_key("b1"), 4 * HOUR + KEPT_MS),
        (blocks_key("strikes", IP), STRIKES_TTL_MS),
        (blocks_key("history", IP), HISTORY_TTL_MS),
        (blocks_key("brake", "auth_failures"), 10 * MINUTE),
    ]:
        assert ttl - slack < await redis.pttl(key) <= ttl, key
    clock.forward(4 * HOUR)
    await world.blocklist.expire_due()
    assert KEPT_MS - slack < await redis.pttl(block_key("b1")) <= KEPT_MS


async def test_a_block_that_is_over_is_forgotten_after_90_days(
    world: World, redis: Redis, clock: Clock
) -> None:
    await world.blocklist.block(a_request())
    clock.forward(4 * HOUR)
    await world.blocklist.expire_due()
    clock.forward(KEPT_MS)
    await world.blocklist.expire_due()
    assert await world.blocklist.find("b1") is None
    assert await world.blocklist.page() == ([], None)
    left = {key.decode().removeprefix("bartizan:{act}:") for key in await redis.keys("*")}
    assert left == {"blocks:strikes:" + IP, "blocks:history:" + IP, "blocks:brake:auth_failures", "changes"}


async def test_the_history_of_a_value_is_bounded(world: World) -> None:
    for n in range(HISTORY_LENGTH + 5):
        await world.blocklist.block(a_manual(f"m{n}"), ALICE)
        await world.reviews.unblock(IP, ALICE)
    history = await world.blocklist.history(IP)
    assert [b.id for b in history] == [f"m{n}" for n in range(HISTORY_LENGTH + 4, 4, -1)]


async def test_a_list_is_paged_from_the_newest_without_gaps(world: World, clock: Clock) -> None:
    for n in range(7):
        clock.forward(n % 2)
        await world.blocklist.block(a_request(f"b{n}", f"192.0.2.{n}"))
    seen, cursor = await world.blocklist.page(limit=3)
    while cursor:
        more, cursor = await world.blocklist.page(cursor=cursor, limit=3)
        seen += more
    assert len({b.id for b in seen}) == len(seen) == 7
    assert [b.created_at for b in seen] == sorted((b.created_at for b in seen), reverse=True)


async def test_a_list_is_narrowed_by_each_filter(world: World, clock: Clock) -> None:
    await world.blocklist.block(a_request("b1", "192.0.2.1"))
    clock.forward(MINUTE)
    await world.blocklist.block(a_manual("m1", "198.51.100.0/24"), ALICE)
    await world.blocklist.block(a_request("p1", "192.0.2.2", rule="suspicious_activity", propose=True))
    await world.reviews.unblock("b1", ALICE, "wrong customer")
    for wanted, ids in [
        (BlockFilter(), {"b1", "m1", "p1"}),
        (BlockFilter(status=BlockStatus.LIFTED), {"b1"}),
        (BlockFilter(status=BlockStatus.PROPOSED), {"p1"}),
        (BlockFilter(rule="auth_failures"), {"b1"}),
        (BlockFilter(origin=Origin.ADMIN), {"m1"}),
        (BlockFilter(review=Review.UNREVIEWED), {"b1", "p1"}),
        (BlockFilter(contains="198.51.100.77"), {"m1"}),
        (BlockFilter(contains="192.0.2.1"), {"b1"}),
        (BlockFilter(value="192.0.2.2"), {"p1"}),
        (BlockFilter(since=NOON + 1), {"m1", "p1"}),
        (BlockFilter(q="CUSTOMER"), {"b1"}),
        (BlockFilter(q="nothing"), set()),
    ]:
        blocks, cursor = await world.blocklist.page(wanted)
        assert {b.id for b in blocks} == ids, wanted
        assert cursor is None


@pytest.mark.parametrize("cursor", ["ü", "!!", "x" * 7])
async def test_a_cursor_that_is_not_ours_is_refused(world: World, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await world.blocklist.page(cursor=cursor)


async def test_a_value_that_is_no_address_is_an_error(world: World) -> None:
    with pytest.raises(ValueError, match="not-an-ip"):
        await world.blocklist.block(a_request(value="not-an-ip"))


async def test_an_unknown_block_says_so(world: World) -> None:
    with pytest.raises(UnknownError):
        await world.blocklist.get("nope")


def test_block_ids_are_stable_for_findings_and_new_for_people() -> None:
    assert block_id_for("0:1-0") == block_id_for("0:1-0")
    assert block_id_for("0:1-0") != block_id_for("0:1-1")
    assert len(block_id_for("0:1-0")) == 16
    assert new_block_id() != new_block_id()
