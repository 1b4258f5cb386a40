"""Everything that a review of an incident needs, gathered from the stores: times, evidence, actions, who was told."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from actions.blocks.block import Block
from actions.delivery.outbox import Notification
from actions.errors import UnknownError
from actions.incidents.campaigns import Member
from actions.incidents.checksums import checksum_of, checksum_of_all, evidence_json
from actions.incidents.incident import Entry, Incident
from actions.incidents.response_times import acknowledged_after
from actions.incidents.runbook import Runbook, runbook_of
from actions.investigations.dossiers import Dossier
from actions.world import World
from detectors.finding import Evidence

ENTRIES_SHOWN = 1_000
DELIVERIES_READ = 2_000
DELIVERIES_SHOWN = 200
BLOCKS_SHOWN = 200
MERGED_READ = 200
NOISE = frozenset(
    {
        *("event_attached", "member_added", "action_taken", "action_skipped", "action_failed"),
        *("notified", "notify_failed", "not_notified"),
    }
)
"""Kinds of entries that a flood makes thousands of: where not all can be shown, these are left out first."""


class Milestone(msgspec.Struct, frozen=True):
    """One moment of the incident. Times are epoch ms, `after_ms` counts from the moment before that it follows."""

    name: str
    phase: str
    """The function of NIST CSF 2.0 that it ends: DE, RS or RC."""
    at: int | None
    after_ms: int | None = None
    since: str = ""
    """What `after_ms` counts from."""
    target_ms: int | None = None
    is_met: bool | None = None
    """Whether the target was met; None where there is none, or it is still open."""


class Exhibit(msgspec.Struct, frozen=True):
    """One piece of evidence with its checksum (checksums.py)."""

    evidence: Evidence
    evidence_json: str
    """Exactly what the checksum is of."""
    sha256: str


class Absorbed(msgspec.Struct, frozen=True):
    """An incident that this one took in, and still has."""

    id: str
    title: str


class Told(msgspec.Struct, frozen=True):
    """How often one channel was told with one result."""

    channel: str
    status: str
    count: int


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """One incident as its review sees it. Text from logs is redacted already, and an attacker's all the same."""

    incident: Incident
    made_at: int
    made_by: str
    policy: str
    """Which policy is in force now: the digest of its text."""
    milestones: tuple[Milestone, ...]
    entries: tuple[Entry, ...]
    entries_left_out: int
    exhibits: tuple[Exhibit, ...]
    evidence_sha256: str
    """Of the checksums above, one a line, each with its line end."""
    is_untouched: bool | None
    """Whether what was copied at the opening is still the same, by the checksum on the timeline; None: it has none."""
    blocks: tuple[Block, ...]
    """Those that this incident made, and the ones that it took in; the first 200."""
    blocks_left_out: int
    merged: tuple[Absorbed, ...]
    """The first 200."""
    members: tuple[Member, ...]
    notifications: tuple[Notification, ...]
    """The latest 200, oldest first."""
    told: tuple[Told, ...]
    """All of them (at most 2,000) counted."""
    dossier: Dossier | None
    runbook: Runbook


async def review_of(
    world: World, incident_id: str, *, made_by: str = "", policy: str = "", rule_title: str = ""
) -> Review:
    """Gathers the review of an incident. Raises: UnknownError, StorageError."""
    incident = await world.incidents.get(incident_id)
    entries = await _entries(world, incident.id)
    merged = await _merged(world, incident, entries)
    blocks = await _blocks(world, entries, [incident.id, *(one.id for one in merged)])
    deliveries = await _deliveries(world, incident.id)
    shown = entries_to_show(entries)
    exhibits = tuple(Exhibit(e, evidence_json(e).decode(), checksum_of(e)) for e in incident.evidence)
    return Review(
        incident=incident,
        made_at=world.now(),
        made_by=made_by,
        policy=policy,
        milestones=milestones_of(incident, blocks, world),
        entries=tuple(shown),
        entries_left_out=len(entries) - len(shown),
        exhibits=exhibits,
        evidence_sha256=checksum_of_all(incident.evidence),
        is_untouched=_is_untouched(incident, entries),
        blocks=tuple(blocks[:BLOCKS_SHOWN]),
        blocks_left_out=max(0, len(blocks) - BLOCKS_SHOWN),
        merged=tuple(merged),
        members=tuple(await world.incidents.members(incident.id) if incident.is_campaign else ()),
        notifications=tuple(reversed(deliveries[:DELIVERIES_SHOWN])),
        told=_told(deliveries),
        dossier=await world.dossiers.find(incident.id),
        runbook=runbook_of(incident.rule, rule_title),
    )


def entries_to_show(entries: Sequence[Entry], most: int = ENTRIES_SHOWN) -> list[Entry]:
    """At most so many of a timeline, in its order: what people did and what is pinned goes before a flood's noise.

    Of what people did the latest are kept, of the noise the first.
    """
    if len(entries) <= most:
        return list(entries)
    telling = [n for n, entry in enumerate(entries) if entry.pinned or entry.kind not in NOISE][-most:]
    noise = [n for n, entry in enumerate(entries) if not entry.pinned and entry.kind in NOISE]
    kept = sorted([*telling, *noise[: most - len(telling)]])
    return [entries[n] for n in kept]


def milestones_of(incident: Incident, blocks: list[Block], world: World) -> tuple[Milestone, ...]:
    """From the first event to the closing; what has not happened has no time."""
    grade = world.incidents.plan.grade(incident.priority)
    blocked_at = min((block.created_at for block in blocks), default=None)
    found, told = incident.triggered_at, incident.told_at
    answered = acknowledged_after(incident)
    is_met: bool | None = None
    if incident.ack_breached_at is not None:
        is_met = False
    elif answered is not None:
        is_met = answered <= grade.response_ms
    elif told is not None and incident.is_open and world.now() > told + grade.response_ms:
        is_met = False
    return (
        Milestone("first event", "", incident.first_seen),
        Milestone("detected", "DE", found, max(0, found - incident.first_seen), "first event"),
        Milestone("first block", "RS", blocked_at, _after(blocked_at, found), "detected"),
        Milestone("people told", "RS", told, _after(told, found), "detected"),
        Milestone(
            "acknowledged",
            "RS",
            incident.acknowledged_at,
            _after(incident.acknowledged_at, told),
            "people told",
            grade.response_ms if told is not None else None,
            is_met,
        ),
        Milestone("mitigated", "RS", incident.mitigated_at, _after(incident.mitigated_at, found), "detected"),
        Milestone("resolved", "RC", incident.resolved_at, _after(incident.resolved_at, found), "detected"),
        Milestone("closed", "RC", incident.closed_at, _after(incident.closed_at, found), "detected"),
    )


async def _entries(world: World, incident_id: str) -> list[Entry]:
    """The whole timeline, which has a bound of its own."""
    entries: list[Entry] = []
    cursor: str | None = None
    while True:
        page, cursor = await world.timeline.page(incident_id, cursor=cursor, limit=1_000)
        entries += page
        if cursor is None:
            return entries


async def _merged(world: World, incident: Incident, entries: Iterable[Entry]) -> list[Absorbed]:
    """What it took in and still has: one that was reopened is a problem of its own again."""
    found = []
    for name in _named(entries, "merged")[:MERGED_READ]:
        try:
            other = await world.incidents.get(name)
        except UnknownError:  # its 400 days are over
            continue
        if other.merged_into == incident.id:
            found.append(Absorbed(other.id, other.title))
    return found


async def _blocks(world: World, entries: Sequence[Entry], owners: Sequence[str]) -> list[Block]:
    """The blocks that these incidents made, the first first; `entries`: the timeline of the first of them.

    Their timelines name blocks of others too, where an address was blocked already.
    """
    names = _named(entries, "block_id")
    for owner in owners[1:]:
        names += _named((await world.timeline.page(owner))[0], "block_id")
    known = await world.blocklist.blocks_of(list(dict.fromkeys(names)))
    return sorted((b for b in known if b.incident_id in owners), key=lambda b: (b.created_at, b.id))


async def _deliveries(world: World, incident_id: str) -> list[Notification]:
    """What was told of it, newest first; the log of deliveries has a bound of its own."""
    found: list[Notification] = []
    cursor: str | None = None
    while len(found) < DELIVERIES_READ:
        page, cursor = await world.outbox.notifications(incident_id=incident_id, cursor=cursor, limit=500)
        found += page
        if cursor is None:
            break
    return found


def _told(deliveries: Iterable[Notification]) -> tuple[Told, ...]:
    counts = Counter((one.channel, one.status) for one in deliveries)
    return tuple(Told(channel, status, count) for (channel, status), count in sorted(counts.items()))


def _named(entries: Iterable[Entry], name: str) -> list[str]:
    """The different values that the entries' data have under this name, in order."""
    found: dict[str, None] = {}
    for entry in entries:
        data: Any = entry.data
        value = data.get(name) if isinstance(data, dict) else None
        if isinstance(value, str):
            found[value] = None
    return list(found)


def _after(at: int | None, since: int | None) -> int | None:
    return None if at is None or since is None else max(0, at - since)


def _is_untouched(incident: Incident, entries: list[Entry]) -> bool | None:
    data: Any = next((entry.data for entry in entries if entry.kind == "created"), None)
    if not isinstance(data, dict) or "evidence_sha256" not in data:
        return None
    copied = incident.evidence[: data["evidence_count"]]
    return bool(checksum_of_all(copied) == data["evidence_sha256"])
