"""One record per problem: opened or joined by findings, and shown. People's moves: incident_moves.py.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:incident:ID` | string, JSON | 400 days after the last change | |
| `bartizan:{act}:incidents:index` | sorted set, `TIME:ID` by text | none | those opened in the last 800 days |
| `bartizan:{act}:incidents:open:DEDUP` | string, id | 400 days, gone when resolved | one per open incident |
| `bartizan:{act}:incidents:seen:FINDING` | string, ids | 7 days | one per finding |
| `bartizan:{act}:incidents:told:FINDING` | string | 7 days | one per finding that tells people |
| `bartizan:{act}:incidents:count:YEAR` | string, count | none | one per year |

An incident, its timeline entry and its message change in one MULTI: no state without its message. `seen` names the
incident, and the finding with which this one was counted: a finding that comes again does not act a second time.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions import incident_brake
from actions.counters import Counters, NoCounters
from actions.errors import UnknownError
from actions.held import merged_of
from actions.incident import (
    OPEN,
    Entity,
    Incident,
    Opened,
    dedup_key_of,
    joined_by,
    opened_by,
    raised,
)
from actions.incident_filter import IncidentFilter, fits
from actions.message import MessageKind, message_about
from actions.outbox import Outbox
from actions.storage import (
    DAY_MS,
    DONE_TTL_MS,
    Client,
    act_key,
    begin,
    change,
    cursor_of,
    member_of,
    short,
    storage_errors,
    text_of,
)
from actions.timeline import INCIDENT_TTL_MS, Timeline
from detectors.finding import Finding, Severity

UPDATE_EVERY_MS = 10 * 60_000
"""At most one message "it goes on" per incident in this time: a flood is not a flood of messages."""
JOINS_NOTED = 20
"""Joining findings that each get a line on the timeline; after these, one line per UPDATE_EVERY_MS."""
INDEX_KEPT_MS = 800 * DAY_MS
SCAN_LIMIT = 5_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Incident).decode


def incident_key(incident_id: str) -> str:
    """One incident."""
    return act_key("incident", short(incident_id))


def incidents_key(*parts: str) -> str:
    """One of the keys about all incidents, a dedup key, a finding or a year."""
    return act_key("incidents", *(short(part) for part in parts))


class Incidents:
    """The stored incidents."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        timeline: Timeline,
        outbox: Outbox,
        counters: Counters | None = None,
    ) -> None:
        self._redis = redis
        self._now = now
        self._timeline = timeline
        self._outbox = outbox
        self._counters = counters or NoCounters()

    async def open_or_join(
        self,
        finding: Finding,
        *others: Finding,
        tell: bool = False,
        immediate: bool = False,
        entities: tuple[Entity, ...] | None = None,
    ) -> Opened:
        """Opens the incident of these findings of one rule and subject, or joins theirs that is open.

        Once per finding id, in whatever company it comes: those counted before are left out, and where that is
        all of them, the answer is `repeated` and nothing changes. `tell` writes a message in the same MULTI:
        always for an opened incident; for a joined one it is marked `update`, and only the first and then at most
        one per ten minutes and incident is written. Where a rule opens too many, what it finds next joins one
        incident (incident_brake.py), of which people are told once whatever `tell` says. `immediate` makes the
        incident P0, critical, and its message immediate. `entities` replaces those read from the findings.
        Raises: StorageError.
        """
        findings = (finding, *others)
        opened = incidents_key("open", dedup_key_of(finding))
        seen = [incidents_key("seen", f.id) for f in findings]
        with storage_errors("opening an incident"):
            guess = await self._redis.get(opened)
        watched = [opened] if guess is None else [opened, incident_key(text_of(guess))]

        async def step(pipe: Pipeline) -> Opened:
            values: list[Any] = await pipe.mget([*watched, *seen])
            fresh, leader, marked_in = _uncounted(findings, values[len(watched) :])
            if not fresh:
                if item := await pipe.get(incident_key(marked_in)):
                    return Opened(_decode(item), opened=False, repeated=True, finding_id=leader)
                fresh = findings
            is_guessed = guess is not None and values[0] == guess
            other = _if_open(values[1]) if is_guessed else await self._open_one(pipe, values[0])
            home = opened
            if other is None and await incident_brake.is_on(pipe, finding.rule, self._now()):
                home = incidents_key("open", incident_brake.overflow_dedup(finding.rule))
                await pipe.watch(home)
                other = await self._open_one(pipe, await pipe.get(home))
            news = msgspec.structs.replace(merged_of(*fresh), id=leader)
            if other is None:
                name, now = await self._next_id(pipe), self._now()
                incident = opened_by(news, name, now, len(fresh), immediate=immediate, entities=entities)
                if home != opened:
                    incident = incident_brake.shared(incident)
                begin(pipe)
                self._stage_opening(pipe, incident, news, tell)
            else:
                incident = joined_by(other, news, len(fresh), immediate=immediate, entities=entities)
                begin(pipe)
                incident = self._stage_join(pipe, other, incident, news, tell)
            for counted in fresh:
                pipe.set(incidents_key("seen", counted.id), f"{incident.id} {leader}", px=DONE_TTL_MS)
            pipe.set(incident_key(incident.id), _encode(incident), px=INCIDENT_TTL_MS)
            pipe.set(home, incident.id, px=INCIDENT_TTL_MS)
            return Opened(incident, other is None, finding_id=leader, counted=len(fresh))

        answer = await change(self._redis, "opening an incident", [*watched, *seen], step)
        for result, amount in ("opened", int(answer.opened)), ("joined", answer.counted - answer.opened):
            if amount:
                self._counters.count("incidents", amount, rule=finding.rule, result=result)
        return answer

    async def tell(self, finding: Finding, incident_id: str, advice: str = "") -> bool:
        """Writes the message of a finding whose incident was opened or joined without one. Says whether it wrote.

        `advice` replaces what the rule's runbook says to do first. Once per finding id; limited for updates as in
        open_or_join. Raises: UnknownError, StorageError.
        """
        told = incidents_key("told", finding.id)
        with storage_errors("writing a message"):
            if await self._redis.exists(told):  # as nearly always, and never untold again
                return False

        async def step(pipe: Pipeline) -> bool:
            if await pipe.exists(told):
                return False
            incident = await self.watched(pipe, incident_id)
            is_news = incident.finding_count == 1
            due = is_news or self._is_update_due(incident)
            begin(pipe)
            pipe.set(told, b"1", px=DONE_TTL_MS)
            if not due:
                return False
            if not is_news:
                incident = self._with_update(incident)
                pipe.set(incident_key(incident_id), _encode(incident), px=INCIDENT_TTL_MS)
            kind = MessageKind.OPENED if is_news else MessageKind.UPDATE
            self._stage_message(pipe, incident, kind, finding, advice)
            return True

        return await change(self._redis, "writing a message", [told], step)

    async def make_immediate(self, incident_id: str) -> Incident:
        """Makes an incident P0 and critical, if it is not. Raises: UnknownError, StorageError."""
        known = await self.get(incident_id)
        if known.immediate:  # as nearly always, and for good
            return known

        async def step(pipe: Pipeline) -> Incident:
            old = await self.watched(pipe, incident_id)
            if old.immediate:
                return old
            new = raised(old, Severity.CRITICAL, immediate=True)
            begin(pipe)
            pipe.set(incident_key(incident_id), _encode(new), px=INCIDENT_TTL_MS)
            self._stage_severity(pipe, old, new)
            return new

        return await change(self._redis, "raising an incident", [incident_key(incident_id)], step)

    async def get(self, incident_id: str) -> Incident:
        """One incident. Raises: UnknownError, StorageError."""
        with storage_errors("reading an incident"):
            item = await self._redis.get(incident_key(incident_id))
        if item is None:
            raise UnknownError(f"incident {incident_id!r} is not known")
        return _decode(item)

    async def page(
        self, wanted: IncidentFilter | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Incident], str | None]:
        """Incidents newest first, and the cursor of the next page or None.

        One call looks at no more than 5,000: a page may be short although its cursor says that there is more.
        Raises: ValueError where the cursor is not one of ours; StorageError.
        """
        wanted = wanted or IncidentFilter()
        floor = f"[{wanted.since:013d}" if wanted.since else "-"
        last = member_of(cursor) if cursor else None
        found: list[Incident] = []
        for _ in range(SCAN_LIMIT // 250):
            with storage_errors("reading incidents"):
                members = await self._redis.zrevrangebylex(
                    incidents_key("index"), f"({last}" if last else "+", floor, start=0, num=250
                )
                names = [text_of(m).partition(":")[2] for m in members]
                items = await self._redis.mget([incident_key(n) for n in names]) if names else []
            for member, item in zip(members, items, strict=True):
                last = text_of(member)
                if item is not None and fits(incident := _decode(item), wanted):
                    found.append(incident)
                    if len(found) == limit:
                        return found, cursor_of(last)
            if len(members) < 250:
                return found, None
        return found, cursor_of(last or "")

    async def counts(self) -> dict[str, dict[str, int]]:
        """How many of the newest 5,000, by status and, for those open, by severity. Raises: StorageError."""
        incidents, _ = await self.page(limit=SCAN_LIMIT)
        by_severity = Counter(i.severity.value for i in incidents if i.status in OPEN)
        return {"status": dict(Counter(i.status.value for i in incidents)), "severity": dict(by_severity)}

    async def watched(self, pipe: Pipeline, incident_id: str) -> Incident:
        """One incident, read within an optimistic change. Raises: UnknownError."""
        await pipe.watch(incident_key(incident_id))
        item = await pipe.get(incident_key(incident_id))
        if item is None:
            raise UnknownError(f"incident {incident_id!r} is not known")
        return _decode(item)

    async def _open_one(self, pipe: Pipeline, holder: Any) -> Incident | None:
        if holder is None:
            return None
        key = incident_key(text_of(holder))
        await pipe.watch(key)
        return _if_open(await pipe.get(key))

    async def _next_id(self, pipe: Pipeline) -> str:
        """Counted before the MULTI, so that many may open at once; one that is done again leaves a gap."""
        year = datetime.fromtimestamp(self._now() / 1000, UTC).year
        count: int = await pipe.incr(incidents_key("count", str(year)))
        return f"INC-{year}-{count:04d}"

    def _stage_opening(self, pipe: Pipeline, incident: Incident, finding: Finding, tell: bool) -> None:
        now = incident.triggered_at
        pipe.zadd(incidents_key("index"), {f"{now:013d}:{incident.id}": 0})
        pipe.zremrangebylex(incidents_key("index"), "-", f"({max(0, now - INDEX_KEPT_MS):013d}")
        self._timeline.stage(
            pipe, incident.id, "created", incident.why, at=finding.at, data=_finding_data(finding)
        )
        if not incident_brake.is_overflow(incident):
            incident_brake.stage_news(pipe, incident, now)
        if tell or incident_brake.is_overflow(incident):
            pipe.set(incidents_key("told", finding.id), b"1", px=DONE_TTL_MS)
            self._stage_message(pipe, incident, MessageKind.OPENED, finding)

    def _stage_join(
        self, pipe: Pipeline, old: Incident, new: Incident, finding: Finding, tell: bool
    ) -> Incident:
        now = self._now()
        noted = old.joins_noted_at
        if new.finding_count <= JOINS_NOTED or noted is None or now - noted >= UPDATE_EVERY_MS:
            new = msgspec.structs.replace(new, joins_noted_at=now)
            self._timeline.stage(
                pipe, new.id, "event_attached", finding.why, at=finding.at, data=_finding_data(finding)
            )
        self._stage_severity(pipe, old, new)
        if tell:
            pipe.set(incidents_key("told", finding.id), b"1", px=DONE_TTL_MS)
        if tell and (self._is_update_due(old) or new.immediate != old.immediate):
            new = self._with_update(new)
            self._stage_message(pipe, new, MessageKind.UPDATE, finding)
        return new

    def _stage_severity(self, pipe: Pipeline, old: Incident, new: Incident) -> None:
        if new.severity != old.severity:
            text = f"{old.severity} ({old.priority}) became {new.severity} ({new.priority})"
            self._timeline.stage(pipe, new.id, "severity_changed", text)

    def _stage_message(
        self, pipe: Pipeline, incident: Incident, kind: MessageKind, finding: Finding, advice: str = ""
    ) -> None:
        why = incident.why if incident_brake.is_overflow(incident) else finding.why
        self._outbox.stage(pipe, message_about(incident, kind, why, self._now(), finding.id, advice))

    def _is_update_due(self, incident: Incident) -> bool:
        if incident_brake.is_overflow(incident):
            return False
        return incident.updated_at is None or self._now() - incident.updated_at >= UPDATE_EVERY_MS

    def _with_update(self, incident: Incident) -> Incident:
        return msgspec.structs.replace(incident, updates=incident.updates + 1, updated_at=self._now())


def _uncounted(
    findings: Sequence[Finding], marks: Sequence[bytes | None]
) -> tuple[Sequence[Finding], str, str]:
    """Those that have no mark; the finding under whose id all are known; the incident of the first mark."""
    marked_in, _, leader = text_of(next((mark for mark in marks if mark is not None), b"")).partition(" ")
    fresh = [f for f, mark in zip(findings, marks, strict=True) if mark is None]
    return fresh, leader or findings[0].id, marked_in


def _if_open(item: Any) -> Incident | None:
    incident = _decode(item) if item else None
    return incident if incident and incident.status in OPEN else None


def _finding_data(finding: Finding) -> dict[str, Any]:
    return {
        "finding_id": finding.id,
        "first_at": finding.first_at,
        "count": finding.count,
        "threshold": finding.threshold,
        "window_ms": finding.window_ms,
    }
