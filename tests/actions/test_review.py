"""What a review gathers: blocks, merged incidents, a timeline that is too long, who was told how often."""

import msgspec
import pytest
from acting import ALICE, HOUR, MINUTE, NOON, Clock, Ear, a_finding, a_manual

from actions import block_ip
from actions.errors import UnknownError
from actions.incidents.incident import Entry, Incident
from actions.incidents.keys import encode_incident, incident_key
from actions.incidents.review import ENTRIES_SHOWN, Told, entries_to_show, review_of
from actions.incidents.status import Move, Verdict
from actions.world import World
from detectors.errors import DeliveryError
from detectors.finding import Finding


async def opened(world: World, finding: Finding) -> Incident:
    made = (await world.incidents.open_or_join(finding, tell=True)).incident
    await block_ip.run(finding, made, world)
    return made


def about(number: int, **fields: object) -> Finding:
    return a_finding(number, subject=f"203.0.113.{number}", **fields)


async def test_a_review_has_the_blocks_of_what_was_merged_into_it(world: World, clock: Clock) -> None:
    one = await opened(world, about(1))
    clock.forward(MINUTE)
    other = await opened(world, about(2))
    await world.moves.merge(other.id, one.id, ALICE)
    review = await review_of(world, one.id)
    assert [(b.value, b.incident_id) for b in review.blocks] == [
        ("203.0.113.1", one.id),
        ("203.0.113.2", other.id),
    ]
    assert [(m.id, m.title) for m in review.merged] == [(other.id, other.title)]
    assert next(m.at for m in review.milestones if m.name == "first block") == NOON


async def test_what_was_taken_out_again_is_no_part_of_it(world: World) -> None:
    one, other = await opened(world, about(1)), await opened(world, about(2))
    await world.moves.merge(other.id, one.id, ALICE)
    await world.moves.move(other.id, Move.REOPEN, ALICE)
    review = await review_of(world, one.id)
    assert (review.merged, [b.value for b in review.blocks]) == ((), ["203.0.113.1"])


async def test_a_block_that_somebody_else_made_is_not_counted_as_its_own(world: World) -> None:
    await world.blocklist.block(a_manual(value="203.0.113.1"))
    review = await review_of(world, (await opened(world, about(1))).id)
    assert review.blocks == ()
    assert "is blocked already" in review.entries[-1].text


async def test_a_campaign_is_reviewed_with_all_it_took_in(world: World) -> None:
    for number in range(1, 13):
        last = await opened(world, about(number))
    review = await review_of(world, last.id)
    assert review.incident.members == 12
    assert len(review.merged) == 9
    assert {m.subject for m in review.members} == {f"203.0.113.{n}" for n in range(1, 13)}
    assert len(review.blocks) == 12


async def test_who_was_told_is_counted_by_channel_and_result(world: World, ear: Ear) -> None:
    incident = await opened(world, about(1))
    await world.deliver()
    await world.moves.move(incident.id, Move.ACKNOWLEDGE, ALICE)
    ear.failure = DeliveryError("no such channel", permanent=True)
    await world.deliver()
    review = await review_of(world, incident.id)
    assert review.told == (Told("ear", "delivered", 1), Told("ear", "failed", 1))
    assert [n.message.kind for n in review.notifications] == ["opened", "acknowledged"]


async def test_the_response_time_is_met_missed_or_open(world: World, clock: Clock) -> None:
    async def is_met(incident: Incident) -> bool | None:
        review = await review_of(world, incident.id)
        return next(m.is_met for m in review.milestones if m.name == "acknowledged")

    quick, slow = await opened(world, about(1)), await opened(world, about(2))
    assert await is_met(quick) is None
    clock.forward(HOUR)
    await world.moves.move(quick.id, Move.ACKNOWLEDGE, ALICE)
    assert await is_met(quick) is True
    clock.forward(1)
    assert await is_met(slow) is False
    await world.moves.move(slow.id, Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    await world.clocks.strike()


def entry(number: int, kind: str, *, pinned: bool = False) -> Entry:
    return Entry(f"{number}-0", "INC-2026-0001", NOON, NOON + number, "bartizan", kind, "x", None, pinned)


def test_a_short_timeline_is_shown_as_it_is() -> None:
    entries = [entry(n, "event_attached") for n in range(5)]
    assert entries_to_show(entries, 5) == entries


def test_of_a_long_timeline_what_people_did_stays_and_noise_goes() -> None:
    entries = [entry(0, "created"), *(entry(n, "event_attached") for n in range(1, 100))]
    entries += [entry(100, "event_attached", pinned=True), entry(101, "resolved")]
    shown = entries_to_show(entries, 10)
    assert [int(e.id[:-2]) for e in shown] == [0, 1, 2, 3, 4, 5, 6, 7, 100, 101]


def test_of_too_much_that_people_did_the_latest_stays() -> None:
    entries = [entry(n, "comment") for n in range(20)]
    assert [int(e.id[:-2]) for e in entries_to_show(entries, 5)] == [15, 16, 17, 18, 19]


async def test_what_is_left_out_of_a_timeline_is_counted(world: World) -> None:
    incident = await opened(world, about(1))
    async with world.redis.pipeline() as pipe:
        for _ in range(ENTRIES_SHOWN):
            world.timeline.stage(pipe, incident.id, "event_attached", "again")
        await pipe.execute()
    await world.moves.comment(incident.id, ALICE, "the end")
    review = await review_of(world, incident.id)
    assert (len(review.entries), review.entries_left_out) == (ENTRIES_SHOWN, 3)
    assert (review.entries[0].kind, review.entries[-1].text) == ("created", "the end")


async def test_an_incident_that_is_not_known_has_no_review(world: World) -> None:
    with pytest.raises(UnknownError):
        await review_of(world, "INC-2026-0001")


async def test_evidence_that_was_changed_is_noticed(world: World) -> None:
    incident = await opened(world, about(1))
    assert (await review_of(world, incident.id)).is_untouched is True
    forged = msgspec.structs.replace(incident.evidence[0], user="somebody else")
    changed = msgspec.structs.replace(incident, evidence=(forged, *incident.evidence[1:]))
    await world.redis.set(incident_key(incident.id), encode_incident(changed))
    assert (await review_of(world, incident.id)).is_untouched is False
