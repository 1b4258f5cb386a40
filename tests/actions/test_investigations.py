"""The queue of investigations: nothing lost, nothing twice, bounded, one process at a time."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from acting import ALICE, HOUR, IP, MINUTE, NOON, Clock, a_finding, a_manual
from crashes import Fault, crash_at_each_step
from redis.asyncio import Redis

from actions import investigate
from actions.blocks.block import Block
from actions.errors import UnknownError
from actions.incidents.incident import Incident
from actions.investigations.dossiers import LARGEST_BYTES, Dossier, encoded
from actions.investigations.investigation import EventSummary, Subject, Tallied
from actions.investigations.investigations import (
    AGAIN_MS,
    DELAY_MS,
    KEPT_MS,
    MOST_WAITING,
    TAKEN_AT_ONCE,
    TRIES,
    TURN_MS,
    investigation_key,
    queue_key,
)
from actions.investigations.page import markdown_of
from actions.investigations.tally import Signs, Tally
from actions.investigations.work import Investigator
from actions.world import World
from detectors.event import Event
from detectors.finding import Finding
from detectors.geo import Geo


class History:
    """A history in which everybody failed to log in five times and then got in as alice."""

    def __init__(self) -> None:
        self.asked: list[list[Subject]] = []

    async def about(self, subjects: Sequence[Subject], since_ms: int, until_ms: int) -> list[EventSummary]:
        self.asked.append(list(subjects))
        tally = Tally()
        for n in range(6):
            event = Event(path="/login", status=302 if n == 5 else 401, user="alice")
            tally.take(until_ms - 6_000 + n, IP, event, Signs(n < 5, n == 5))
        one = tally.summary(
            source="journal", since_at=since_ms, until_at=until_ms, complete_since_at=since_ms
        )
        return [one for _ in subjects]


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture
def world(redis: Redis, clock: Clock, history: History) -> World:
    return World.make(redis, clock, history=history)


async def begun(world: World, finding: Finding) -> Incident:
    """An incident with its first dossier."""
    opened = await world.incidents.open_or_join(finding)
    await investigate.run(finding, opened.incident, world)
    return opened.incident


async def lines(world: World, incident_id: str) -> list[tuple[str, str]]:
    entries, _ = await world.timeline.page(incident_id)
    return [(entry.kind, entry.text) for entry in entries]


async def test_the_quick_dossier_is_there_at_once_and_the_whole_one_after_the_delay(
    world: World, clock: Clock, history: History
) -> None:
    incident = await begun(world, a_finding())
    quick = await world.dossiers.find(incident.id)
    assert quick is not None and quick.events is None and quick.steps == ()
    investigator = Investigator(world)
    assert await investigator.step() == 0 and history.asked == []
    clock.forward(DELAY_MS)
    assert await investigator.step() == 1
    whole = await world.dossiers.find(incident.id)
    assert whole is not None and whole.events is not None and whole.events.login_failures == 5
    assert whole.steps[0].id == "reset_account"
    assert (whole.rule, whole.subject_kind, whole.finding_id) == ("auth_failures", "ip", a_finding().id)
    assert [kind for kind, _ in await lines(world, incident.id)] == [
        "created",
        "evidence_added",
        "evidence_added",
    ]
    assert await investigator.step() == 0
    assert await world.redis.exists(queue_key(), queue_key("asked"), queue_key("turn")) == 0


async def test_without_a_journal_the_evidence_speaks(redis: Redis, clock: Clock) -> None:
    world = World.make(redis, clock)
    incident = await begun(world, a_finding())
    clock.forward(DELAY_MS)
    await Investigator(world).step()
    whole = await world.dossiers.find(incident.id)
    assert whole is not None and whole.events is not None
    assert (whole.events.source, whole.events.cut) == ("evidence", "there is no journal")
    assert whole.events.login_failures == 2
    assert "read_logs" in {step.id for step in whole.steps}


async def test_a_later_finding_of_the_incident_keeps_what_is_known_and_waits_its_time(
    world: World, clock: Clock
) -> None:
    incident = await begun(world, a_finding())
    clock.forward(DELAY_MS)
    await Investigator(world).step()
    clock.forward(MINUTE)
    await begun(world, a_finding(2))
    kept = await world.dossiers.find(incident.id)
    assert kept is not None and kept.events is not None and kept.steps
    clock.forward(DELAY_MS)
    assert await Investigator(world).step() == 0
    clock.forward(AGAIN_MS)
    assert await Investigator(world).step() == 1


async def test_the_same_finding_twice_is_one_investigation(world: World, clock: Clock) -> None:
    incident = await begun(world, a_finding())
    clock.forward(DELAY_MS)
    await Investigator(world).step()
    whole = await world.dossiers.find(incident.id)
    await investigate.run(a_finding(), incident, world)
    clock.forward(AGAIN_MS)
    assert await Investigator(world).step() == 0
    assert await world.dossiers.find(incident.id) == whole


async def test_a_person_is_served_at_once_and_audited(world: World, clock: Clock) -> None:
    incident = await begun(world, a_finding())
    await world.investigations.ask(Subject("ip", IP), ALICE, incident.id)
    asked = await world.investigations.waits(incident.id)
    assert asked is not None and asked.asked_by == "alice"
    assert await Investigator(world).step() == 1
    entries, _ = await world.audit.page()
    assert [(e.actor, e.action, e.target) for e in entries] == [
        ("alice", "investigation.ask", f"incident:{incident.id}")
    ]


async def test_an_entity_without_an_incident_is_kept_for_seven_days(world: World, clock: Clock) -> None:
    await begun(world, a_finding())
    await world.blocklist.block(a_manual(), ALICE)
    await world.allowlist.put("198.51.100.0/24", "an office", ALICE)
    asked = await world.investigations.ask(Subject("ip", IP), ALICE)
    assert (await world.investigations.find(asked.id)).state == "waiting"
    assert 0 < await world.redis.pttl(investigation_key(asked.id)) <= KEPT_MS
    await Investigator(world).step()
    found = await world.investigations.find(asked.id)
    assert found.state == "done" and found.dossier is not None
    assert [one.rule for one in found.dossier.earlier_incidents] == ["auth_failures"]
    assert [one.status for one in found.dossier.earlier_blocks] == ["active"]
    assert len(found.dossier.evidence) == 2 and found.dossier.allowed_by is None
    with pytest.raises(UnknownError, match="kept for 7 days"):
        await world.investigations.find("INV-none")


async def test_the_addresses_of_an_account_have_their_places(
    redis: Redis, clock: Clock, corpora: Path
) -> None:
    class Abroad(History):
        async def about(
            self, subjects: Sequence[Subject], since_ms: int, until_ms: int
        ) -> list[EventSummary]:
            [found] = await super().about(subjects, since_ms, until_ms)
            return [msgspec.structs.replace(found, addresses=(Tallied("89.160.20.112", 1, NOON, NOON),))]

    geo = Geo(corpora / "GeoLite2-City-Test.mmdb")
    world = World.make(redis, clock, history=Abroad(), geo=geo)
    asked = await world.investigations.ask(Subject("user", "alice"), ALICE)
    await Investigator(world).step()
    dossier = (await world.investigations.find(asked.id)).dossier
    assert dossier is not None and dossier.places["89.160.20.112"].city == "Linköping"
    assert "89.160.20.112 (Linköping, SE)" in markdown_of(dossier)
    geo.close()


async def test_others_that_behave_alike_are_named(world: World, clock: Clock) -> None:
    for n in range(4):
        evidence = tuple(
            msgspec.structs.replace(e, client_ip=f"192.0.2.{n}", user_agent="Evil/1.0")
            for e in a_finding().evidence
        )
        await begun(world, a_finding(n, subject=f"192.0.2.{n}", evidence=evidence))
    await begun(world, a_finding(9, subject="198.51.100.1", evidence=()))
    clock.forward(DELAY_MS)
    await Investigator(world).step()
    found = await world.dossiers.find("INC-2026-0001")
    assert found is not None
    assert {one.subject for one in found.alike} == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
    assert found.alike[0].shares == ("path /login", "user agent Evil/1.0")
    assert "watch_network" in {step.id for step in found.steps}


async def test_a_flood_of_incidents_is_bounded_and_those_dropped_say_so(
    world: World, clock: Clock, history: History
) -> None:
    person = await world.investigations.ask(Subject("user", "alice"), ALICE)
    incidents = []
    for n in range(MOST_WAITING + 3):
        rule = f"rule_{n}"
        incidents.append(await begun(world, a_finding(n, rule=rule, subject=f"192.0.2.{n}")))
        clock.forward(1)
    assert await world.redis.zcard(queue_key()) == await world.redis.hlen(queue_key("asked")) == MOST_WAITING
    text = f"not investigated: more than {MOST_WAITING} investigations waited"
    dropped = [n for n, one in enumerate(incidents) if ("action_skipped", text) in await lines(world, one.id)]
    assert dropped == [TAKEN_AT_ONCE - 1 + n for n in range(4)], "the next hundred may be at work"
    assert (await world.investigations.find(person.id)).state == "waiting"
    clock.forward(DELAY_MS)
    investigator, passes = Investigator(world), 0
    while await investigator.step():
        passes += 1
    assert passes == len(history.asked) == 2
    assert (await world.investigations.find(person.id)).state == "done"
    assert (await lines(world, incidents[-1].id))[-1][0] == "evidence_added"


async def test_what_is_at_work_is_not_dropped(world: World, clock: Clock) -> None:
    incidents = [
        await begun(world, a_finding(n, rule=f"rule_{n}", subject=f"192.0.2.{n}")) for n in range(100)
    ]
    clock.forward(DELAY_MS)
    taken = await world.investigations.take()
    assert len(taken) == TAKEN_AT_ONCE
    for n in range(MOST_WAITING):
        await begun(world, a_finding(1_000 + n, rule=f"more_{n}", subject=f"198.51.100.{n}"))
    dossier = await world.dossiers.find(incidents[0].id)
    assert all([await world.investigations.done(one, dossier, "read") for one in taken])


async def test_one_process_at_a_time_until_it_is_dead(world: World, clock: Clock) -> None:
    await begun(world, a_finding())
    clock.forward(DELAY_MS)
    assert await world.investigations.take_turn("first")
    assert await world.investigations.take_turn("first"), "its successor has the same name"
    assert await Investigator(world, "second").step() == 0
    assert 0 < await world.redis.pttl(queue_key("turn")) <= TURN_MS
    await world.redis.delete(queue_key("turn"))  # as Redis does in three minutes
    assert await Investigator(world, "second").step() == 1


async def test_what_kills_its_takers_is_given_up(world: World, clock: Clock) -> None:
    incident = await begun(world, a_finding())
    clock.forward(DELAY_MS)
    for _ in range(TRIES):
        assert len(await world.investigations.take()) == 1
    assert await world.investigations.take() == []
    assert (await lines(world, incident.id))[-1][1] == f"not investigated: given up after {TRIES} attempts"
    assert await world.redis.zcard(queue_key()) == 0


async def test_one_that_fails_keeps_no_other_waiting(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await begun(world, a_finding()), await begun(world, a_finding(2, subject="192.0.2.7"))
    real = world.blocklist.history

    async def history(value: str) -> list[Block]:
        if value == IP:
            raise ValueError("a mistake of ours")
        return await real(value)

    monkeypatch.setattr(world.blocklist, "history", history)
    clock.forward(DELAY_MS)
    for _ in range(TRIES + 1):
        await Investigator(world).step()
    assert (await lines(world, first.id))[-1][1] == f"not investigated: given up after {TRIES} attempts"
    assert (await lines(world, second.id))[-1][0] == "evidence_added"


async def test_asked_again_while_it_is_made_it_is_made_again(world: World, clock: Clock) -> None:
    incident = await begun(world, a_finding())
    clock.forward(DELAY_MS)
    [taken] = await world.investigations.take()
    await world.investigations.ask(Subject("ip", IP), ALICE, incident.id)
    dossier = await world.dossiers.find(incident.id)
    assert await world.investigations.done(taken, dossier, "read")
    assert await Investigator(world).step() == 1


async def test_a_hundred_at_once_lose_nothing(world: World, clock: Clock) -> None:
    findings = [a_finding(n, subject=f"192.0.2.{n}", rule=f"rule_{n}") for n in range(100)]
    opened = [(await world.incidents.open_or_join(one)).incident for one in findings]
    await asyncio.gather(*(investigate.run(f, i, world) for f, i in zip(findings, opened, strict=True)))
    assert await world.redis.zcard(queue_key()) == 100
    clock.forward(DELAY_MS)
    assert await Investigator(world).step() == 100


async def test_it_stops_soon_while_it_reads(world: World, clock: Clock) -> None:
    incident = await begun(world, a_finding())
    clock.forward(DELAY_MS)
    stop, reading = asyncio.Event(), asyncio.Event()

    class Endless(History):
        async def about(
            self, subjects: Sequence[Subject], since_ms: int, until_ms: int
        ) -> list[EventSummary]:
            reading.set()
            await asyncio.Event().wait()
            return []

    slow = World.make(world.redis, clock, history=Endless())
    task = asyncio.create_task(Investigator(slow).run(stop))
    await reading.wait()
    stop.set()
    await asyncio.wait_for(task, 5)
    assert await Investigator(world).step() == 1, "the next one does it"
    whole = await world.dossiers.find(incident.id)
    assert whole is not None and whole.events is not None


@pytest.mark.parametrize("way", ["never arrives", "answer lost", "cancelled"])
async def test_a_crash_between_any_two_steps_makes_one_whole_dossier(
    redis: Redis, frail: Redis, clock: Clock, fault: Fault, history: History, way: str
) -> None:
    async def prepare() -> None:
        await redis.flushall()
        await redis.script_flush()
        clock.ms = NOON
        await begun(World.make(redis, clock), a_finding())
        await World.make(redis, clock).investigations.ask(Subject("user", "alice"), ALICE)
        clock.forward(DELAY_MS)

    async def run() -> None:
        await Investigator(World.make(frail, clock, history=history), "crashed").step()

    async def take_over() -> None:
        await Investigator(World.make(redis, clock, history=history), "crashed").step()
        await check()

    async def check() -> None:
        world = World.make(redis, clock)
        [incident] = (await world.incidents.page())[0]
        whole = await world.dossiers.find(incident.id)
        assert whole is not None and whole.events is not None
        assert [kind for kind, _ in await lines(world, incident.id)].count("evidence_added") == 2
        [key] = await redis.keys("bartizan:{act}:investigation:INV-*")
        found = await world.investigations.find(key.decode().rpartition(":")[2])
        assert found.state == "done"
        assert await redis.exists(queue_key(), queue_key("asked")) == 0

    struck = await crash_at_each_step(fault, frail, prepare=prepare, run=run, take_over=take_over, way=way)
    await check()
    assert struck > 10


def test_a_dossier_that_is_too_large_is_cut_and_says_by_how_much() -> None:
    rows = tuple(Tallied("x" * 5_000, 1, 0, 0) for _ in range(50))
    tally = Tally().summary(source="journal", since_at=0, until_at=HOUR, complete_since_at=0)
    events = msgspec.structs.replace(tally, accounts=rows, paths=rows, agents=rows)
    dossier = Dossier(
        incident_id="INC-2026-0001", finding_id="f", made_at=NOON, subject=IP, evidence=a_finding().evidence,
        accounts=("u" * 9_000,) * 40, events=events,
    )  # fmt: skip
    raw = encoded(dossier)
    kept = msgspec.json.decode(raw, type=Dossier)
    assert len(raw) <= LARGEST_BYTES
    assert kept.left_out > 50 and kept.events is not None
    assert len(kept.evidence) == 2
