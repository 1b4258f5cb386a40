"""An incident whose subject is well again is resolved by itself; a relapse soon after reopens it.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:recovered:DEDUP` | string, JSON | 7 days | one per subject that has recovered |
| `bartizan:{act}:recoveries:due` | sorted set, dedup key by time | none | one per open incident that flaps |

Only for rules about the service's own health (`RECOVERING`): nobody who attacks can make his incident go away. The
incident, its timeline entry and its message change in one MULTI. Several processes read the findings, so that a firing
may be handled after the recovery that followed it: times of events decide, not the order of arrival.

A service that fails and recovers over and over is not told of each time: reopened REOPENED_AT_MOST times, its incident
stays open until nothing has happened for LASTING_MS.
"""

from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import SYSTEM
from actions.delivery.message import MessageKind, message_about
from actions.incidents.changes import dedup_key_of, moved, with_clocks
from actions.incidents.incident import Incident
from actions.incidents.keys import decode_incident, incident_key, incidents_key, stage_incident
from actions.incidents.record import told_with_opening
from actions.incidents.status import IncidentStatus
from actions.incidents.timeline import INCIDENT_TTL_MS
from actions.storage import DONE_TTL_MS, act_key, begin, change, short, storage_errors, text_of
from actions.world import World
from detectors.defaults import RECOVERING
from detectors.finding import Finding

RELAPSE_MS = 10 * 60_000
"""A firing so soon after an incident was resolved by itself reopens it: the cause is the same, as a rule."""
REOPENED_AT_MOST = 3
LASTING_MS = 30 * 60_000
AT_ONCE = 100

_encode = msgspec.json.Encoder().encode


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """The newest recovery of one rule and subject. Times are epoch ms."""

    finding_id: str
    at: int
    """Event time of the recovery: what fired up to here is over."""
    why: str
    incident_id: str = ""
    """The incident it resolved or is to resolve; empty: none was open."""
    status: IncidentStatus | None = None
    """The incident's status before; None: not resolved by this, or reopened since."""
    resolved_at: int = 0
    reopened: int = 0
    """How often this incident has been reopened by a relapse."""
    is_pending: bool = False
    """The incident flaps: it stays open until the recovery has lasted."""


_decode = msgspec.json.Decoder(Recovered).decode


def recovered_key(dedup_key: str) -> str:
    """The newest recovery of one rule and subject."""
    return act_key("recovered", short(dedup_key))


def due_key() -> str:
    """When the recoveries of incidents that flap have lasted."""
    return act_key("recoveries", "due")


async def resolve_recovered(world: World, finding: Finding) -> Incident | None:
    """Resolves the open incident of a finding that says its subject is well; None where none was.

    Twice is once, and an older recovery than the newest changes nothing. Never opens one, and never touches the
    incident of a rule that does not recover, one that many subjects share, or one that fired again since.
    Raises: StorageError.
    """
    if finding.rule not in RECOVERING:
        return None
    news = Recovered(finding_id=finding.id, at=finding.at, why=finding.why)
    return await _apply(world, dedup_key_of(finding), news)


async def is_history(world: World, finding: Finding) -> bool:
    """Whether a firing is older than the recovery that resolved its incident, and nothing follows of it any more.

    One that is newer may reopen that incident, so that the finding joins it.
    Raises: StorageError.
    """
    if finding.rule not in RECOVERING:
        return False
    dedup_key = dedup_key_of(finding)
    known = await _read(world, dedup_key)
    if known is None:
        return False
    if finding.at > known.at:
        await _relapse(world, dedup_key, finding)
        return False
    if not known.incident_id or known.is_pending:
        return False
    with storage_errors("reading a finding"):
        is_counted = await world.redis.exists(incidents_key("seen", finding.id))
    if not is_counted:
        once = f"{finding.id} belated"
        await world.timeline.note_once(known.incident_id, once, "event_attached", finding.why, at=finding.at)
    return True


async def settle(world: World, finding: Finding) -> Incident | None:
    """Resolves what a firing has just opened, where its recovery was handled before it. Raises: StorageError."""
    if finding.rule not in RECOVERING:
        return None
    dedup_key = dedup_key_of(finding)
    known = await _read(world, dedup_key)
    if known is None or known.incident_id or finding.at > known.at:
        return None
    return await _apply(world, dedup_key, known)


async def resolve_lasting(world: World) -> int:
    """Resolves incidents that flapped and have been well for long enough; says how many. Raises: StorageError."""
    with storage_errors("reading recoveries"):
        due = await world.redis.zrangebyscore(due_key(), "-inf", world.now(), start=0, num=AT_ONCE)
    resolved = 0
    for member in due:
        resolved += await _resolve_lasting(world, text_of(member)) is not None
    return resolved


async def _read(world: World, dedup_key: str) -> Recovered | None:
    with storage_errors("reading a recovery"):
        item = await world.redis.get(recovered_key(dedup_key))
    return None if item is None else _decode(item)


async def _apply(world: World, dedup_key: str, news: Recovered) -> Incident | None:
    key, opened = recovered_key(dedup_key), incidents_key("open", dedup_key)

    async def step(pipe: Pipeline) -> Incident | None:
        item, holder = await pipe.mget([key, opened])
        known = _decode(item) if item else None
        is_same = known is not None and known.finding_id == news.finding_id
        if known is not None and (known.incident_id if is_same else known.at >= news.at):
            return None
        old = await _open_one(pipe, holder, dedup_key)
        if old is None or old.last_seen > news.at:
            begin(pipe)
            pipe.set(key, _encode(news), px=DONE_TTL_MS)
            return None
        reopened = known.reopened if known is not None and known.incident_id == old.id else 0
        stated = msgspec.structs.replace(news, incident_id=old.id, reopened=reopened)
        begin(pipe)
        if reopened >= REOPENED_AT_MOST:
            _stage_pending(pipe, world, dedup_key, stated)
            return None
        return _stage_resolved(pipe, world, old, stated)

    resolved = await change(world.redis, "resolving an incident", [key, opened], step)
    _count(world, resolved, "recovered")
    return resolved


async def _relapse(world: World, dedup_key: str, finding: Finding) -> None:
    """Reopens the incident that was resolved by itself a moment ago; one that was to be resolved stays open."""
    key, opened = recovered_key(dedup_key), incidents_key("open", dedup_key)

    async def step(pipe: Pipeline) -> Incident | None:
        item, holder = await pipe.mget([key, opened])
        known = _decode(item) if item else None
        if known is None or finding.at <= known.at:
            return None
        if known.is_pending:
            begin(pipe)
            pipe.zrem(due_key(), dedup_key)
            pipe.set(key, _encode(msgspec.structs.replace(known, is_pending=False)), px=DONE_TTL_MS)
            return None
        if holder is not None or known.status is None or world.now() - known.resolved_at > RELAPSE_MS:
            return None
        old = await _read_watched(pipe, known.incident_id)
        if old is None or old.status != IncidentStatus.RESOLVED or old.verdict is not None:
            return None
        begin(pipe)
        return _stage_reopened(pipe, world, old, known, finding)

    reopened = await change(world.redis, "reopening an incident", [key, opened], step)
    _count(world, reopened, "reopened")


async def _resolve_lasting(world: World, dedup_key: str) -> Incident | None:
    key, opened = recovered_key(dedup_key), incidents_key("open", dedup_key)

    async def step(pipe: Pipeline) -> Incident | None:
        item, holder = await pipe.mget([key, opened])
        known = _decode(item) if item else None
        score = await pipe.zscore(due_key(), dedup_key)
        if score is None or score > world.now():
            return None
        old = await _open_one(pipe, holder, dedup_key)
        begin(pipe)
        pipe.zrem(due_key(), dedup_key)
        if known is None or old is None or not known.is_pending or old.id != known.incident_id:
            return None
        return _stage_resolved(pipe, world, old, msgspec.structs.replace(known, is_pending=False))

    resolved = await change(world.redis, "resolving an incident", [key, opened, due_key()], step)
    _count(world, resolved, "recovered")
    return resolved


def _stage_resolved(pipe: Pipeline, world: World, old: Incident, known: Recovered) -> Incident:
    new = moved(old, IncidentStatus.RESOLVED, SYSTEM.name, None, world.now())
    known = msgspec.structs.replace(known, status=old.status, resolved_at=world.now())
    stage_incident(pipe, new)
    pipe.delete(incidents_key("open", new.dedup_key))
    pipe.set(recovered_key(new.dedup_key), _encode(known), px=DONE_TTL_MS)
    data = {"finding_id": known.finding_id, "recovered": True}
    world.timeline.stage(pipe, new.id, "resolved", known.why, at=known.at, data=data)
    if new.told_at is not None:
        _stage_message(pipe, world, new, MessageKind.RESOLVED, known.why, known)
    return new


def _stage_pending(pipe: Pipeline, world: World, dedup_key: str, known: Recovered) -> None:
    pipe.set(
        recovered_key(dedup_key), _encode(msgspec.structs.replace(known, is_pending=True)), px=DONE_TTL_MS
    )
    pipe.zadd(due_key(), {dedup_key: world.now() + LASTING_MS})
    text = (
        f"{known.why}; it has been reopened {known.reopened} times, so it stays open until this has lasted "
        f"{LASTING_MS // 60_000} min"
    )
    world.timeline.stage(pipe, known.incident_id, "recovering", text, at=known.at)


def _stage_reopened(
    pipe: Pipeline, world: World, old: Incident, known: Recovered, finding: Finding
) -> Incident:
    """Back to the status it had: whoever had acknowledged it knows it still."""
    new = msgspec.structs.replace(
        old,
        status=known.status or IncidentStatus.TRIGGERED,
        resolved_at=None,
        updated_at=world.now(),  # the message "reopened" says what an update would
        reopened=old.reopened + 1,
        version=old.version + 1,
    )
    if new.told_at is not None and new.status == IncidentStatus.TRIGGERED:
        fresh = msgspec.structs.replace(new, told_at=None, ack_breached_at=None, escalation_level=0)
        new = with_clocks(fresh, world.incidents.plan, world.now())
    known = msgspec.structs.replace(known, status=None, reopened=known.reopened + 1)
    stage_incident(pipe, new)
    pipe.set(incidents_key("open", new.dedup_key), new.id, px=INCIDENT_TTL_MS)
    pipe.set(recovered_key(new.dedup_key), _encode(known), px=DONE_TTL_MS)
    text = f"{finding.why}; so soon after it was resolved that it is the same"
    world.timeline.stage(pipe, new.id, "reopened", text, at=finding.at)
    if new.told_at is not None:
        _stage_message(pipe, world, new, MessageKind.REOPENED, finding.why, known)
    return new


def _stage_message(
    pipe: Pipeline, world: World, incident: Incident, kind: MessageKind, why: str, known: Recovered
) -> None:
    message = message_about(incident, kind, why, world.now(), known.finding_id)
    if kind is MessageKind.RESOLVED:
        message = msgspec.structs.replace(message, text=why)
    elif incident.status == IncidentStatus.TRIGGERED:  # its escalation begins anew
        message = msgspec.structs.replace(message, also=told_with_opening(incident, world.incidents.plan))
    world.outbox.stage(pipe, message)


async def _open_one(pipe: Pipeline, holder: Any, dedup_key: str) -> Incident | None:
    """The open incident of this subject alone; None where it shares one with others."""
    if holder is None:
        return None
    incident = await _read_watched(pipe, text_of(holder))
    if incident is None or not incident.is_open or incident.dedup_key != dedup_key:
        return None
    return None if incident.took_in else incident


async def _read_watched(pipe: Pipeline, incident_id: str) -> Incident | None:
    await pipe.watch(incident_key(incident_id))
    item = await pipe.get(incident_key(incident_id))
    return None if item is None else decode_incident(item)


def _count(world: World, incident: Incident | None, result: str) -> None:
    if incident is not None:
        world.counters.count("incidents", rule=incident.rule, result=result)
