"""A week of incidents and people, summed up: what is expected was counted by hand."""

from datetime import UTC, date, datetime

import msgspec
import pytest
from acting import DAY, MINUTE, Clock, Ear, a_finding, a_manual, a_request
from redis.asyncio import Redis

from actions.audit import Actor
from actions.delivery.message import MessageKind
from actions.digests import digest as digests
from actions.digests.digest import digest_of
from actions.digests.periods import Period, Rhythm, period_of
from actions.digests.rendering import html_of_digest, message_of, page_of_digest, text_of_digest
from actions.digests.report import (
    Account,
    Ahead,
    Attacker,
    BlockTally,
    Digest,
    Failure,
    Overdue,
    Person,
    RuleBlocks,
    Tally,
)
from actions.digests.sections import headline, percent, shown
from actions.incidents.incident import Entity, Incident
from actions.incidents.status import Move, Verdict
from actions.world import World
from detectors.errors import DeliveryError
from detectors.finding import Priority, Severity

ALICE, CAROL = Actor("alice", "responder"), Actor("carol", "admin")
WEEK = period_of(Rhythm.WEEKLY, date(2026, 11, 23), "UTC")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def day(number: int) -> Period:
    return period_of(Rhythm.DAILY, date(2026, 11, number), "UTC")


class Story:
    """Lets things happen at given times."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.world, self.clock, self.number = world, clock, 100

    async def opens(
        self, at: str, subject: str, severity: Severity, *, tell: bool = True, **fields: object
    ) -> Incident:
        self.clock.ms = ms(at)
        self.number += 1
        entities = fields.pop("entities", (Entity("ip", subject),))
        finding = a_finding(self.number, subject=subject, severity=severity, at=self.clock.ms, **fields)
        found = await self.world.incidents.open_or_join(finding, tell=tell, entities=entities)  # type: ignore[arg-type]
        assert found.opened
        return found.incident

    async def moves(
        self, at: str, incident: Incident, move: Move, who: Actor, verdict: Verdict | None = None
    ) -> None:
        self.clock.ms = ms(at)
        await self.world.moves.move(incident.id, move, who, verdict=verdict)


async def the_week(world: World, clock: Clock, ear: Ear) -> dict[str, Incident]:
    """Five incidents and what alice and carol did with them, and one before and after."""
    story, found = Story(world, clock), {}
    old = found["old"] = await story.opens("2026-11-20T10:00", "192.0.2.1", Severity.HIGH)
    await world.work.add_follow_up(old.id, ALICE, "rotate the key", "bob", ms("2026-11-25T00:00"))
    await world.work.add_follow_up(old.id, ALICE, "write it down", "bob", ms("2027-01-01T00:00"))

    breach = found["breach"] = await story.opens(
        "2026-11-23T10:00",
        "203.0.113.9",
        Severity.CRITICAL,
        entities=(Entity("ip", "203.0.113.9"), Entity("user", "root"), Entity("user", "admin")),
    )
    await story.moves("2026-11-23T10:05", breach, Move.ACKNOWLEDGE, ALICE)
    await world.blocklist.block(a_request("b1", incident_id=breach.id))
    await story.moves("2026-11-23T12:00", breach, Move.RESOLVE, ALICE, Verdict.TRUE_POSITIVE)

    warning = found["warning"] = await story.opens(
        "2026-11-24T09:00",
        "198.51.100.7",
        Severity.MEDIUM,
        entities=(Entity("ip", "198.51.100.7"), Entity("user", "root")),
    )
    await world.blocklist.block(a_request("b2", "198.51.100.7", rule="rate_limit_violations"))
    await story.moves("2026-11-25T08:00", warning, Move.DISMISS, CAROL, Verdict.FALSE_POSITIVE)
    await world.reviews.reject("b2", CAROL, "a customer")

    found["info"] = await story.opens(
        "2026-11-25T13:00",
        "alice",
        Severity.LOW,
        entities=(Entity("user", "root"), Entity("ip", "198.51.100.8"), Entity("ip", "198.51.100.9")),
    )
    clock.ms = ms("2026-11-26T15:00")
    await world.blocklist.block(a_request("b3"))
    await world.reviews.approve("b3", CAROL)
    await world.blocklist.block(a_manual("m1", "198.51.100.200"), ALICE)
    clock.forward(MINUTE)
    await world.reviews.unblock("m1", ALICE)
    await world.reviews.undo("m1", ALICE)
    await world.reviews.unblock("m1", ALICE)
    ear.failure = DeliveryError("550 no such <mailbox>", permanent=True)
    await world.deliver()
    ear.failure = None

    await story.moves("2026-11-27T16:00", old, Move.ACKNOWLEDGE, ALICE)
    await story.moves("2026-11-27T17:00", old, Move.RESOLVE, ALICE, Verdict.TRUE_POSITIVE)
    found["late"] = await story.opens("2026-11-29T23:59:59.999", "203.0.113.10", Severity.HIGH, tell=False)
    found["after"] = await story.opens("2026-11-30T00:00", "203.0.113.11", Severity.CRITICAL)
    clock.ms = ms("2026-11-30T07:00")
    return found


async def test_a_week_is_summed_up_as_counted_by_hand(world: World, clock: Clock, ear: Ear) -> None:
    known = await the_week(world, clock, ear)
    found = await digest_of(world, WEEK)
    assert found.opened == Tally(4, {"P0": 1, "P1": 1, "P2": 1, "P3": 1})
    assert found.resolved == Tally(3, {"P0": 1, "P1": 1, "P2": 1})
    assert found.still_open == Tally(2, {"P1": 1, "P3": 1})
    assert (found.merged, found.reopened) == (0, 0)
    assert [line.id for line in found.listed] == [known[n].id for n in ("breach", "late", "warning")]
    first = found.listed[0]
    assert (first.priority, first.status, first.verdict) == (Priority.P0, "resolved", "true_positive")
    assert (first.lead, first.at) == ("alice", ms("2026-11-23T10:00"))
    assert ([line.id for line in found.gathered], found.gathered_total) == ([known["info"].id], 1)
    assert (found.waiting, found.waiting_total) == ((), 0)
    assert ([line.id for line in found.ended], found.ended_total) == ([known["old"].id], 1)
    assert found.people == (
        Person(
            "alice",
            "responder",
            {
                "block.lift": 2,
                "incident.acknowledge": 2,
                "incident.resolve": 2,
                "block.create": 1,
                "block.undo": 1,
            },
        ),
        Person("carol", "admin", {"block.approve": 1, "block.reject": 1, "incident.dismiss": 1}),
    )
    assert found.blocks == BlockTally(
        made=4,
        by_people=1,
        proposed=0,
        approved=1,
        lifted=1,
        rejected=1,
        rules=(
            RuleBlocks(rule="auth_failures", made=2, reviewed=1, rejected=0),
            RuleBlocks(rule="rate_limit_violations", made=1, reviewed=1, rejected=1),
        ),
    )
    assert [row.false_positive_rate for row in found.blocks.rules] == [0, 1]
    assert found.attackers == (
        Attacker(address="203.0.113.9", strikes=2, blocks=2, events=10, incidents=1),
        Attacker(address="198.51.100.200", strikes=1, blocks=1),
        Attacker(address="203.0.113.10", events=10, incidents=1),
        Attacker(address="198.51.100.8", incidents=1),
        Attacker(address="198.51.100.9", incidents=1),
    )
    assert found.accounts == (
        Account(name="root", incidents=2, events=20),
        Account(name="admin", incidents=1, events=10),
    )
    assert found.overdue == (
        Overdue(incident_id=known["old"].id, text="rotate the key", owner="bob", due=ms("2026-11-25T00:00")),
    )
    [failure] = found.failures
    assert (failure.channel, failure.error) == ("ear", "550 no such <mailbox>")
    assert failure.count == 2, (
        "the openings of the two that are still open; what was over by then was not sent"
    )
    assert (found.ahead, found.missed, found.cuts, found.is_empty) == ((), (), (), False)


async def test_the_days_of_that_week_add_up_to_it(world: World, clock: Clock, ear: Ear) -> None:
    known = await the_week(world, clock, ear)
    days = [await digest_of(world, day(number)) for number in range(23, 30)]
    week = await digest_of(world, WEEK)
    assert [d.opened.total for d in days] == [1, 1, 1, 0, 0, 0, 1]
    assert [d.resolved.total for d in days] == [1, 0, 1, 0, 1, 0, 0]
    assert [d.blocks.made for d in days] == [1, 1, 0, 2, 0, 0, 0]
    assert sum(d.blocks.made for d in days) == week.blocks.made
    assert [len(d.people) for d in days] == [1, 0, 1, 2, 1, 0, 0]
    assert [line.id for line in days[1].gathered] == [known["warning"].id], "warnings come by day"
    assert days[2].gathered == (), "infos do not"
    assert [d.waiting_total for d in days] == [0, 0, 0, 1, 1, 1, 1], "the info, from the day after"


async def test_it_reads_well_as_text(world: World, clock: Clock, ear: Ear) -> None:
    await the_week(world, clock, ear)
    message = message_of(await digest_of(world, WEEK), ("mail",))
    assert message.title == "Weekly digest, 23 to 29 Nov 2026: 4 incidents, 3 resolved, 4 blocks"
    assert (message.kind, message.severity, message.priority) == (
        MessageKind.DIGEST,
        Severity.LOW,
        Priority.P3,
    )
    assert (message.incident_id, message.rule, message.channels) == ("", "digest", ("mail",))
    lines = message.text.splitlines()
    assert lines[:2] == [
        "INCIDENTS",
        "4 (1 P0, 1 P1, 1 P2, 1 P3) opened, 3 (1 P0, 1 P1, 1 P2) resolved, 2 (1 P1, 1 P3) open now",
    ]
    assert lines[lines.index("RESPONSE TIMES") :][:11] == [
        "RESPONSE TIMES",
        *("- 1 acknowledged", "  median 5 min, nine of ten within 5 min"),
        *("- 2 resolved", "  median 12 h 30 min, nine of ten within 23 h"),
        *("- P0, target 15 min", "  1 met", "- P2, target 4 h", "  1 met"),
        *("- P3, target 24 h", "  0 met, 1 missed"),
    ]
    assert "VERDICTS\n- auth_failures\n  2 incidents judged, false positives 1 (50%)\n" in message.text
    assert "RESOLVED FROM BEFORE\n- P1 INC-2026-0001 resolved (true positive), alice\n" in message.text
    assert "- P0 INC-2026-0002 resolved (true positive), alice" in lines
    assert "4 made, 1 of them not by a rule, 1 lifted, 1 rejected, 1 approved" in lines
    assert lines[lines.index("- rate_limit_violations") + 1] == (
        "  1 made, 1 reviewed, false positives 1 (100%)"
    )
    assert lines[lines.index("- 203.0.113.9") + 1] == "  2 strikes, 2 blocks, 10 events, 1 incident"
    assert lines[lines.index("- INC-2026-0001, bob, due 25 Nov 2026") + 1] == "  rotate the key"
    assert lines[lines.index("- ear: 2 messages") + 1] == "  the last: 550 no such <mailbox>"
    assert lines[-1] == "Days and times are those of UTC."
    assert all(len(line) <= 160 for line in lines)


async def test_a_day_without_anything_says_so(world: World, clock: Clock) -> None:
    clock.ms = ms("2026-11-25T07:00")
    found = await digest_of(world, day(24))
    assert found.is_empty
    assert headline(found) == "Daily digest, 24 Nov 2026: nothing happened"
    assert text_of_digest(found).startswith("NOTHING HAPPENED\nNo incident, no block, and nobody changed")


async def test_a_period_that_is_not_over_is_shown_so_far(world: World, clock: Clock) -> None:
    clock.ms = ms("2026-11-24T12:00")
    await world.blocklist.block(a_request())
    found = await digest_of(world, day(24))
    assert headline(found) == "Daily digest, 24 Nov 2026 so far: 0 incidents, 0 resolved, 1 block"


async def test_what_is_for_a_digest_and_what_lies_ahead_can_be_said_by_others(
    world: World, clock: Clock
) -> None:
    incident = await Story(world, clock).opens("2026-11-24T12:00", "192.0.2.1", Severity.CRITICAL)
    clock.ms = ms("2026-11-25T07:00")
    asked: list[int] = []

    async def ahead(since: int, until: int) -> list[Ahead]:
        asked.extend((since, until))
        return [Ahead("weekly <maintenance>", ms("2026-11-29T02:00"), ms("2026-11-29T04:00"))]

    found = await digest_of(
        world, day(24), is_for=lambda i, rhythm: i.severity is Severity.CRITICAL, maintenance=ahead
    )
    assert ([line.id for line in found.gathered], found.listed) == ([incident.id], ())
    assert asked == [clock.ms, clock.ms + 2 * DAY]
    assert "- weekly <maintenance>\n  29 Nov 2026 02:00 to 29 Nov 2026 04:00" in text_of_digest(found)


async def test_of_incidents_that_are_part_of_another_the_other_is_counted(world: World, clock: Clock) -> None:
    story = Story(world, clock)
    for number in range(12):
        clock.ms = ms("2026-11-24T12:00") + number
        finding = a_finding(number, subject=f"192.0.2.{number}", at=clock.ms)
        await world.incidents.open_or_join(finding)
    other = await story.opens("2026-11-24T15:00", "198.51.100.1", Severity.LOW, rule="scan")
    await story.moves("2026-11-24T16:00", other, Move.ACKNOWLEDGE, ALICE)
    await story.moves("2026-11-24T16:01", other, Move.RESOLVE, ALICE, Verdict.UNKNOWN)
    await story.moves("2026-11-24T16:02", other, Move.REOPEN, ALICE)
    clock.ms = ms("2026-11-25T07:00")
    found = await digest_of(world, day(24))
    assert (found.opened.total, found.merged, found.reopened) == (2, 9, 1)
    assert found.resolved.total == 0
    assert "2 (1 P1, 1 P3) opened, 0 resolved, 2 (1 P1, 1 P3) open now, 9 part of others, 1 reopened" in (
        text_of_digest(found)
    )
    assert [a.incidents for a in found.attackers] == [1] * 10


HOSTILE = '<script>alert("1")</script>\r\n\x1b[31m\u202eevil & {{ 7*7 }} {% raw %} %s </p></div>' + "x" * 500


async def test_what_an_attacker_writes_is_one_escaped_line(world: World, clock: Clock) -> None:
    story = Story(world, clock)
    incident = await story.opens(
        "2026-11-24T12:00",
        HOSTILE,
        Severity.CRITICAL,
        entities=(Entity("ip", HOSTILE), Entity("user", HOSTILE)),
    )
    await world.work.edit(incident.id, Actor(HOSTILE, "responder"), {"title": HOSTILE, "lead": HOSTILE})
    await world.work.add_follow_up(incident.id, ALICE, HOSTILE, HOSTILE, clock.ms)
    clock.ms = ms("2026-11-25T07:00")
    found = await digest_of(world, day(24))
    found = msgspec.structs.replace(
        found,
        failures=(Failure(channel=HOSTILE, count=1, error=HOSTILE),),
        ahead=(Ahead(HOSTILE, clock.ms, clock.ms),),
    )
    for page in (html_of_digest(found), page_of_digest(found)):
        assert page.count("&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;") >= 8
        for piece in ("<script", "\x1b", "\u202e", "\r", "{{ 7*7 }}\n", "49", "</div>"):
            assert piece not in page, piece
        assert "{{ 7*7 }}" in page, "braces of a log are not the template's"
    text = text_of_digest(found)
    assert all(line.isprintable() for line in text.splitlines())
    assert not any(line.startswith(("evil", "[31m", "</p>")) for line in text.splitlines())
    assert max(map(len, text.splitlines())) < 400


async def test_the_longest_digest_is_short_enough_for_a_mail(world: World, clock: Clock) -> None:
    incident = await Story(world, clock).opens("2026-11-24T12:00", "192.0.2.1", Severity.LOW)
    await world.work.edit(incident.id, ALICE, {"title": '"' * 500, "lead": '"' * 200})
    clock.ms = ms("2026-11-25T07:00")
    found = await digest_of(world, day(24))
    lines = found.listed * 50
    found = msgspec.structs.replace(
        found, listed=lines, gathered=lines, gathered_total=10_000, waiting=lines[:10], waiting_total=10_000
    )
    assert len(html_of_digest(found)) < 200_000
    assert "and 9,950 more" in text_of_digest(found)


async def test_it_reads_no_more_than_it_says(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "MOST_READ", 4)
    monkeypatch.setattr(digests, "PAGE", 2)
    story = Story(world, clock)
    for number in range(6):
        incident = await story.opens(f"2026-11-{18 + number}T12:00", f"192.0.2.{number}", Severity.LOW)
        await story.moves(f"2026-11-{18 + number}T12:01", incident, Move.ACKNOWLEDGE, ALICE)
        await world.blocklist.block(a_request(f"b{number}", f"192.0.2.{number}"))
    await world.deliver()
    clock.ms = ms("2026-11-24T07:00")
    cut = await digest_of(world, period_of(Rhythm.WEEKLY, date(2026, 11, 18), "UTC"))
    assert (cut.opened.total, cut.blocks.made) == (4, 4)
    assert cut.cuts == (
        "Incidents: the newest 4 were read, back to 19 Nov 2026; older ones are not counted",
        "Blocks: the newest 4 were read, back to 19 Nov 2026; older ones are not counted",
        "The audit trail: the newest 4 were read, back to 20 Nov 2026; older ones are not counted",
        "Deliveries: the newest 4 were read, back to 23 Nov 2026; older ones are not counted",
    )
    assert "WHAT IS MISSING HERE\n- Incidents: the newest 4 were read" in text_of_digest(cut)


async def test_evidence_is_not_kept_while_a_digest_is_made(world: World, clock: Clock, redis: Redis) -> None:
    await Story(world, clock).opens("2026-11-24T12:00", "192.0.2.1", Severity.HIGH)
    [incident] = await digests._incidents(world, day(24), [])
    assert incident.evidence == ()


def test_a_rate_is_rounded_but_never_to_none_or_all() -> None:
    assert [percent(r) for r in (0, 0.2, 1 / 3, 1, 0.004, 0.999)] == [
        "0%",
        "20%",
        "33%",
        "100%",
        "0.4%",
        "99.9%",
    ]


def test_a_text_is_shown_in_one_line() -> None:
    assert shown(" a \n b\tc\x00\u2028d ", 20) == "a b c\N{REPLACEMENT CHARACTER} d"
    assert shown("x" * 30, 10) == "x" * 9 + "\N{HORIZONTAL ELLIPSIS}"


def test_a_digest_is_plain_data() -> None:
    assert msgspec.json.decode(msgspec.json.encode(WEEK), type=Period) == WEEK
    assert Digest.__struct_config__.frozen
