"""What a digest counts: who attacked, who was attacked, who acted, what became of blocks. Computes only."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from actions.audit import SYSTEM, AuditEntry
from actions.blocks.block import Block, BlockStatus, Origin, Review
from actions.delivery.outbox import Notification
from actions.digests.report import (
    NAMED,
    Account,
    Attacker,
    BlockTally,
    Failure,
    Line,
    Overdue,
    Person,
    RuleBlocks,
    Tally,
)
from actions.incidents.incident import Incident
from actions.incidents.status import Verdict
from detectors.finding import Priority

HARMLESS = frozenset({Verdict.FALSE_POSITIVE, Verdict.BENIGN})
"""Incidents with these verdicts make nobody an attacker."""
MOST_PEOPLE = 20


def tally(incidents: Sequence[Incident]) -> Tally:
    """How many, by priority, the most urgent first."""
    found = Counter(incident.priority.value for incident in incidents)
    return Tally(len(incidents), {p.value: found[p.value] for p in Priority if found[p.value]})


def lines(incidents: Iterable[Incident], limit: int) -> tuple[Line, ...]:
    """The most urgent of them, those that people were told of before the quiet ones, the oldest first."""

    def urgency(incident: Incident) -> tuple[str, bool, int, str]:
        return (incident.priority.value, incident.told_at is None, incident.triggered_at, incident.id)

    return tuple(
        Line(
            id=incident.id,
            title=incident.title,
            priority=incident.priority,
            status=incident.status,
            verdict=incident.verdict,
            lead=incident.lead or "",
            at=incident.triggered_at,
        )
        for incident in sorted(incidents, key=urgency)[:limit]
    )


def people(entries: Iterable[AuditEntry]) -> tuple[Person, ...]:
    """Who did what, the busiest first, at most 20; what the service does by itself is nobody's."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for entry in entries:
        if entry.role != SYSTEM.role:
            found[entry.actor, entry.role][entry.action] += 1
    busiest = sorted(found.items(), key=lambda item: (-item[1].total(), item[0]))[:MOST_PEOPLE]
    return tuple(
        Person(name, role, dict(sorted(done.items(), key=lambda item: (-item[1], item[0]))))
        for (name, role), done in busiest
    )


def block_tally(blocks: Sequence[Block], entries: Iterable[AuditEntry]) -> BlockTally:
    """The blocks made in a period, and what people's moves in it came to. `entries`: newest first."""
    moved: dict[str, tuple[Any, Any]] = {}
    for entry in entries:
        if entry.target.startswith("block:"):
            _, last = moved.get(entry.target, (None, entry.after))
            moved[entry.target] = (entry.before, last)

    def became(field: str, value: str) -> int:
        pairs = ((_field(old, field), _field(new, field)) for old, new in moved.values())
        return sum(new == value != old for old, new in pairs)

    return BlockTally(
        made=len(blocks),
        by_people=sum(block.origin != Origin.RULE for block in blocks),
        proposed=sum(block.status == BlockStatus.PROPOSED for block in blocks),
        approved=became("review", Review.APPROVED),
        lifted=became("status", BlockStatus.LIFTED),
        rejected=became("review", Review.REJECTED),
        rules=_by_rule(blocks),
    )


def _field(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else None


def _by_rule(blocks: Iterable[Block]) -> tuple[RuleBlocks, ...]:
    found: dict[str, list[Block]] = defaultdict(list)
    for block in blocks:
        if block.rule is not None and block.origin == Origin.RULE:
            found[block.rule].append(block)
    reviewed = (Review.APPROVED, Review.REJECTED)
    rows = [
        RuleBlocks(
            rule=rule,
            made=len(made),
            reviewed=sum(block.review in reviewed for block in made),
            rejected=sum(block.review == Review.REJECTED for block in made),
        )
        for rule, made in found.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.made, row.rule)))


def attackers(incidents: Iterable[Incident], blocks: Iterable[Block]) -> tuple[Attacker, ...]:
    """Those with the most strikes, then blocks, events and incidents; at most 10.

    Events are those of incidents about the address alone: of an incident that names several, nobody knows whose they
    were. What people have rejected or found harmless counts for nobody, imported blocks neither.
    """
    strikes, made, events = Counter[str](), Counter[str](), Counter[str]()
    named: dict[str, set[str]] = defaultdict(set)
    for block in blocks:
        if block.review != Review.REJECTED and block.origin != Origin.IMPORT:
            made[block.value] += 1
            strikes[block.value] = max(strikes[block.value], block.strikes)
    for incident in incidents:
        if incident.verdict in HARMLESS:
            continue
        for address in {entity.value for entity in incident.entities if entity.type == "ip"}:
            named[address].add(incident.merged_into or incident.id)
            events[address] += incident.event_count if address == incident.subject else 0
    rows = [
        Attacker(
            address=address,
            strikes=strikes[address],
            blocks=made[address],
            events=events[address],
            incidents=len(named.get(address, ())),
        )
        for address in {*made, *named}
    ]
    return tuple(
        sorted(rows, key=lambda a: (-a.strikes, -a.blocks, -a.events, -a.incidents, a.address))[:NAMED]
    )


def accounts(incidents: Iterable[Incident]) -> tuple[Account, ...]:
    """The user names that the most incidents name; at most 10."""
    named: dict[str, set[str]] = defaultdict(set)
    events = Counter[str]()
    for incident in incidents:
        if incident.verdict in HARMLESS or incident.merged_into is not None:
            continue
        for name in {entity.value for entity in incident.entities if entity.type == "user"}:
            named[name].add(incident.id)
            events[name] += incident.event_count
    rows = [Account(name=name, incidents=len(ids), events=events[name]) for name, ids in named.items()]
    return tuple(sorted(rows, key=lambda a: (-a.incidents, -a.events, a.name))[:NAMED])


def overdue(incidents: Iterable[Incident], now: int) -> list[Overdue]:
    """Every follow-up that is not done although its day is over, the oldest first."""
    found = [
        Overdue(incident_id=incident.id, text=item.text, owner=item.owner, due=item.due)
        for incident in incidents
        for item in incident.follow_ups
        if item.done_at is None and item.due <= now
    ]
    return sorted(found, key=lambda item: (item.due, item.incident_id, item.text))


def failures(notifications: Iterable[Notification]) -> tuple[Failure, ...]:
    """What could not be delivered, by channel; of each the newest reason. `notifications`: newest first."""
    count, why = Counter[str](), dict[str, str]()
    for notification in notifications:
        count[notification.channel] += 1
        why.setdefault(notification.channel, notification.error)
    rows = sorted(count.items(), key=lambda item: (-item[1], item[0]))[:NAMED]
    return tuple(Failure(channel=name, count=number, error=why[name]) for name, number in rows)
