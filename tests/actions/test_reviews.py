"""What people do with blocks, and that each of it can be taken back and is on record."""

import asyncio

import pytest
from acting import ALICE, DAY, HOUR, IP, NOON, Clock, a_finding, a_manual, a_request
from redis.asyncio import Redis

from actions.audit import Actor
from actions.blocks.block import BlockStatus, Outcome, Review
from actions.blocks.keys import KEPT_MS, block_key, blocks_key
from actions.blocks.networks import NeverBlock
from actions.blocks.reviews import allowed_actions
from actions.errors import ConflictError, RefusedError, UnknownError
from actions.world import World


async def ops(world: World) -> list[tuple[str, str]]:
    return [(c.op, c.reason) for c in (await world.feed.changes("0-0")).entries]


@pytest.mark.parametrize("name", ["b1", IP, "::ffff:203.0.113.9"])
async def test_a_block_is_lifted_by_its_id_or_its_value(world: World, redis: Redis, name: str) -> None:
    await world.blocklist.block(a_request())
    lifted = await world.reviews.unblock(name, ALICE, "a customer")
    assert (lifted.status, lifted.changed_by, lifted.note) == (BlockStatus.LIFTED, "alice", "a customer")
    assert await world.blocklist.find_active(IP) is None
    assert await ops(world) == [("add", "blocked"), ("remove", "lifted")]
    assert await redis.zscore(blocks_key("until"), "b1") is None
    assert 0 < await redis.pttl(block_key("b1")) <= KEPT_MS
    [entry] = (await world.audit.page())[0]
    assert (entry.action, entry.target, entry.actor, entry.reason) == (
        "block.lift",
        "block:b1",
        "alice",
        "a customer",
    )
    assert (entry.before["status"], entry.after["status"]) == ("active", "lifted")


async def test_what_is_not_blocked_cannot_be_lifted(world: World) -> None:
    for name in ("nope", IP):
        with pytest.raises(UnknownError):
            await world.reviews.unblock(name, ALICE)
    await world.blocklist.block(a_request())
    await world.reviews.unblock("b1", ALICE)
    with pytest.raises(ConflictError) as caught:
        await world.reviews.unblock("b1", ALICE)
    assert caught.value.allowed == ("approve", "reject", "undo")


async def test_an_end_can_be_moved_either_way_or_taken_away(world: World, redis: Redis, clock: Clock) -> None:
    await world.blocklist.block(a_request())
    for until in (NOON + 9 * DAY, NOON + HOUR, None, NOON + 2 * HOUR):
        assert (await world.reviews.extend("b1", until, ALICE)).until == until
        assert [d.until for d in await world.blocklist.decisions_of([IP])] == [until]
        assert await redis.zscore(blocks_key("until"), "b1") == until
        assert (await redis.pttl(block_key("b1")) == -1) == (until is None)
    clock.forward(2 * HOUR)
    assert await world.blocklist.expire_due() == 1
    with pytest.raises(ConflictError):
        await world.reviews.extend("b1", clock.ms + HOUR, ALICE)


async def test_an_end_in_the_past_is_refused(world: World) -> None:
    await world.blocklist.block(a_request())
    with pytest.raises(ValueError, match="past"):
        await world.reviews.extend("b1", NOON, ALICE)


async def test_a_proposal_comes_into_force_when_approved(world: World, redis: Redis) -> None:
    await world.blocklist.block(a_request(propose=True))
    assert await world.blocklist.find_active(IP) is None
    assert await ops(world) == []
    again = await world.blocklist.block(a_request("b2", propose=True))
    assert again.outcome == Outcome.ALREADY_BLOCKED
    approved = await world.reviews.approve("b1", ALICE, "yes")
    assert (approved.status, approved.review) == (BlockStatus.ACTIVE, Review.APPROVED)
    assert await world.blocklist.find_active(IP) == approved
    assert await ops(world) == [("add", "approved")]
    assert await redis.hlen(blocks_key("proposed")) == 0
    with pytest.raises(ConflictError):
        await world.reviews.approve("b1", ALICE)


async def test_a_proposal_ends_on_time_and_cannot_be_approved_then(world: World, clock: Clock) -> None:
    await world.blocklist.block(a_request(propose=True))
    clock.forward(4 * HOUR)
    approved = await world.reviews.approve("b1", ALICE)
    assert (approved.status, approved.review) == (BlockStatus.EXPIRED, Review.APPROVED)
    assert await world.blocklist.find_active(IP) is None
    assert await world.blocklist.counts() == {"active": 0, "proposed": 0, "kept": 1, "false_positives": {}}
    assert await ops(world) == []


async def test_a_proposal_is_not_approved_over_another_block_or_a_protection(world: World) -> None:
    await world.blocklist.block(a_request(propose=True))
    await world.blocklist.block(a_manual(), ALICE)
    with pytest.raises(ConflictError, match="m1"):
        await world.reviews.approve("b1", ALICE)
    await world.reviews.unblock("m1", ALICE)
    await world.reviews.allow(IP, "our monitor", ALICE)
    with pytest.raises(RefusedError, match="our monitor"):
        await world.reviews.approve("b1", ALICE)
    world.blocklist.never_block = NeverBlock([("trusted proxy", IP)])
    await world.allowlist.remove(IP, ALICE)
    with pytest.raises(RefusedError, match="trusted proxy"):
        await world.reviews.approve("b1", ALICE)


async def test_a_rejection_lifts_tells_the_rule_and_spares_the_subject(
    world: World, redis: Redis, clock: Clock
) -> None:
    await world.blocklist.block(a_request())
    rejected = await world.reviews.reject("b1", ALICE, "a load test")
    assert (rejected.status, rejected.review) == (BlockStatus.REJECTED, Review.REJECTED)
    assert await world.blocklist.find_active(IP) is None
    assert (await world.blocklist.counts())["false_positives"] == {"auth_failures": 1}
    assert await redis.get(blocks_key("strikes", IP)) == b"0"
    assert DAY - 60_000 < await redis.pttl(blocks_key("spare", "auth_failures", IP)) <= DAY
    clock.forward(DAY - 1)
    assert (await world.blocklist.block(a_request("b2"))).outcome == Outcome.SPARED
    other = await world.blocklist.block(a_request("b3", rule="suspicious_activity"))
    assert other.outcome == Outcome.CREATED
    await world.reviews.unblock("b3", ALICE)
    clock.forward(1)
    assert (await world.blocklist.block(a_request("b4"))).outcome == Outcome.CREATED
    with pytest.raises(ConflictError):
        await world.reviews.reject("b1", ALICE)


async def test_a_rejected_proposal_is_gone_and_its_subject_spared(world: World) -> None:
    await world.blocklist.block(a_request(propose=True))
    await world.reviews.reject("b1", ALICE)
    assert (await world.blocklist.counts())["proposed"] == 0
    assert (await world.blocklist.block(a_request("b2", propose=True))).outcome == Outcome.SPARED


async def test_a_block_that_is_over_can_still_be_found_wrong(world: World, clock: Clock) -> None:
    await world.blocklist.block(a_request())
    clock.forward(4 * HOUR)
    rejected = await world.reviews.reject("b1", ALICE)
    assert (rejected.status, rejected.review) == (BlockStatus.EXPIRED, Review.REJECTED)
    assert (await world.blocklist.block(a_request("b2"))).outcome == Outcome.SPARED


async def test_people_s_blocks_need_no_review(world: World) -> None:
    await world.blocklist.block(a_manual(), ALICE)
    for verb in (world.reviews.approve, world.reviews.reject):
        with pytest.raises(ConflictError, match="own"):
            await verb("m1", ALICE)


async def test_a_lift_is_undone_for_the_time_that_is_left(world: World, clock: Clock) -> None:
    made = (await world.blocklist.block(a_request())).block
    clock.forward(HOUR)
    await world.reviews.unblock("b1", ALICE)
    clock.forward(HOUR)
    back = await world.reviews.undo("b1", ALICE)
    assert made is not None
    assert back.until == made.until == NOON + 4 * HOUR
    assert await world.blocklist.find_active(IP) == back
    clock.forward(2 * HOUR)
    assert await world.blocklist.expire_due() == 1


async def test_a_lift_cannot_be_undone_when_its_time_is_over_or_another_block_came(
    world: World, clock: Clock
) -> None:
    await world.blocklist.block(a_request())
    await world.reviews.unblock("b1", ALICE)
    await world.blocklist.block(a_manual(), ALICE)
    with pytest.raises(ConflictError, match="m1"):
        await world.reviews.undo("b1", ALICE)
    clock.forward(4 * HOUR)
    with pytest.raises(ConflictError, match="over"):
        await world.reviews.undo("b1", ALICE)


async def test_a_block_is_undone_by_lifting_it(world: World) -> None:
    await world.blocklist.block(a_manual(), ALICE)
    [made] = (await world.audit.page())[0]
    undone = await world.reviews.undo(made.id, ALICE)
    assert undone.status == BlockStatus.LIFTED
    assert await world.blocklist.find_active(IP) is None


async def test_a_rejection_is_undone_with_all_it_did(world: World, redis: Redis) -> None:
    await world.blocklist.block(a_request())
    await world.reviews.reject("b1", ALICE)
    back = await world.reviews.undo("b1", ALICE)
    assert (back.status, back.review) == (BlockStatus.ACTIVE, Review.UNREVIEWED)
    assert (await world.blocklist.counts())["false_positives"] == {"auth_failures": 0}
    assert await redis.get(blocks_key("strikes", IP)) == b"1"
    assert await redis.exists(blocks_key("spare", "auth_failures", IP)) == 0


async def test_any_change_of_a_block_is_undone_from_the_audit_trail(world: World) -> None:
    made = (await world.blocklist.block(a_request())).block
    await world.reviews.extend("b1", NOON + 9 * DAY, ALICE, note="worse than thought")
    [extended] = (await world.audit.page())[0]
    back = await world.reviews.undo(extended.id, Actor("bob", "admin"))
    assert made is not None
    assert (back.until, back.reason) == (made.until, made.reason)
    with pytest.raises(ConflictError, match="changed since"):
        await world.reviews.undo(extended.id, ALICE)
    newest = (await world.audit.page(limit=1))[0][0]
    assert (newest.action, newest.actor) == ("block.undo", "bob")
    with pytest.raises(UnknownError):
        await world.reviews.undo("1-1", ALICE)


async def test_a_proposal_approved_by_mistake_waits_again(world: World) -> None:
    await world.blocklist.block(a_request(propose=True))
    await world.reviews.approve("b1", ALICE)
    [entry] = (await world.audit.page())[0]
    back = await world.reviews.undo(entry.id, ALICE)
    assert (back.status, back.review) == (BlockStatus.PROPOSED, Review.UNREVIEWED)
    assert await world.blocklist.find_active(IP) is None
    assert (await world.blocklist.counts())["proposed"] == 1
    assert await ops(world) == [("add", "approved"), ("remove", "proposed")]


async def test_allowlisting_lifts_the_blocks_inside_and_says_which(world: World) -> None:
    for n, value in enumerate(["203.0.113.9", "203.0.113.0/28", "203.0.114.1", "203.0.112.0/20"]):
        await world.blocklist.block(a_manual(f"m{n}", value), ALICE)
    entry, lifted = await world.reviews.allow("203.0.113.5/24", "our office", ALICE)
    assert entry.value == "203.0.113.0/24"
    assert {b.id for b in lifted} == {"m0", "m1"}
    assert {d.value for d in (await world.feed.snapshot()).decisions} == {"203.0.114.1", "203.0.112.0/20"}
    assert ("allow_add", "our office") in await ops(world)
    assert await world.reviews.allow("203.0.113.0/24", "our office", ALICE) == (entry, [])
    actions = [e.action for e in (await world.audit.page())[0]]
    assert actions.count("allowlist.add") == 2
    assert actions.count("block.lift") == 2


@pytest.mark.parametrize(("value", "note", "until"), [("x", "n", None), (IP, "  ", None), (IP, "n", NOON)])
async def test_an_allowlist_entry_needs_a_network_a_note_and_a_future(
    world: World, value: str, note: str, until: int | None
) -> None:
    with pytest.raises(ValueError):
        await world.reviews.allow(value, note, ALICE, until)
    assert await world.allowlist.entries() == []


async def test_an_allowlist_entry_is_removed_and_the_removal_undone(world: World) -> None:
    entry, _ = await world.reviews.allow(IP, "our monitor", ALICE)
    await world.allowlist.remove(IP, ALICE, "moved")
    assert await world.allowlist.entries() == []
    with pytest.raises(UnknownError):
        await world.allowlist.remove(IP, ALICE)
    removal, addition = (await world.audit.page())[0]
    await world.reviews.undo(removal.id, ALICE)
    assert [e.value for e in await world.allowlist.entries()] == [entry.value]
    await world.reviews.undo(addition.id, ALICE)
    assert await world.allowlist.entries() == []


async def test_an_allowlist_entry_ends_on_time(world: World, clock: Clock) -> None:
    await world.reviews.allow(IP, "a pen test", ALICE, NOON + HOUR)
    assert await world.allowlist.expire_due() == 0
    clock.forward(HOUR)
    assert await world.allowlist.entries() == []
    assert await world.allowlist.expire_due() == 1
    assert await world.allowlist.expire_due() == 0
    assert (await ops(world))[-1] == ("allow_remove", "expired")


async def test_blocking_and_allowlisting_at_once_never_leaves_a_block_inside(world: World) -> None:
    blocks = [world.blocklist.block(a_request(f"b{n}", f"203.0.113.{n}")) for n in range(40)]
    await asyncio.gather(*blocks[:20], world.reviews.allow("203.0.113.0/24", "office", ALICE), *blocks[20:])
    assert (await world.feed.snapshot()).decisions == []


async def test_a_hundred_people_lifting_at_once_lift_once(world: World) -> None:
    await world.blocklist.block(a_request())
    tries = [world.reviews.unblock("b1", ALICE) for _ in range(100)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(r, BaseException) for r in results) == 1
    assert sum(isinstance(r, ConflictError) for r in results) == 99
    assert await ops(world) == [("add", "blocked"), ("remove", "lifted")]


async def test_what_can_be_done_follows_from_the_state(world: World) -> None:
    block = (await world.blocklist.block(a_request())).block
    assert block is not None
    assert allowed_actions(block) == ("unblock", "extend", "approve", "reject", "undo")
    approved = await world.reviews.approve("b1", ALICE)
    assert allowed_actions(approved) == ("unblock", "extend", "undo")
    assert allowed_actions(await world.reviews.reject("b1", ALICE)) == ("undo",)


async def test_what_people_do_with_a_block_is_on_the_timeline_of_its_incident(world: World) -> None:
    incident = (await world.incidents.open_or_join(a_finding())).incident
    made = (await world.blocklist.block(a_request(incident_id=incident.id))).block
    assert made is not None
    await world.reviews.approve(made.id, ALICE)
    await world.reviews.extend(made.id, NOON + 8 * HOUR, ALICE, "they come back")
    await world.reviews.unblock(made.id, ALICE, "our office")
    await world.reviews.undo(made.id, ALICE)
    entries = (await world.timeline.page(incident.id))[0][1:]
    assert [(e.kind, e.actor, e.text.partition(" 2026")[0]) for e in entries] == [
        ("action_reviewed", "alice", f"block of {IP} approved by alice"),
        ("action_taken", "alice", f"block of {IP} now ends until"),
        ("action_reverted", "alice", f"block of {IP} lifted by alice: our office"),
        ("action_taken", "alice", f"blocked {IP} until"),
    ]
    manual = (await world.blocklist.block(a_manual(value="192.0.2.1"))).block
    assert manual is not None
    await world.reviews.unblock(manual.id, ALICE)
