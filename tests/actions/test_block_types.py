"""Decisions of other types than bans, and about other things than addresses."""

import pytest
from acting import ALICE, HOUR, IP, Clock, a_finding, a_manual, a_request

from actions.blocks.block import BlockRequest, BlockStatus, Decision, DecisionType, Outcome, Scope
from actions.blocks.subjects import canonical_subject, is_address_key, key_of
from actions.errors import ConflictError
from actions.world import World
from detectors.finding import Finding


@pytest.mark.parametrize(
    ("scope", "text", "value", "key"),
    [
        (None, "203.0.113.9", (Scope.IP, "203.0.113.9"), "203.0.113.9"),
        (None, "203.0.113.9/24", (Scope.RANGE, "203.0.113.0/24"), "203.0.113.0/24"),
        (Scope.RANGE, "2001:DB8::1", (Scope.IP, "2001:db8::1"), "2001:db8::1"),
        (Scope.COUNTRY, "fr", (Scope.COUNTRY, "FR"), "Country:FR"),
        (None, "country:fr", (Scope.COUNTRY, "FR"), "Country:FR"),
        (Scope.AS, "AS64500", (Scope.AS, "64500"), "AS:64500"),
        (Scope.AS, "064500", (Scope.AS, "64500"), "AS:64500"),
        (Scope.USER, " alice@example.org ", (Scope.USER, "alice@example.org"), "User:alice@example.org"),
        (Scope.USER, "203.0.113.9", (Scope.USER, "203.0.113.9"), "User:203.0.113.9"),
    ],
)
def test_a_value_has_one_spelling_and_one_key(
    scope: Scope | None, text: str, value: tuple[Scope, str], key: str
) -> None:
    assert canonical_subject(scope, text) == value
    assert key_of(*value) == key
    assert is_address_key(key) == (value[0] in (Scope.IP, Scope.RANGE))


@pytest.mark.parametrize(
    ("scope", "text", "why"),
    [
        (None, "FR", "network"),
        (Scope.COUNTRY, "France", "ISO 3166"),
        (Scope.AS, "AS", "autonomous system"),
        (Scope.AS, "4294967296", "autonomous system"),
        (Scope.USER, "", "1 to 256"),
        (Scope.USER, "a\nb", "printable"),
        (Scope.IP, "Country:FR", "network"),
    ],
)
def test_what_is_no_value_of_its_scope_is_refused(scope: Scope | None, text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        canonical_subject(scope, text)


def test_a_row_of_before_there_were_scopes_has_that_of_its_value() -> None:
    assert Decision("b1", "203.0.113.0/24", None).scope is Scope.RANGE
    assert Decision("b1", "2001:db8::1", None).scope is Scope.IP


def of_country(id_: str = "c1", **fields: object) -> BlockRequest:
    return a_manual(id_, "FR", scope=Scope.COUNTRY, **fields)


async def test_a_country_is_blocked_found_and_lifted(world: World, clock: Clock) -> None:
    made = await world.blocklist.block(of_country(), ALICE)
    assert (made.outcome, made.block and made.block.value) == (Outcome.CREATED, "FR")
    found = await world.blocklist.find_active("Country:FR")
    assert found == made.block
    (change,) = (await world.feed.changes("0-0")).entries
    assert change.decision is not None
    assert (change.decision.scope, change.decision.value) == (Scope.COUNTRY, "FR")
    again = await world.blocklist.block(of_country("c2"), ALICE)
    assert again.outcome is Outcome.ALREADY_BLOCKED
    assert (await world.reviews.unblock("Country:FR", ALICE)).status is BlockStatus.LIFTED
    assert await world.blocklist.find_active("Country:FR") is None
    assert (await world.reviews.undo("c1", ALICE)).status is BlockStatus.ACTIVE


async def test_a_country_ends_on_time_and_no_allowlist_entry_lifts_it(world: World, clock: Clock) -> None:
    await world.blocklist.block(of_country(duration_ms=HOUR), ALICE)
    _, lifted = await world.reviews.allow("203.0.113.0/24", "office", ALICE)
    assert lifted == []
    clock.forward(HOUR)
    assert await world.blocklist.expire_due() == 1
    assert (await world.feed.changes("0-0")).entries[-1].op == "remove"
    assert (await world.feed.snapshot()).decisions == []


async def test_a_user_named_like_an_address_is_none(world: World) -> None:
    await world.blocklist.block(a_manual("u1", IP, scope=Scope.USER), ALICE)
    assert (await world.blocklist.block(a_request())).outcome is Outcome.CREATED


@pytest.mark.parametrize("weaker", [DecisionType.CAPTCHA, DecisionType.THROTTLE])
async def test_a_ban_takes_the_place_of_what_is_weaker_and_not_the_other_way_round(
    world: World, weaker: DecisionType
) -> None:
    await world.blocklist.block(a_request("b1", type=weaker))
    made = await world.blocklist.block(a_request("b2"))
    assert made.outcome is Outcome.CREATED
    assert (await world.blocklist.get("b1")).status is BlockStatus.LIFTED
    assert (await world.blocklist.get("b1")).note == "a ban took its place: b2"
    assert [d.id for d in (await world.feed.snapshot()).decisions] == ["b2"]
    ops = [(c.op, c.decision and c.decision.id) for c in (await world.feed.changes("0-0")).entries]
    assert ops == [("add", "b1"), ("remove", "b1"), ("add", "b2")]
    assert (await world.blocklist.block(a_request("b3", type=weaker))).outcome is Outcome.ALREADY_BLOCKED


async def test_a_ban_inside_a_throttled_network_is_made_and_a_throttle_inside_a_banned_one_is_not(
    world: World,
) -> None:
    await world.blocklist.block(a_manual("m1", "203.0.113.0/24", type=DecisionType.THROTTLE), ALICE)
    assert (await world.blocklist.block(a_request("b1"))).outcome is Outcome.CREATED
    await world.blocklist.block(a_manual("m2", "198.51.100.0/24"), ALICE)
    throttle = a_request("b2", "198.51.100.7", type=DecisionType.THROTTLE)
    assert (await world.blocklist.block(throttle)).outcome is Outcome.ALREADY_BLOCKED


async def test_a_proposed_ban_that_is_approved_takes_the_place_of_a_throttle(world: World) -> None:
    await world.blocklist.block(a_request("b1", propose=True))
    await world.blocklist.block(a_manual("m1", type=DecisionType.THROTTLE), ALICE)
    assert (await world.reviews.approve("b1", ALICE)).status is BlockStatus.ACTIVE
    replaced = await world.blocklist.get("m1")
    assert (replaced.status, replaced.changed_by) == (BlockStatus.LIFTED, "alice")
    assert replaced.note == "a ban took its place: b1"
    assert [d.id for d in (await world.feed.snapshot()).decisions] == ["b1"]
    with pytest.raises(ConflictError):
        await world.reviews.undo("m1", ALICE)


async def test_a_rule_may_ask_for_a_captcha(world: World) -> None:
    from actions import block_ip

    finding: Finding = a_finding(block_type=DecisionType.CAPTCHA)
    incident = (await world.incidents.open_or_join(finding)).incident
    await block_ip.run(finding, incident, world)
    block = await world.blocklist.find_active(IP)
    assert block is not None
    assert block.type is DecisionType.CAPTCHA
