"""What people do with incidents: acknowledge, mitigate, resolve, dismiss, reopen, close, comment.

Each is audited and on the timeline in the same MULTI as the change. Keys: incidents.py.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import Actor, Audit
from actions.errors import ConflictError
from actions.incident import OPEN, Incident, Move, Verdict, moved, target_of
from actions.incidents import Incidents, incident_key, incidents_key
from actions.storage import Client, begin, change, text_of
from actions.timeline import INCIDENT_TTL_MS, Timeline

_encode = msgspec.json.Encoder().encode


class IncidentMoves:
    """People's moves on incidents."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        incidents: Incidents,
        timeline: Timeline,
        audit: Audit,
    ) -> None:
        self._redis = redis
        self._now = now
        self._incidents = incidents
        self._timeline = timeline
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
        """One step of a person: acknowledge, mitigate, resolve, dismiss, reopen, close. Audited, on the timeline.

        Raises: ConflictError naming the legal moves (illegal move, or another version than expected);
        ValueError where resolve or dismiss lack the verdict; UnknownError, StorageError.
        """
        if move in (Move.RESOLVE, Move.DISMISS) and verdict is None:
            raise ValueError(f"verdict: needed to {move}; one of {', '.join(Verdict)}")

        async def step(pipe: Pipeline) -> Incident:
            old = await self._incidents.watched(pipe, incident_id)
            if expected_version is not None and old.version != expected_version:
                raise ConflictError(f"{incident_id} is at version {old.version}, not {expected_version}")
            new = moved(old, target_of(old, move), actor.name, verdict, self._now())
            opened = incidents_key("open", old.dedup_key)
            await pipe.watch(opened)
            holder = await pipe.get(opened)
            begin(pipe)
            pipe.set(incident_key(incident_id), _encode(new), px=INCIDENT_TTL_MS)
            if new.status in OPEN and holder is None:
                pipe.set(opened, incident_id, px=INCIDENT_TTL_MS)
            elif new.status not in OPEN and holder is not None and text_of(holder) == incident_id:
                pipe.delete(opened)
            kind = "reopened" if move == Move.REOPEN else new.status.value
            data = {"verdict": verdict} if verdict else None
            self._timeline.stage(
                pipe, incident_id, kind, note or f"{kind} by {actor.name}", actor=actor, data=data
            )
            self._audit.stage(
                pipe,
                actor,
                f"incident.{move}",
                f"incident:{incident_id}",
                before=_state(old),
                after=_state(new),
                reason=note,
            )
            return new

        return await change(self._redis, "moving an incident", [incident_key(incident_id)], step)

    async def comment(self, incident_id: str, actor: Actor, text: str, *, at: int | None = None) -> None:
        """A person's note on the timeline; `at` is when it happened, None: now. Audited.

        Raises: ValueError where the text is empty; UnknownError, StorageError.
        """
        if not text.strip():
            raise ValueError("text: is empty")

        async def step(pipe: Pipeline) -> None:
            await self._incidents.watched(pipe, incident_id)
            begin(pipe)
            self._timeline.stage(pipe, incident_id, "comment", text, actor=actor, at=at)
            self._audit.stage(
                pipe, actor, "incident.comment", f"incident:{incident_id}", after={"text": text}, reason=text
            )

        await change(self._redis, "writing a comment", [incident_key(incident_id)], step)


def _state(incident: Incident) -> dict[str, Any]:
    """What of an incident a move can change, for the audit trail: the evidence need not be there twice."""
    return {
        "status": incident.status,
        "verdict": incident.verdict,
        "acknowledged_by": incident.acknowledged_by,
        "version": incident.version,
    }
