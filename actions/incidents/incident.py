"""What an incident is: the record of one problem. How it changes: incidents/changes.py; who keeps it: incidents.py."""

from typing import Any

import msgspec

from actions.incidents.status import OPEN, IncidentStatus, Verdict
from detectors.finding import Evidence, Priority, Severity

EVIDENCE_KEPT = 30
ENTITIES_KEPT = 20
FOLLOW_UPS_KEPT = 100


class Entity(msgspec.Struct, frozen=True):
    """Somebody or something in an incident: `ip`, `user`, `key`, `host` or `rule`, and its value."""

    type: str
    value: str


class CheckItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a checklist, ticked or not. Times are epoch ms."""

    id: str
    """Its text in small letters with hyphens, such as `root-cause-identified`."""
    phase: str
    """`initial_response` or `resolution`."""
    text: str
    done_at: int | None = None
    done_by: str = ""
    note: str = ""


class FollowUp(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is left to do when the incident is over. Times are epoch ms."""

    id: str
    text: str
    owner: str
    due: int
    created_at: int
    done_at: int | None = None
    done_by: str = ""


class PublicUpdate(msgspec.Struct, frozen=True):
    """What the public status page says from this time on, in a person's own words."""

    at: int
    state: str
    """`investigating`, `identified`, `monitoring` or `resolved`."""
    text: str


class Publication(msgspec.Struct, frozen=True):
    """An incident as the public may see it: nothing in it comes from a log."""

    title: str
    component: str
    """What is affected, in the public's words."""
    updates: tuple[PublicUpdate, ...]
    """Oldest first; never empty."""
    until: int | None = None
    """When it was taken off the page, epoch ms."""


class Incident(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One problem, however many findings speak of it. Times are epoch ms."""

    id: str
    """`INC-2026-0001`; the year and a count within it, which may have gaps."""
    rule: str
    title: str
    why: str
    """The sentence of the finding that opened it."""
    severity: Severity
    priority: Priority
    status: IncidentStatus
    subject: str
    entities: tuple[Entity, ...]
    event_count: int
    finding_count: int
    first_seen: int
    last_seen: int
    triggered_at: int
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    mitigated_at: int | None = None
    resolved_at: int | None = None
    closed_at: int | None = None
    verdict: Verdict | None = None
    dedup_key: str
    evidence: tuple[Evidence, ...] = ()
    """Copied when findings come, at most 30, the opening ones first: the windows expire, this must not."""
    immediate: bool = False
    updates: int = 0
    """How many messages said "it goes on"."""
    updated_at: int | None = None
    """When the last of them was written."""
    joins_noted_at: int | None = None
    references: tuple[str, ...] = ()
    """ATT&CK, OWASP and CWE ids of its rule."""
    members: int = 0
    """Of a campaign: how many subjects; 0: it is about one."""
    newest_at: int = 0
    """Of a campaign: when its newest subject came."""
    merged_into: str | None = None
    """The incident that now speaks of this problem."""
    took_in: int = 0
    """How many incidents people have merged into it: it does not end by itself any more."""
    reopened: int = 0
    """How often it was not over after all."""
    graded_by: str | None = None
    """Who set its priority by hand: findings do not change it any more."""
    lead: str | None = None
    """Who leads the response."""
    impact: str = ""
    root_cause: str = ""
    lessons: str = ""
    checklist: tuple[CheckItem, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    public: Publication | None = None
    told_at: int | None = None
    """When people were first told of it: its clocks run from then. None: it is quiet, and nobody is waited for."""
    ack_due_at: int | None = None
    """Acknowledged later than this is a breach of the response time; None: the clock does not run (any more)."""
    ack_breached_at: int | None = None
    escalate_at: int | None = None
    """When the next level is told; None: none is."""
    escalation_step: int = 0
    """Which step of the plan that will be."""
    escalation_level: int = 0
    """The highest level that has been told; 0: none yet."""
    quiet_at: int | None = None
    """When it is resolved by itself unless there is news; None: it is not."""
    version: int = 1
    """Counts every change; the ETag."""

    @property
    def is_open(self) -> bool:
        """Whether it still needs somebody."""
        return self.status in OPEN

    @property
    def is_campaign(self) -> bool:
        """Whether it is about many subjects of one rule."""
        return self.members > 0


class Entry(msgspec.Struct, frozen=True):
    """One line of an incident's timeline. Never changed; a correction is another entry."""

    id: str
    incident_id: str
    at: int
    """When it happened, which may be before it was known."""
    recorded_at: int
    actor: str
    kind: str
    """created, event_attached, member_added, severity_changed, acknowledged, escalated, sla_breached, mitigated,
    resolved, dismissed, merged, reopened, closed, action_taken, action_failed, action_skipped, action_reverted,
    action_reviewed, recovering, evidence_added, notified, notify_failed, not_notified, comment, edited, checklist,
    followup_added, followup_done, status_published."""
    text: str
    data: Any = None
    pinned: bool = False
    """Marked by a person as what the review must not miss."""


class Opened(msgspec.Struct, frozen=True):
    """What findings did: opened this incident, joined it, or had all been counted before (`repeated`)."""

    incident: Incident
    opened: bool
    repeated: bool = False
    finding_id: str = ""
    """The finding under whose id their actions run: of those that were once counted together, the first."""
    counted: int = 0
    """How many of them had not been counted before."""
