"""What people write into an incident while they work on it: its grade, lead, findings, checklists, follow-ups, and what
the public status page says. Each is audited and on the timeline in the MULTI of the change. Keys: incidents/keys.py.
"""

import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import Actor, Audit
from actions.delivery.message import MessageKind
from actions.errors import ConflictError, UnknownError
from actions.incidents.changes import slug, with_clocks
from actions.incidents.incident import FOLLOW_UPS_KEPT, FollowUp, Incident, Publication, PublicUpdate
from actions.incidents.incidents import Incidents
from actions.incidents.keys import incident_key, stage_incident, watched_at
from actions.incidents.public_status import stage_public
from actions.incidents.record import IncidentRecord
from actions.incidents.response_plan import STATUS_PAGE_UPDATED
from actions.incidents.timeline import Timeline
from actions.storage import Client, begin, change
from detectors.finding import Priority, Severity
from detectors.timestamps import to_rfc3339

TEXTS = ("title", "lead", "impact", "root_cause", "lessons")
"""What a person may write anew."""
_MOST_URGENT = list(Priority)
PUBLIC_STATES = ("investigating", "identified", "monitoring", "resolved")

Changed = tuple[Incident, str, str, Any]
"""The incident after the change; the kind, text and data of its entry."""


class IncidentWork:
    """People's work on incidents, besides moving them."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        incidents: Incidents,
        timeline: Timeline,
        record: IncidentRecord,
        audit: Audit,
        new_id: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self._redis = redis
        self._now = now
        self._incidents = incidents
        self._timeline = timeline
        self._record = record
        self._audit = audit
        self._new_id = new_id

    async def edit(
        self,
        incident_id: str,
        actor: Actor,
        texts: dict[str, str],
        *,
        severity: Severity | None = None,
        expected_version: int | None = None,
    ) -> Incident:
        """Writes texts (title, lead, impact, root_cause, lessons) and grades by hand: findings regrade it no more.

        A new grade sets the clocks of one that nobody has acknowledged. Raises: ValueError for another text or nothing
        to write; StaleError, UnknownError, StorageError.
        """
        unknown = sorted(set(texts) - set(TEXTS))
        if unknown:
            raise ValueError(f"{unknown[0]}: is not one of {', '.join(TEXTS)}")
        if not texts and severity is None:
            raise ValueError("body: has nothing to write")
        if not texts.get("title", "x").strip():
            raise ValueError("title: is empty")

        def work(old: Incident) -> Changed:
            new = msgspec.structs.replace(old, **texts)
            said = [f"{name}: {texts[name]}" for name in TEXTS if name in texts]
            if severity is None:
                return new, "edited", "; ".join(said), sorted(texts)
            plan = self._incidents.plan
            priority = plan.priority_of(severity)
            new = msgspec.structs.replace(new, severity=severity, priority=priority, graded_by=actor.name)
            if old.told_at is not None and priority != old.priority:
                new = with_clocks(new, plan, self._now())
            said.append(f"{old.severity} ({old.priority}) became {severity} ({priority})")
            return new, "severity_changed", "; ".join(said), sorted(texts)

        return await self._change(incident_id, actor, "edit", work, expected_version, self._tell_raised)

    def _tell_raised(self, pipe: Pipeline, old: Incident, new: Incident, text: str) -> None:
        """Tells people, and the levels that it reaches with this, that it is more urgent than they were told."""
        if (
            new.told_at is not None
            and new.is_open
            and _MOST_URGENT.index(new.priority) < _MOST_URGENT.index(old.priority)
        ):
            self._record.tell(pipe, new, MessageKind.UPDATE, text, plan=self._incidents.plan)

    async def check(
        self, incident_id: str, item_id: str, actor: Actor, *, done: bool, note: str = ""
    ) -> Incident:
        """Ticks a line of a checklist, or takes the tick back.

        Raises: UnknownError for another line (the message names those there are), or incident; StorageError.
        """

        def work(old: Incident) -> Changed:
            item = next((i for i in old.checklist if i.id == item_id), None)
            if item is None:
                known = ", ".join(i.id for i in old.checklist) or "none"
                raise UnknownError(f"checklist item {item_id!r} is not known; there are {known}")
            ticked = msgspec.structs.replace(
                item,
                done_at=self._now() if done else None,
                done_by=actor.name if done else "",
                note=note,
            )
            checklist = tuple(ticked if i.id == item_id else i for i in old.checklist)
            text = f"{item.text}: {'done' if done else 'not done after all'}" + (f" ({note})" if note else "")
            return msgspec.structs.replace(old, checklist=checklist), "checklist", text, {"item": item_id}

        return await self._change(incident_id, actor, "checklist", work)

    async def add_follow_up(
        self, incident_id: str, actor: Actor, text: str, owner: str, due: int
    ) -> Incident:
        """Notes what is left to do, who does it, and until when (epoch ms).

        Raises: ValueError where text or owner are empty; ConflictError past a hundred; UnknownError, StorageError.
        """
        for name, value in (("text", text), ("owner", owner)):
            if not value.strip():
                raise ValueError(f"{name}: is empty")
        new_id = self._new_id()

        def work(old: Incident) -> Changed:
            if len(old.follow_ups) >= FOLLOW_UPS_KEPT:
                raise ConflictError(f"{old.id} has {FOLLOW_UPS_KEPT} follow-ups already")
            added = FollowUp(new_id, text, owner, due, self._now())
            said = f"{owner} until {to_rfc3339(due)}: {text}"
            new = msgspec.structs.replace(old, follow_ups=(*old.follow_ups, added))
            return new, "followup_added", said, {"follow_up": new_id}

        return await self._change(incident_id, actor, "follow_up", work)

    async def finish_follow_up(
        self, incident_id: str, follow_up_id: str, actor: Actor, *, done: bool = True
    ) -> Incident:
        """Notes that a follow-up is done, or is not after all. Raises: UnknownError, StorageError."""

        def work(old: Incident) -> Changed:
            found = next((f for f in old.follow_ups if f.id == follow_up_id), None)
            if found is None:
                raise UnknownError(f"follow-up {follow_up_id!r} of {old.id} is not known")
            ended = msgspec.structs.replace(
                found, done_at=self._now() if done else None, done_by=actor.name if done else ""
            )
            follow_ups = tuple(ended if f.id == follow_up_id else f for f in old.follow_ups)
            text = f"{found.text}: {'done' if done else 'open again'}"
            new = msgspec.structs.replace(old, follow_ups=follow_ups)
            return new, "followup_done", text, {"follow_up": follow_up_id}

        return await self._change(incident_id, actor, "follow_up", work)

    async def publish(
        self, incident_id: str, actor: Actor, *, state: str, text: str, title: str = "", component: str = ""
    ) -> Incident:
        """Puts an incident on the public status page, or says there how it goes on.

        Nothing of what a log or a rule said is taken over: every word is the person's. Ticks "Status page updated".
        Raises: ValueError where the first has no title, or a text or state is missing; UnknownError, StorageError.
        """
        if state not in PUBLIC_STATES:
            raise ValueError(f"state: {state!r} is not one of {', '.join(PUBLIC_STATES)}")
        if not text.strip():
            raise ValueError("text: is empty")

        def work(old: Incident) -> Changed:
            before = old.public
            if before is None and not title.strip():
                raise ValueError(
                    "title: needed to publish an incident for the first time; what the public may read"
                )
            update = PublicUpdate(self._now(), state, text)
            public = Publication(
                title or (before.title if before else ""),
                component or (before.component if before else ""),
                (*(before.updates if before else ()), update),
            )
            checklist = tuple(
                msgspec.structs.replace(i, done_at=i.done_at or self._now(), done_by=i.done_by or actor.name)
                if i.id == slug(STATUS_PAGE_UPDATED)
                else i
                for i in old.checklist
            )
            new = msgspec.structs.replace(old, public=public, checklist=checklist)
            return new, "status_published", f"{state}: {text}", {"state": state}

        return await self._change(incident_id, actor, "publish", work)

    async def unpublish(self, incident_id: str, actor: Actor) -> Incident:
        """Takes an incident off the public status page. Raises: ConflictError where it is not on it."""

        def work(old: Incident) -> Changed:
            if old.public is None or old.public.until is not None:
                raise ConflictError(f"{old.id} is not on the status page")
            public = msgspec.structs.replace(old.public, until=self._now())
            return msgspec.structs.replace(old, public=public), "status_published", "taken off the page", None

        return await self._change(incident_id, actor, "unpublish", work)

    async def _change(
        self,
        incident_id: str,
        actor: Actor,
        verb: str,
        work: Callable[[Incident], Changed],
        expected_version: int | None = None,
        tell: Callable[[Pipeline, Incident, Incident, str], None] | None = None,
    ) -> Incident:
        async def step(pipe: Pipeline) -> Incident:
            old = await watched_at(pipe, incident_id, expected_version)
            new, kind, text, data = work(old)
            new = msgspec.structs.replace(new, version=old.version + 1)
            begin(pipe)
            stage_incident(pipe, new)
            stage_public(pipe, old, new)
            self._timeline.stage(pipe, incident_id, kind, text, actor=actor, data=data)
            if tell is not None:
                tell(pipe, old, new, text)
            self._audit.stage(
                pipe,
                actor,
                f"incident.{verb}",
                f"incident:{incident_id}",
                before=_differing(old, new),
                after=_differing(new, old),
                reason=text,
            )
            return new

        return await change(self._redis, "working on an incident", [incident_key(incident_id)], step)


def _differing(one: Incident, other: Incident) -> dict[str, Any]:
    """The fields of one that the other has otherwise, as plain JSON."""
    return {
        name: msgspec.to_builtins(getattr(one, name))
        for name in one.__struct_fields__
        if getattr(one, name) != getattr(other, name)
    }
