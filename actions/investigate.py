"""Gathers what is known of a subject: where it is, what it did before, which accounts it tried, who is near it."""

from ipaddress import IPv4Network

import msgspec

from actions.block_ip import blockable
from actions.dossiers import Dossier, EarlierBlock
from actions.incident import Incident
from actions.neighbours import Neighbour
from actions.networks import network_of, spelled, vicinity
from actions.world import World
from detectors.finding import Finding, SubjectKind

LISTED = 50
"""Entries of each list in a dossier."""


async def run(finding: Finding, incident: Incident, world: World) -> None:
    """Keeps a dossier with the incident and notes it on the timeline, once per finding.

    Raises: StorageError.
    """
    value = blockable(finding)
    accounts = dict.fromkeys(e.user for e in incident.evidence + finding.evidence if e.user)
    if finding.subject_kind == SubjectKind.USER:
        accounts = dict.fromkeys([finding.subject, *accounts])
    dossier = Dossier(
        incident_id=incident.id,
        finding_id=finding.id,
        made_at=world.now(),
        subject=finding.subject,
        evidence=finding.evidence,
        place=world.geo.look_up(value) if value else None,
        earlier_blocks=await _earlier(value, finding.id, world) if value else (),
        accounts=tuple(accounts)[:LISTED],
        vicinity=vicinity(value) if value else None,
    )
    if value is not None:
        blocked, found = await _nearby(value, world)
        dossier = _with_nearby(dossier, blocked, found)
    await world.dossiers.put(dossier)
    text, data = _summary(dossier)
    once = f"{finding.id} investigate"
    await world.timeline.note_once(incident.id, once, "evidence_added", text, data=data)


async def _earlier(value: str, finding_id: str, world: World) -> tuple[EarlierBlock, ...]:
    blocks = await world.blocklist.history(value)
    return tuple(
        EarlierBlock(b.id, b.rule, b.reason, b.status.value, b.strikes, b.created_at, b.until, b.note)
        for b in blocks[:LISTED]
        if b.finding_id != finding_id
    )


async def _nearby(value: str, world: World) -> tuple[list[str], list[Neighbour]]:
    """Who is blocked, and who was found out, in the same vicinity or at the same provider."""
    found: dict[Neighbour, None] = {}
    for name in world.neighbours.networks_of(value):
        found |= dict.fromkeys(await world.neighbours.of(name, besides=value))
    near = network_of(vicinity(value))
    candidates = dict.fromkeys(_canonical_subjects(found))
    if isinstance(near, IPv4Network) and near.prefixlen == 24:
        candidates |= dict.fromkeys(str(address) for address in near)
    candidates[spelled(near)] = None
    candidates.pop(value, None)
    decisions = await world.blocklist.decisions_of(list(candidates))
    return [d.value for d in decisions], sorted(found, key=lambda n: -n.at)


def _canonical_subjects(found: dict[Neighbour, None]) -> list[str]:
    return [n.subject.split()[0] for n in found if n.subject]


def _with_nearby(dossier: Dossier, blocked: list[str], found: list[Neighbour]) -> Dossier:
    return msgspec.structs.replace(
        dossier, blocked_nearby=tuple(blocked[:LISTED]), found_nearby=tuple(found[:LISTED])
    )


def _summary(dossier: Dossier) -> tuple[str, dict[str, object]]:
    place = dossier.place
    where = ", ".join(str(p) for p in (place.city, place.country, place.organization) if p) if place else ""
    data: dict[str, object] = {
        "place": place,
        "accounts": len(dossier.accounts),
        "earlier_blocks": len(dossier.earlier_blocks),
        "blocked_nearby": len(dossier.blocked_nearby),
        "found_nearby": len(dossier.found_nearby),
    }
    text = (
        f"investigated {dossier.subject}"
        + (f" ({where})" if where else "")
        + f": {data['earlier_blocks']} earlier blocks, {data['accounts']} accounts tried, "
        + f"{data['blocked_nearby']} blocked and {data['found_nearby']} found out nearby"
    )
    return text, data
