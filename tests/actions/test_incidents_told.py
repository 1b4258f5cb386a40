"""Whoever was told of an incident hears how it ends, however it was told."""

from acting import ALICE, Ear, a_finding

from actions.incident import Incident
from actions.incident_status import Move, Verdict
from actions.message import MessageKind
from actions.world import World


def heard(ear: Ear) -> list[tuple[MessageKind, str]]:
    return [(message.kind, message.incident_id) for message in ear.heard]


async def quiet(world: World, number: int = 1, **fields: object) -> Incident:
    finding = a_finding(number, **fields)
    return (await world.incidents.open_or_join(finding)).incident


async def test_what_was_told_of_only_after_somebody_had_it_in_hand_ends_for_those_told(
    world: World, ear: Ear
) -> None:
    incident = await quiet(world)
    await world.moves.move(incident.id, Move.ACKNOWLEDGE, ALICE)
    joined = (await world.incidents.open_or_join(a_finding(2), tell=True)).incident
    assert (joined.ack_due_at, joined.escalate_at) == (None, None)
    await world.deliver()
    await world.moves.move(incident.id, Move.RESOLVE, ALICE, verdict=Verdict.TRUE_POSITIVE)
    await world.deliver()
    assert heard(ear) == [(MessageKind.UPDATE, incident.id), (MessageKind.RESOLVED, incident.id)]
