"""Many subjects of one rule within minutes are one campaign; critical ones only when there are a hundred."""

import asyncio

import msgspec
import pytest
from acting import ALICE, MINUTE, Clock, Ear, a_finding
from crashes import Fault, Kept, crash_at_each_step
from redis.asyncio import Redis
from test_responder import put

from actions.delivery.message import Message
from actions.delivery.outbox import outbox_key
from actions.incidents.campaigns import NEWS_LIMIT, NEWS_WINDOW_MS, members_key, news_key
from actions.incidents.incident import Incident
from actions.incidents.response_plan import ResponsePlan
from actions.incidents.status import IncidentStatus, Move, Verdict
from actions.responder import Responder
from actions.world import World
from detectors.finding import Action, Finding, Priority, Severity, SubjectKind


def exposed(number: int, **fields: object) -> Finding:
    """A made-up key that stands in a URL."""
    more = {
        "subject": f"token:v1:{number:06d}",
        "subject_kind": SubjectKind.KEY,
        "actions": (Action.ALERT_ADMIN,),
    }
    return a_finding(number, **{"rule": "api_key_exposure", "count": 1, **more, **fields})


TEN = ResponsePlan().campaign.subjects
WINDOW_MS = ResponsePlan().campaign.window_ms


async def all_of(world: World) -> tuple[list[Incident], list[Incident]]:
    """The incidents with a subject of their own, and the campaigns, oldest first."""
    found = (await world.incidents.page(limit=1000))[0][::-1]
    return [i for i in found if not i.is_campaign], [i for i in found if i.is_campaign]


async def test_the_tenth_subject_within_minutes_makes_them_all_one_campaign(
    world: World, redis: Redis, clock: Clock, ear: Ear
) -> None:
    for number in range(TEN):
        await world.incidents.open_or_join(a_finding(number, subject=f"192.0.2.{number}"), tell=True)
    own, [campaign] = await all_of(world)
    assert len(own) == TEN - 1
    assert {(i.status, i.merged_into, i.verdict) for i in own} == {
        (IncidentStatus.MERGED, campaign.id, Verdict.DUPLICATE)
    }
    assert (campaign.title, campaign.subject) == ("auth_failures: 10 subjects", "10 subjects")
    assert campaign.why == (
        "10 subjects of auth_failures within 5 min: one campaign, further subjects are gathered here"
    )
    assert (campaign.members, campaign.event_count, campaign.finding_count) == (TEN, 10 * TEN, TEN)
    assert (len(campaign.entities), len(campaign.evidence)) == (13, 20)
    members = {member.subject for member in await world.incidents.members(campaign.id)}
    assert members == {f"192.0.2.{number}" for number in range(TEN)}
    assert await redis.pttl(members_key(campaign.id)) > 0
    kinds = [entry.kind for entry in (await world.timeline.page(campaign.id))[0]]
    assert kinds == ["created", *["member_added"] * 9]
    last = (await world.timeline.page(own[0].id))[0][-1]
    assert (last.kind, last.data) == ("merged", {"into": campaign.id})
    rows = await redis.xrange(outbox_key())
    messages = [msgspec.json.decode(fields[b"m"], type=Message) for _, fields in rows]
    assert [m.kind.value for m in messages] == ["opened"] * 10 + ["merged"] * 9
    await world.deliver()
    clock.forward(MINUTE)
    await world.deliver()
    told = [(m.kind.value, m.incident_id) for m in ear.heard]
    assert told == [("opened", campaign.id)], "nobody needs to read of the nine besides"


async def test_further_subjects_join_and_are_blocked_each_and_the_title_counts_them(
    world: World, clock: Clock, ear: Ear
) -> None:
    responder = Responder(world)
    for number in range(37):
        await responder.handle(a_finding(number, subject=f"192.0.2.{number}"))
    _, [campaign] = await all_of(world)
    assert (campaign.title, campaign.members) == ("auth_failures: 37 subjects", 37)
    assert (await world.blocklist.counts())["active"] == 37
    block = await world.blocklist.find_active("192.0.2.36")
    assert block is not None
    assert block.incident_id == campaign.id
    assert campaign.told_at is None
    again = await world.incidents.open_or_join(a_finding(100, subject="192.0.2.3"), tell=True)
    assert (again.incident.id, again.incident.members) == (campaign.id, 37)
    clock.forward(WINDOW_MS * 3)
    known = await world.incidents.open_or_join(a_finding(101, subject="192.0.2.4"))
    assert known.incident.id == campaign.id
    new = await world.incidents.open_or_join(a_finding(102, subject="203.0.113.250"))
    assert (new.opened, new.incident.is_campaign) == (True, False)


async def test_people_hear_of_it_once_at_a_hundred_although_the_rule_only_blocks(
    world: World, ear: Ear
) -> None:
    responder = Responder(world)
    for number in range(NEWS_LIMIT + 30):
        await responder.handle(a_finding(number, subject=f"203.0.113.{number}"))
    await responder.drain()
    _, [campaign] = await all_of(world)
    assert [(m.incident_id, m.kind.value) for m in ear.heard] == [(campaign.id, "opened")]


async def test_an_incident_that_somebody_has_in_hand_is_not_taken_into_a_campaign(world: World) -> None:
    for number in range(TEN - 1):
        await world.incidents.open_or_join(a_finding(number, subject=f"192.0.2.{number}"))
    await world.moves.move("INC-2026-0003", Move.ACKNOWLEDGE, ALICE)
    await world.incidents.open_or_join(a_finding(50, subject="192.0.2.50"))
    own, [campaign] = await all_of(world)
    assert [i.id for i in own if i.is_open] == ["INC-2026-0003"]
    assert campaign.members == TEN - 1


async def test_a_person_can_take_one_out_again(world: World) -> None:
    for number in range(TEN):
        await world.incidents.open_or_join(a_finding(number, subject=f"192.0.2.{number}"))
    own, _ = await all_of(world)
    alone = await world.moves.move(own[2].id, Move.REOPEN, ALICE, "that is our office")
    assert (alone.status, alone.merged_into, alone.reopened) == (IncidentStatus.ACKNOWLEDGED, None, 1)
    joined = await world.incidents.open_or_join(a_finding(60, subject="192.0.2.2"))
    assert joined.incident.id == alone.id


async def test_critical_findings_are_gathered_only_past_a_hundred(world: World, redis: Redis) -> None:
    for number in range(NEWS_LIMIT - 1):
        await world.incidents.open_or_join(exposed(number, severity=Severity.CRITICAL), tell=True)
    own, campaigns = await all_of(world)
    assert (len(own), campaigns) == (NEWS_LIMIT - 1, [])
    await world.incidents.open_or_join(exposed(NEWS_LIMIT, severity=Severity.CRITICAL), tell=True)
    _, [campaign] = await all_of(world)
    assert (campaign.members, campaign.priority) == (NEWS_LIMIT, Priority.P0)
    assert 0 < await redis.pttl(news_key("api_key_exposure")) <= NEWS_WINDOW_MS


async def test_a_subject_whose_incident_is_open_joins_it_and_other_rules_are_not_gathered(
    world: World,
) -> None:
    await world.incidents.open_or_join(exposed(7))
    await world.moves.move("INC-2026-0001", Move.ACKNOWLEDGE, ALICE)
    for number in range(100, 100 + TEN):
        await world.incidents.open_or_join(exposed(number))
    joined = await world.incidents.open_or_join(exposed(9_999, subject="token:v1:000007"))
    assert (joined.opened, joined.incident.subject) == (False, "token:v1:000007")
    other = await world.incidents.open_or_join(a_finding(5_000))
    assert (other.opened, other.incident.subject) == (True, "203.0.113.9")


async def test_after_the_window_subjects_have_their_own_incident_again(world: World, clock: Clock) -> None:
    for number in range(TEN):
        await world.incidents.open_or_join(exposed(number))
    clock.forward(WINDOW_MS)
    opened = await world.incidents.open_or_join(exposed(TEN))
    assert (opened.opened, opened.incident.is_campaign) == (True, False)


async def test_a_resolved_campaign_is_not_joined_any_more(world: World) -> None:
    for number in range(TEN):
        await world.incidents.open_or_join(exposed(number))
    _, [first] = await all_of(world)
    await world.moves.move(first.id, Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    again = await world.incidents.open_or_join(exposed(3_000, subject="token:v1:000001"))
    assert again.opened
    assert again.incident.id != first.id


async def test_a_subject_cannot_take_the_place_of_a_campaign(world: World) -> None:
    for number, subject in enumerate(("10 subjects", "*api_key_exposure", "*")):
        opened = await world.incidents.open_or_join(exposed(number, subject=subject))
        assert not opened.incident.is_campaign


async def test_many_processes_at_once_make_one_campaign(redis: Redis, clock: Clock) -> None:
    worlds = [World.make(redis, clock) for _ in range(4)]
    findings = [exposed(number) for number in range(60)]
    twice = [(worlds[n % 4], f) for n, f in enumerate(findings)] + [
        (worlds[(n + 1) % 4], f) for n, f in enumerate(findings)
    ]
    for start in range(0, len(twice), 20):
        await asyncio.gather(*(w.incidents.open_or_join(f) for w, f in twice[start : start + 20]))
    own, [campaign] = await all_of(worlds[0])
    assert len(own) == TEN - 1
    assert (campaign.event_count, campaign.finding_count, campaign.members) == (60, 60, 60)
    assert len(await worlds[0].incidents.members(campaign.id)) == 60


async def test_the_same_finding_at_once_counts_once_in_a_campaign(redis: Redis, clock: Clock) -> None:
    worlds = [World.make(redis, clock) for _ in range(8)]
    for number in range(TEN):
        await worlds[0].incidents.open_or_join(exposed(number))
    for number in range(TEN, TEN + 10):
        await asyncio.gather(*(w.incidents.open_or_join(exposed(number)) for w in worlds))
    _, [campaign] = await all_of(worlds[0])
    assert (campaign.event_count, campaign.finding_count, campaign.members) == (20, 20, 20)


@pytest.mark.parametrize("immediate", [False, True])
async def test_a_campaign_is_as_bad_as_its_worst_finding(world: World, ear: Ear, immediate: bool) -> None:
    for number in range(TEN):
        await world.incidents.open_or_join(exposed(number, severity=Severity.MEDIUM), tell=True)
    _, [campaign] = await all_of(world)
    worst = exposed(1_000, subject="token:v1:000001", severity=Severity.CRITICAL)
    joined = await world.incidents.open_or_join(worst, tell=True, immediate=immediate)
    assert (joined.incident.id, joined.incident.severity) == (campaign.id, Severity.CRITICAL)
    await world.deliver()
    told = [m.kind.value for m in ear.heard if m.incident_id == campaign.id]
    assert told == ["opened", "update"]


async def test_some_each_minute_below_the_limit_are_no_campaign(world: World, clock: Clock) -> None:
    for minute in range(30):
        await world.incidents.open_or_join(exposed(minute))
        await world.incidents.open_or_join(exposed(minute + 1_000))
        if minute % 2:
            clock.forward(MINUTE * 3)
    own, campaigns = await all_of(world)
    assert (len(own), campaigns) == (60, [])


@pytest.mark.parametrize("way", ["never arrives", "answer lost"])
async def test_a_crash_at_any_step_counts_and_tells_once_in_the_campaign(
    redis: Redis, frail: Redis, clock: Clock, fault: Fault, way: str
) -> None:
    before = World.make(redis, clock, channels=[Ear()])
    for number in range(TEN - 1):
        await before.incidents.open_or_join(a_finding(number + 50, subject=f"192.0.2.{number}"), tell=True)
    await put(redis)
    kept = await Kept.of(redis)

    async def prepare() -> None:
        await kept.put_back(redis)

    async def run() -> None:
        world = World.make(frail, clock, consumer="a", channels=[Ear()])
        world.sender.lease_ms = 0
        await Responder(world, consumer="a").drain()

    async def take_over() -> None:
        world = World.make(redis, clock, consumer="b", channels=[Ear()])
        await Responder(world, consumer="b", claim_idle_ms=0).drain()
        await check_campaign(redis, clock)

    struck = await crash_at_each_step(fault, frail, prepare=prepare, run=run, take_over=take_over, way=way)
    await check_campaign(redis, clock)
    assert struck > 20, "every step was interrupted once"


async def check_campaign(redis: Redis, clock: Clock) -> None:
    world = World.make(redis, clock, channels=[Ear()])
    world.dispatcher.claim_idle_ms = 0
    await world.deliver()
    own, [campaign] = await all_of(world)
    assert len(own) == TEN - 1
    assert (campaign.event_count, campaign.finding_count, campaign.members) == (10 * TEN, TEN, TEN)
    told = [
        n.message.kind
        for n in (await world.outbox.notifications())[0]
        if n.message.incident_id == campaign.id
    ]
    assert told == ["opened"]
    assert (await world.blocklist.counts())["active"] == 1


async def a_campaign(world: World, first: int = 0) -> Incident:
    """One of ten subjects."""
    for number in range(first, first + TEN):
        finding = a_finding(1000 * first + number, subject=f"192.0.2.{number}")
        opened = await world.incidents.open_or_join(finding)
    assert opened.incident.is_campaign
    return opened.incident


async def test_an_incident_that_is_merged_into_a_campaign_is_one_member_more(
    world: World, clock: Clock
) -> None:
    campaign = await a_campaign(world)
    clock.forward(2 * NEWS_WINDOW_MS)
    other = (await world.incidents.open_or_join(a_finding(50, subject="192.0.2.50"))).incident
    assert other.id != campaign.id
    await world.moves.merge(other.id, campaign.id, ALICE)
    campaign = await world.incidents.get(campaign.id)
    assert (campaign.members, campaign.title) == (TEN + 1, "auth_failures: 11 subjects")
    assert "192.0.2.50" in {m.subject for m in await world.incidents.members(campaign.id)}


async def test_the_subjects_of_a_campaign_follow_it_where_it_is_merged(world: World, clock: Clock) -> None:
    campaign = await a_campaign(world)
    clock.forward(2 * NEWS_WINDOW_MS)
    other = (await world.incidents.open_or_join(a_finding(50, subject="192.0.2.50", rule="other"))).incident
    await world.moves.merge(campaign.id, other.id, ALICE)
    for number in range(TEN):
        again = await world.incidents.open_or_join(a_finding(100 + number, subject=f"192.0.2.{number}"))
        assert (again.opened, again.incident.id) == (False, other.id)
    assert again.incident.title == other.title
    new = await world.incidents.open_or_join(a_finding(200, subject="192.0.2.200"))
    assert new.opened


async def test_two_campaigns_become_one_with_all_their_subjects(world: World, clock: Clock) -> None:
    old = await a_campaign(world)
    await world.moves.move(old.id, Move.DISMISS, ALICE, verdict=Verdict.UNKNOWN)
    clock.forward(2 * NEWS_WINDOW_MS)
    new = await a_campaign(world, first=5)
    await world.moves.move(old.id, Move.REOPEN, ALICE)
    await world.moves.merge(old.id, new.id, ALICE)
    assert (await world.incidents.get(new.id)).members == TEN + 5
    members = {member.subject for member in await world.incidents.members(new.id)}
    assert members == {f"192.0.2.{number}" for number in range(TEN + 5)}
