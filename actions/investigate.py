"""Gathers what is known of a subject: where it is, what it did before, which accounts it tried, who is near it."""

from ipaddress import IPv4Network

import msgspec

from actions.block_ip import blockable
from actions.blocks.networks import network_of, spelled, vicinity
from actions.incidents.incident import Incident
from actions.investigations.dossiers import Dossier, EarlierBlock
from actions.investigations.investigation import LISTED, Subject
from actions.investigations.neighbours import Neighbour
from actions.world import World
from detectors.finding import Finding, SubjectKind


async def run(finding: Finding, incident: Incident, world: World) -> None:
    """Keeps a first dossier with the incident, notes it on the timeline and has the whole one made, once per finding.

    It reads nothing but Redis; investigations/work.py reads the events later. Raises: StorageError.
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
        subject_kind=finding.subject_kind.value,
        rule=finding.rule,
        evidence=finding.evidence,
        place=world.geo.look_up(value) if value else None,
        earlier_blocks=await earlier_blocks(value, world, besides=finding.id) if value else (),
        accounts=tuple(accounts)[:LISTED],
        vicinity=vicinity(value) if value else None,
        shared_users=finding.shared_users,
    )
    if value is not None:
        blocked, found = await nearby(value, world)
        dossier = msgspec.structs.replace(dossier, blocked_nearby=blocked, found_nearby=found)
    text, data = _summary(dossier)
    subject = Subject(finding.subject_kind.value, value or finding.subject)
    await world.investigations.begin(dossier, subject, f"{finding.id} investigate", text, data)


async def earlier_blocks(value: str, world: World, besides: str = "") -> tuple[EarlierBlock, ...]:
    """The blocks of a value, the newest first, but for that of one finding. Raises: StorageError."""
    blocks = await world.blocklist.history(value)
    return tuple(
        EarlierBlock(
            b.id,
            b.rule,
            b.reason,
            b.status.value,
            b.strikes,
            b.created_at,
            b.until,
            b.note,
            b.review.value,
            b.changed_by,
        )
        for b in blocks[:LISTED]
        if not besides or b.finding_id != besides
    )


async def nearby(value: str, world: World) -> tuple[tuple[str, ...], tuple[Neighbour, ...]]:
    """Who is blocked, and who was found out, in the same vicinity or at the same provider. Raises: StorageError."""
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
    blocked = tuple(d.value for d in decisions)
    return blocked[:LISTED], tuple(sorted(found, key=lambda n: -n.at))[:LISTED]


def _canonical_subjects(found: dict[Neighbour, None]) -> list[str]:
    return [n.subject.split()[0] for n in found if n.subject]


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
