"""What people do with incidents: acknowledge, escalate, mitigate, resolve, dismiss, merge, reopen, close.

Each is audited, on the timeline and, where people were told of the incident, in the outbox, in the same MULTI as the
change. Keys: incidents/keys.py.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import Actor, Audit
from actions.delivery.message import MessageKind
from actions.errors import ConflictError
from actions.incidents.campaigns import newcomers, stage_merged, with_members
from actions.incidents.changes import absorbing, moved, target_status, with_clocks
from actions.incidents.incident import Incident
from actions.incidents.incidents import Incidents
from actions.incidents.keys import incident_key, incidents_key, stage_incident, watched, watched_at
from actions.incidents.record import IncidentRecord
from actions.incidents.status import NEEDS_VERDICT, Move, Verdict
from actions.incidents.timeline import INCIDENT_TTL_MS, Timeline
from actions.storage import Client, begin, change, text_of
from detectors.defaults import RECOVERING

MESSAGES = {
    Move.ACKNOWLEDGE: MessageKind.ACKNOWLEDGED,
    Move.MITIGATE: MessageKind.MITIGATED,
    Move.RESOLVE: MessageKind.RESOLVED,
    Move.DISMISS: MessageKind.DISMISSED,
    Move.MERGE: MessageKind.MERGED,
    Move.REOPEN: MessageKind.REOPENED,
}
"""What is said of a move; of a closing nothing, since what matters was said when it was resolved."""


class IncidentMoves:
    """People's moves on incidents."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        incidents: Incidents,
        timeline: Timeline,
        record: IncidentRecord,
        audit: Audit,
    ) -> None:
        self._redis = redis
        self._now = now
        self._incidents = incidents
        self._timeline = timeline
        self._record = record
        self._audit = audit

    async def move(
        self,
        incident_id: str,
        move: Move,
        actor: Actor,
        note: str = "",
        *,
        verdict: Verdict | None = None,
        expected_version: int | None = None,
    ) -> Incident:
        """One step of a person, other than a merge. Audited, on the timeline, and told.

        Raises: ConflictError naming the legal moves of an illegal one; StaleError for another version than expected;
        ValueError where resolve or dismiss lack the verdict; UnknownError, StorageError.
        """
        if move in NEEDS_VERDICT and verdict is None:
            raise ValueError(f"verdict: needed to {move}; one of {', '.join(Verdict)}")
        if move == Move.MERGE:
            raise ValueError("into: needed to merge; the id of the other incident")

        async def step(pipe: Pipeline) -> Incident:
            old = await watched_at(pipe, incident_id, expected_version)
            status = target_status(old, move)
            if move == Move.ESCALATE:
                new = self._escalated(old)
            else:
                new = moved(old, status, actor.name, verdict, self._now())
            opened = incidents_key("open", old.dedup_key)
            await pipe.watch(opened)
            holder = await pipe.get(opened)
            begin(pipe)
            stage_incident(pipe, new)
            if new.is_open and holder is None:
                pipe.set(opened, incident_id, px=INCIDENT_TTL_MS)
            elif not new.is_open and holder is not None and text_of(holder) == incident_id:
                pipe.delete(opened)
            self._stage_traces(pipe, old, new, move, actor, note, verdict)
            return new

        return await change(self._redis, "moving an incident", [incident_key(incident_id)], step)

    async def merge(
        self,
        incident_id: str,
        into: str,
        actor: Actor,
        note: str = "",
        *,
        verdict: Verdict = Verdict.DUPLICATE,
        expected_version: int | None = None,
    ) -> Incident:
        """Makes one incident part of another open one, which takes over what it speaks of and its further findings.

        Answers the merged one. Raises: as `move`; ConflictError where the other is itself, not open, or resolved by
        itself while this one is not.
        """
        if into == incident_id:
            raise ConflictError(f"{incident_id} cannot be merged into itself")

        async def step(pipe: Pipeline) -> Incident:
            old = await watched_at(pipe, incident_id, expected_version)
            status = target_status(old, Move.MERGE)
            target = await watched(pipe, into)
            if not target.is_open:
                raise ConflictError(f"{into} is {target.status}: only an open incident takes in another")
            if self._ends_by_itself(target) and not self._ends_by_itself(old):
                raise ConflictError(
                    f"{into} is resolved by itself one day: merge it into {incident_id} instead"
                )
            new = moved(old, status, actor.name, verdict, self._now())
            new = msgspec.structs.replace(new, merged_into=into)
            fuller = absorbing(target, old, self._incidents.plan)
            fuller = msgspec.structs.replace(fuller, took_in=target.took_in + 1)
            if target.is_campaign:
                fuller = with_members(fuller, await newcomers(pipe, target, old), now=self._now())
            is_news = old.told_at is not None and target.told_at is None
            if is_news or (fuller.priority != target.priority and target.told_at is not None):
                fuller = with_clocks(fuller, self._incidents.plan, self._now())
            opened = incidents_key("open", old.dedup_key)
            await pipe.watch(opened)
            holder = await pipe.get(opened)
            begin(pipe)
            stage_incident(pipe, new)
            stage_incident(pipe, fuller)
            if is_news:
                plan = self._incidents.plan
                self._record.tell(pipe, fuller, MessageKind.OPENED, fuller.why, plan=plan)
            if holder is None or text_of(holder) == incident_id:
                pipe.set(opened, into, px=INCIDENT_TTL_MS)
            stage_merged(pipe, target, old)
            said = f"takes in {incident_id}: {old.title}"
            self._timeline.stage(pipe, into, "merged", said, actor=actor, data={"merged": incident_id})
            self._stage_traces(pipe, old, new, Move.MERGE, actor, note or f"merged into {into}", verdict)
            return new

        return await change(self._redis, "merging an incident", [incident_key(incident_id)], step)

    async def comment(
        self, incident_id: str, actor: Actor, text: str, *, at: int | None = None, pinned: bool = False
    ) -> None:
        """A person's note on the timeline; `at` is when it happened, None: now. Audited.

        `pinned`: the review must not miss it. Raises: ValueError where the text is empty; UnknownError, StorageError.
        """
        if not text.strip():
            raise ValueError("text: is empty")

        async def step(pipe: Pipeline) -> None:
            await watched(pipe, incident_id)
            begin(pipe)
            self._timeline.stage(pipe, incident_id, "comment", text, actor=actor, at=at, pinned=pinned)
            self._audit.stage(
                pipe, actor, "incident.comment", f"incident:{incident_id}", after={"text": text}, reason=text
            )

        await change(self._redis, "writing a comment", [incident_key(incident_id)], step)

    def _ends_by_itself(self, incident: Incident) -> bool:
        return incident.rule in RECOVERING or incident.rule in self._incidents.plan.quiet_ms

    def _escalated(self, old: Incident) -> Incident:
        """The incident with its next level told. Raises: ConflictError where there is none."""
        plan = self._incidents.plan
        number = old.escalation_level + 1
        if plan.level(number) is None:
            raise ConflictError(f"{old.id} is at level {old.escalation_level} already: there is none above")
        new = msgspec.structs.replace(
            old,
            escalation_level=number,
            told_at=self._now() if old.told_at is None else old.told_at,
            version=old.version + 1,
        )
        return with_clocks(new, plan, self._now())

    def _stage_traces(
        self,
        pipe: Pipeline,
        old: Incident,
        new: Incident,
        move: Move,
        actor: Actor,
        note: str,
        verdict: Verdict | None,
    ) -> None:
        """What a move leaves on the timeline, in the audit trail and in the outbox."""
        kind = {Move.REOPEN: "reopened", Move.ESCALATE: "escalated"}.get(move, new.status.value)
        data: dict[str, Any] = {"verdict": verdict} if verdict else {}
        if move == Move.ESCALATE:
            level = self._incidents.plan.level(new.escalation_level)
            data["level"] = new.escalation_level
            said = f"escalated to level {new.escalation_level}" + (f", {level.name}" if level else "")
            text = f"{said}: {note}" if note else f"{said} by {actor.name}"
            self._record.tell_level(pipe, new, self._incidents.plan, f"{actor.name}: {text}", who=actor.name)
        else:
            text = note or f"{kind} by {actor.name}"
            if new.told_at is not None and move in MESSAGES:
                said = f"{kind} by {actor.name}" + (f" as {verdict}" if verdict else "")
                self._record.tell_move(
                    pipe, new, MESSAGES[move], f"{said}: {note}" if note else said, actor.name
                )
        self._timeline.stage(pipe, new.id, kind, text, actor=actor, data=data or None)
        target = f"incident:{new.id}"
        self._audit.stage(
            pipe, actor, f"incident.{move}", target, before=_state(old), after=_state(new), reason=note
        )


def _state(incident: Incident) -> dict[str, Any]:
    """What of an incident a move can change, for the audit trail: the evidence need not be there twice."""
    return {
        "status": incident.status,
        "verdict": incident.verdict,
        "acknowledged_by": incident.acknowledged_by,
        "merged_into": incident.merged_into,
        "escalation_level": incident.escalation_level,
        "version": incident.version,
    }
