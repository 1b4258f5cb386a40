"""The clocks of incidents: response time, escalation, quiet end. They run in Redis, so they outlive every process.

Each incident stands in `bartizan:{act}:incidents:due` (incidents/keys.py) with the time of its next stroke. A stroke
reads the incident again and changes it in one optimistic MULTI, so that of any number of processes exactly one does it,
and none where a person was faster.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from redis.asyncio.client import Pipeline

from actions.delivery.message import MessageKind
from actions.elapsed import elapsed
from actions.incidents.changes import SYSTEM_NAME, moved
from actions.incidents.incident import Incident
from actions.incidents.incidents import Incidents
from actions.incidents.keys import decode_incident, incident_key, incidents_key, stage_incident
from actions.incidents.record import IncidentRecord
from actions.incidents.response_plan import ResponsePlan
from actions.incidents.status import IncidentStatus
from actions.incidents.timeline import Timeline
from actions.storage import Client, begin, change, storage_errors, text_of
from detectors.timestamps import to_rfc3339

AT_ONCE = 100
"""Incidents looked at in one turn."""

log = structlog.get_logger("bartizan.clocks")


class IncidentClocks:
    """Lets the clocks strike. Any number of processes may."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        incidents: Incidents,
        timeline: Timeline,
        record: IncidentRecord,
    ) -> None:
        self._redis = redis
        self._now = now
        self._incidents = incidents
        self._timeline = timeline
        self._record = record

    async def strike(self) -> int:
        """Does all that is due by now; says how many changes it made. Raises: StorageError."""
        done, before = 0, None
        while True:
            with storage_errors("reading the clocks"):
                names: Any = await self._redis.zrangebyscore(
                    incidents_key("due"), "-inf", self._now(), start=0, num=AT_ONCE
                )
            struck = sum([await self._strike_one(text_of(name)) for name in names])
            if not names or (not struck and names == before):  # the same again: a clock that goes backwards
                return done
            before, done = names, done + struck

    async def next_at(self) -> int | None:
        """When the next clock strikes, epoch ms; None where none runs. Raises: StorageError."""
        with storage_errors("reading the clocks"):
            rows: Any = await self._redis.zrange(incidents_key("due"), 0, 0, withscores=True)
        return int(rows[0][1]) if rows else None

    async def _strike_one(self, incident_id: str) -> bool:
        """One stroke of one incident; False where there is nothing to do (any more)."""

        async def step(pipe: Pipeline) -> bool:
            item = await pipe.get(incident_key(incident_id))
            if item is None:
                begin(pipe)
                pipe.zrem(incidents_key("due"), incident_id)
                return False
            try:
                old = decode_incident(item)
            except msgspec.MsgspecError as error:
                log.error("incident unreadable, its clocks stop", incident=incident_id, error=str(error))
                begin(pipe)
                pipe.zrem(incidents_key("due"), incident_id)
                return False
            opened = incidents_key("open", old.dedup_key)
            await pipe.watch(opened)
            holder = await pipe.get(opened)
            begin(pipe)
            new = self._struck(pipe, old)
            stage_incident(pipe, new)
            if not new.is_open and holder is not None and text_of(holder) == incident_id:
                pipe.delete(opened)
            return new != old

        return await change(self._redis, "striking a clock", [incident_key(incident_id)], step)

    def _struck(self, pipe: Pipeline, old: Incident) -> Incident:
        """The incident after what is due by now, its traces staged.

        One that somebody has in hand neither escalates nor is late, but it ends when it has been quiet for long enough;
        not one that took in others, which may be about something else.
        """
        now, plan = self._now(), self._incidents.plan
        if old.is_open and old.quiet_at is not None and old.quiet_at <= now:
            return msgspec.structs.replace(old, quiet_at=None) if old.took_in else self._ended(pipe, old)
        if old.status != IncidentStatus.TRIGGERED:
            return msgspec.structs.replace(old, ack_due_at=None, escalate_at=None)
        is_late = old.ack_due_at is not None and old.ack_due_at <= now
        is_next = old.escalate_at is not None and old.escalate_at <= now
        new = self._breached(pipe, old, plan) if is_late else old
        if is_next:
            return self._escalated(pipe, new, plan, is_late=is_late)
        if is_late:
            self._record.overdue(pipe, new, plan, self._late(new, plan))
        return new

    def _breached(self, pipe: Pipeline, old: Incident, plan: ResponsePlan) -> Incident:
        self._timeline.stage(pipe, old.id, "sla_breached", self._late(old, plan), at=old.ack_due_at)
        return msgspec.structs.replace(
            old, ack_due_at=None, ack_breached_at=old.ack_due_at, version=old.version + 1
        )

    def _late(self, incident: Incident, plan: ResponsePlan) -> str:
        response = elapsed(plan.grade(incident.priority).response_ms)
        return f"not acknowledged within the response time of {response} ({incident.priority})"

    def _escalated(self, pipe: Pipeline, old: Incident, plan: ResponsePlan, *, is_late: bool) -> Incident:
        steps = plan.steps(old.priority)
        if old.escalation_step >= len(steps):  # a policy with fewer levels than the one it was opened under
            return msgspec.structs.replace(old, escalate_at=None)
        step, following = steps[old.escalation_step], old.escalation_step + 1
        told_at = old.triggered_at if old.told_at is None else old.told_at
        new = msgspec.structs.replace(
            old,
            escalation_step=following,
            escalation_level=max(old.escalation_level, step.level),
            escalate_at=told_at + steps[following].after_ms if following < len(steps) else None,
            version=old.version + 1,
        )
        level = plan.level(step.level)
        text = f"level {step.level}, {level.name if level else ''}: not acknowledged after {elapsed(step.after_ms)}"
        data = {"level": step.level, "due_at": old.escalate_at}
        self._timeline.stage(pipe, new.id, "escalated", text, data=data)
        why = f"Escalated to {text}" + (f"; {self._late(new, plan)}" if is_late else "") + f"\n{new.why}"
        self._record.tell_level(pipe, new, plan, why)
        return new

    def _ended(self, pipe: Pipeline, old: Incident) -> Incident:
        new = moved(old, IncidentStatus.RESOLVED, SYSTEM_NAME, None, self._now())
        text = f"resolved by itself: nothing new since {to_rfc3339(old.last_seen)}"
        self._timeline.stage(pipe, new.id, "resolved", text)
        if new.told_at is not None:
            self._record.tell_move(pipe, new, MessageKind.RESOLVED, text, SYSTEM_NAME)
        return new
