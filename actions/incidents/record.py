"""What a change of an incident leaves behind: its lines on the timeline and its message, in the change's own MULTI."""

from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import SYSTEM, Actor, Audit
from actions.delivery.message import MessageKind, message_about
from actions.delivery.outbox import Outbox
from actions.incidents.changes import moved
from actions.incidents.checksums import checksum_of_all
from actions.incidents.incident import Incident
from actions.incidents.keys import incidents_key, stage_incident
from actions.incidents.response_plan import ResponsePlan
from actions.incidents.status import IncidentStatus, Verdict
from actions.incidents.timeline import Timeline
from actions.storage import DAY_MS
from detectors.finding import Finding

UPDATE_EVERY_MS = 10 * 60_000
"""At most one message "it goes on" per incident in this time: a flood is not a flood of messages."""
JOINS_NOTED = 20
"""Joining findings that each get a line on the timeline; after these, one line per UPDATE_EVERY_MS."""
INDEX_KEPT_MS = 800 * DAY_MS


class IncidentRecord:
    """Writes timelines and messages of incidents."""

    def __init__(self, now: Callable[[], int], timeline: Timeline, outbox: Outbox, audit: Audit) -> None:
        self._now = now
        self._audit = audit
        self._timeline = timeline
        self._outbox = outbox

    def opened(self, pipe: Pipeline, incident: Incident, finding: Finding, actor: Actor) -> None:
        """An incident begins: indexed, on its timeline with a checksum of its evidence, audited if reported."""
        now = incident.triggered_at
        pipe.zadd(incidents_key("index"), {f"{now:013d}:{incident.id}": 0})
        pipe.zremrangebylex(incidents_key("index"), "-", f"({max(0, now - INDEX_KEPT_MS):013d}")
        data = {
            **_finding_data(finding),
            "evidence_count": len(incident.evidence),
            "evidence_sha256": checksum_of_all(incident.evidence),
        }
        self._timeline.stage(
            pipe, incident.id, "created", incident.why, actor=actor, at=finding.at, data=data
        )
        if actor != SYSTEM:
            after = {"title": incident.title, "severity": incident.severity}
            target = f"incident:{incident.id}"
            self._audit.stage(pipe, actor, "incident.report", target, after=after, reason=incident.why)

    def joined(
        self, pipe: Pipeline, old: Incident, new: Incident, finding: Finding, *, is_new: bool
    ) -> Incident:
        """A finding joined: noted, but not each of thousands."""
        now, noted = self._now(), old.joins_noted_at
        if new.finding_count <= JOINS_NOTED or noted is None or now - noted >= UPDATE_EVERY_MS:
            new = msgspec.structs.replace(new, joins_noted_at=now)
            kind = "member_added" if is_new else "event_attached"
            self._timeline.stage(pipe, new.id, kind, finding.why, at=finding.at, data=_finding_data(finding))
        self.severity(pipe, old, new)
        return new

    def severity(self, pipe: Pipeline, old: Incident, new: Incident) -> None:
        """It has become worse, if it has."""
        if new.severity != old.severity:
            text = f"{old.severity} ({old.priority}) became {new.severity} ({new.priority})"
            self._timeline.stage(pipe, new.id, "severity_changed", text)

    def absorbed(self, pipe: Pipeline, old: Incident, campaign: Incident) -> None:
        """An incident became part of a campaign: it is merged, and its findings go there from now on."""
        new = moved(old, IncidentStatus.MERGED, "bartizan", Verdict.DUPLICATE, self._now())
        new = msgspec.structs.replace(new, merged_into=campaign.id)
        pipe.delete(incidents_key("open", old.dedup_key))
        stage_incident(pipe, new)
        text = f"part of the campaign {campaign.id}"
        self._timeline.stage(pipe, new.id, "merged", text, data={"into": campaign.id})
        self._timeline.stage(
            pipe, campaign.id, "member_added", f"{old.id}: {old.why}", data={"merged": old.id}
        )
        if new.told_at is not None:
            self.tell(pipe, new, MessageKind.MERGED, text)

    def tell(
        self,
        pipe: Pipeline,
        incident: Incident,
        kind: MessageKind,
        why: str,
        finding_id: str = "",
        advice: str = "",
        plan: ResponsePlan | None = None,
    ) -> None:
        """Writes the message of a change. With a plan it also goes to the levels that its priority tells at once."""
        message = message_about(incident, kind, why, self._now(), finding_id, advice)
        if plan is not None:
            message = msgspec.structs.replace(message, also=told_with_opening(incident, plan))
        self._outbox.stage(pipe, message)

    def tell_move(self, pipe: Pipeline, incident: Incident, kind: MessageKind, text: str, who: str) -> None:
        """Writes the message of somebody's move: what was done, by whom, without advice."""
        message = message_about(incident, kind, text, self._now())
        self._outbox.stage(pipe, msgspec.structs.replace(message, text=text, who=who))

    def tell_level(
        self, pipe: Pipeline, incident: Incident, plan: ResponsePlan, why: str, who: str = ""
    ) -> None:
        """Writes the message for the level that the incident has reached, to its own channels if it has any."""
        level = plan.level(incident.escalation_level)
        message = message_about(incident, MessageKind.ESCALATED, why, self._now())
        channels = level.channels if level else ()
        self._outbox.stage(pipe, msgspec.structs.replace(message, channels=channels, who=who))

    def overdue(self, pipe: Pipeline, incident: Incident, plan: ResponsePlan, why: str) -> None:
        """Writes the message that the response time has passed: to the routes, and to level 1 again."""
        level = plan.level(1)
        message = message_about(incident, MessageKind.OVERDUE, f"{why}\n{incident.why}", self._now())
        also = level.channels if level else ()
        self._outbox.stage(pipe, msgspec.structs.replace(message, also=also))

    def is_update_due(self, incident: Incident) -> bool:
        """Whether another message "it goes on" may be written."""
        return incident.updated_at is None or self._now() - incident.updated_at >= UPDATE_EVERY_MS

    def with_update(self, incident: Incident) -> Incident:
        """The incident with one more such message."""
        return msgspec.structs.replace(incident, updates=incident.updates + 1, updated_at=self._now())


def told_with_opening(incident: Incident, plan: ResponsePlan) -> tuple[str, ...]:
    """The channels of the levels that are told with the opening, besides those that the routes name."""
    top = plan.told_at_opening(incident.priority)
    return tuple(
        dict.fromkeys(channel for level in plan.levels if level.number <= top for channel in level.channels)
    )


def _finding_data(finding: Finding) -> dict[str, Any]:
    return {
        "finding_id": finding.id,
        "first_at": finding.first_at,
        "count": finding.count,
        "threshold": finding.threshold,
        "window_ms": finding.window_ms,
    }
