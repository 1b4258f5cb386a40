"""Thousands of subjects of one rule: the first hundred get an incident each, the others share one."""

import asyncio

import pytest
from acting import ALICE, MINUTE, Clock, Ear, a_finding
from crashes import Fault, crash_at_each_step
from redis.asyncio import Redis
from test_responder import put

from actions.incident import Incident, Move, Verdict
from actions.incident_brake import NEWS_LIMIT, NEWS_WINDOW_MS, is_overflow, news_key
from actions.incidents import incidents_key
from actions.responder import Responder
from actions.world import World
from detectors.finding import Action, Finding, Severity, SubjectKind


def exposed(number: int, **fields: object) -> Finding:
    """A made-up key that stands in a URL."""
    more = {
        "subject": f"token:v1:{number:06d}",
        "subject_kind": SubjectKind.KEY,
        "actions": (Action.ALERT_ADMIN,),
    }
    return a_finding(number, **{"rule": "api_key_exposure", "count": 1, **more, **fields})


async def all_of(world: World) -> tuple[list[Incident], list[Incident]]:
    """The incidents with a subject of their own, and those shared, oldest first."""
    found = (await world.incidents.page(limit=1000))[0][::-1]
    return [i for i in found if not is_overflow(i)], [i for i in found if is_overflow(i)]


async def test_the_hundred_and_first_subject_and_all_after_it_share_one_incident(
    world: World, redis: Redis, ear: Ear
) -> None:
    responder = Responder(world)
    for number in range(NEWS_LIMIT + 50):
        await responder.handle(exposed(number))
    await responder.drain()
    own, [shared] = await all_of(world)
    assert len(own) == NEWS_LIMIT
    assert (shared.title, shared.subject) == ("api_key_exposure: many subjects", "many subjects")
    assert (shared.event_count, shared.finding_count, len(shared.entities)) == (50, 50, 20)
    assert (
        shared.why
        == "more than 100 new incidents of api_key_exposure within 10 min: further subjects are gathered here"
    )
    assert len(ear.heard) == NEWS_LIMIT + 1
    assert ear.heard[-1].incident_id == shared.id
    assert ear.heard[-1].text.partition("\n")[0] == shared.why
    assert await redis.zcard(news_key("api_key_exposure")) == NEWS_LIMIT
    assert 0 < await redis.pttl(news_key("api_key_exposure")) <= NEWS_WINDOW_MS
    assert not await redis.exists(incidents_key("open", f"api_key_exposure:token:v1:{NEWS_LIMIT:06d}"))


async def test_people_hear_of_it_once_although_the_rule_only_blocks_and_each_subject_is_blocked(
    world: World, clock: Clock, ear: Ear
) -> None:
    responder = Responder(world)
    for number in range(NEWS_LIMIT + 30):
        await responder.handle(a_finding(number, subject=f"203.0.113.{number}"))
    clock.forward(NEWS_WINDOW_MS - 1)
    for number in range(NEWS_LIMIT + 30, NEWS_LIMIT + 40):
        await responder.handle(a_finding(number, subject=f"203.0.113.{number}", at=clock()))
    await responder.drain()
    _, [shared] = await all_of(world)
    assert [m.incident_id for m in ear.heard] == [shared.id]
    assert (await world.blocklist.counts())["active"] == NEWS_LIMIT + 40
    block = await world.blocklist.find_active(f"203.0.113.{NEWS_LIMIT + 5}")
    assert block is not None
    assert block.incident_id == shared.id


async def test_a_subject_whose_incident_is_open_joins_it_and_other_rules_are_not_braked(world: World) -> None:
    for number in range(NEWS_LIMIT + 1):
        await world.incidents.open_or_join(exposed(number))
    joined = await world.incidents.open_or_join(exposed(9_999, subject="token:v1:000007"))
    assert (joined.opened, joined.incident.subject) == (False, "token:v1:000007")
    other = await world.incidents.open_or_join(a_finding(5_000))
    assert (other.opened, other.incident.subject) == (True, "203.0.113.9")


async def test_after_the_window_subjects_have_their_own_incident_again(world: World, clock: Clock) -> None:
    for number in range(NEWS_LIMIT + 1):
        await world.incidents.open_or_join(exposed(number))
    clock.forward(NEWS_WINDOW_MS)
    opened = await world.incidents.open_or_join(exposed(NEWS_LIMIT + 1))
    assert (opened.opened, is_overflow(opened.incident)) == (True, False)


async def test_a_resolved_shared_incident_is_not_joined_any_more(world: World) -> None:
    for number in range(NEWS_LIMIT + 1):
        await world.incidents.open_or_join(exposed(number))
    _, [first] = await all_of(world)
    await world.moves.move(first.id, Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    again = await world.incidents.open_or_join(exposed(NEWS_LIMIT + 1))
    assert again.opened
    assert is_overflow(again.incident)
    assert again.incident.id != first.id


async def test_a_subject_cannot_take_the_place_of_the_shared_incident(world: World) -> None:
    for number, subject in enumerate(("many subjects", "*api_key_exposure", "*")):
        opened = await world.incidents.open_or_join(exposed(number, subject=subject))
        assert not is_overflow(opened.incident)


async def test_many_processes_at_once_open_exactly_as_many_as_they_may(redis: Redis, clock: Clock) -> None:
    worlds = [World.make(redis, clock) for _ in range(4)]
    findings = [exposed(number) for number in range(NEWS_LIMIT + 60)]
    twice = [(worlds[n % 4], f) for n, f in enumerate(findings)] + [
        (worlds[(n + 1) % 4], f) for n, f in enumerate(findings)
    ]
    for start in range(0, len(twice), 20):
        await asyncio.gather(*(w.incidents.open_or_join(f) for w, f in twice[start : start + 20]))
    own, [shared] = await all_of(worlds[0])
    assert len(own) == NEWS_LIMIT
    assert {(i.event_count, i.finding_count) for i in own} == {(1, 1)}
    assert (shared.event_count, shared.finding_count) == (60, 60)


async def test_the_same_finding_at_once_counts_once_in_the_shared_incident(
    redis: Redis, clock: Clock
) -> None:
    worlds = [World.make(redis, clock) for _ in range(8)]
    for number in range(NEWS_LIMIT + 1):
        await worlds[0].incidents.open_or_join(exposed(number))
    for number in range(NEWS_LIMIT + 1, NEWS_LIMIT + 11):
        await asyncio.gather(*(w.incidents.open_or_join(exposed(number)) for w in worlds))
    _, [shared] = await all_of(worlds[0])
    assert (shared.event_count, shared.finding_count) == (11, 11)


@pytest.mark.parametrize("immediate", [False, True])
async def test_the_shared_incident_is_as_bad_as_its_worst_finding(
    world: World, ear: Ear, immediate: bool
) -> None:
    for number in range(NEWS_LIMIT + 1):
        await world.incidents.open_or_join(exposed(number, severity=Severity.MEDIUM), tell=True)
    worst = exposed(NEWS_LIMIT + 1, severity=Severity.CRITICAL)
    joined = await world.incidents.open_or_join(worst, tell=True, immediate=immediate)
    await world.deliver()
    assert joined.incident.severity == Severity.CRITICAL
    told = [m.kind.value for m in ear.heard if m.incident_id == joined.incident.id]
    assert told == (["opened", "update"] if immediate else ["opened"])


async def test_a_minute_of_new_ones_below_the_limit_is_not_braked(world: World, clock: Clock) -> None:
    for minute in range(30):
        for number in range(9):
            await world.incidents.open_or_join(exposed(minute * 100 + number))
        clock.forward(MINUTE)
    own, shared = await all_of(world)
    assert (len(own), shared) == (270, [])


@pytest.mark.parametrize("way", ["never arrives", "answer lost"])
async def test_a_crash_at_any_step_counts_and_tells_once_in_the_shared_incident(
    redis: Redis, frail: Redis, clock: Clock, fault: Fault, way: str
) -> None:
    async def prepare() -> None:
        await redis.flushall()
        await redis.script_flush()
        await redis.zadd(news_key("auth_failures"), {f"INC-{i}": clock() for i in range(NEWS_LIMIT)})
        await put(redis)

    async def run() -> None:
        world = World.make(frail, clock, consumer="a", channels=[Ear()])
        world.sender.lease_ms = 0
        await Responder(world, consumer="a").drain()

    async def take_over() -> None:
        world = World.make(redis, clock, consumer="b", channels=[Ear()])
        await Responder(world, consumer="b", claim_idle_ms=0).drain()
        await check_shared(redis, clock)

    struck = await crash_at_each_step(fault, frail, prepare=prepare, run=run, take_over=take_over, way=way)
    await check_shared(redis, clock)
    assert struck > 20, "every step was interrupted once"


async def check_shared(redis: Redis, clock: Clock) -> None:
    world = World.make(redis, clock, channels=[Ear()])
    world.dispatcher.claim_idle_ms = 0
    await world.deliver()
    own, [shared] = await all_of(world)
    assert own == []
    assert (shared.event_count, shared.finding_count) == (10, 1)
    assert [n.message.kind for n in (await world.outbox.notifications())[0]] == ["opened"]
    assert (await world.blocklist.counts())["active"] == 1
