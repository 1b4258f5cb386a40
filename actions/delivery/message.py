"""What people are told: the message that a change writes, and the letter in which a channel carries messages."""

import enum
from typing import Protocol

import msgspec

from actions.incidents.incident import Incident
from actions.incidents.runbook import runbook_of
from detectors.finding import Priority, Severity


class MessageKind(enum.StrEnum):
    """Why a message is written."""

    OPENED = "opened"
    UPDATE = "update"
    """It goes on, or it has become worse."""
    ESCALATED = "escalated"
    """Nobody has acknowledged it: the next level is told."""
    OVERDUE = "overdue"
    """Its response time has passed, and nobody has acknowledged it."""
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"
    MERGED = "merged"
    REOPENED = "reopened"
    NOTICE = "notice"
    """Of no incident: a maintenance window ahead, a channel that is dead."""
    DIGEST = "digest"
    TEST = "test"


ENDING = frozenset({MessageKind.RESOLVED, MessageKind.DISMISSED, MessageKind.MERGED})
"""Kinds after which nobody needs to do anything about the incident."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell. The text is an attacker's in part: plain text, to be escaped by each channel."""

    kind: MessageKind
    incident_id: str
    """Empty for a notice, a digest and a test."""
    rule: str
    subject: str
    severity: Severity
    priority: Priority
    title: str
    text: str
    at: int
    """Epoch ms of writing."""
    finding_id: str = ""
    immediate: bool = False
    """Goes out at once, whatever quiet time or digest a channel keeps."""
    who: str = ""
    """The person whose move it speaks of."""
    level: int = 0
    """The highest level of the escalation that has been told, 1 to 4; 0: none yet."""
    channels: tuple[str, ...] = ()
    """Names of the channels it goes to; empty: those that the policy's routes name for it."""
    also: tuple[str, ...] = ()
    """Channels besides those: of the people that an escalation tells with the opening."""
    episode: int = 0
    """How often the incident has been reopened: what was told before that is another story."""
    html: str = ""
    """The text in HTML, escaped already; only digests have one."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What one channel carries at once: one message, or several that were gathered."""

    channel: str
    messages: tuple[Message, ...]
    """In the order they were written; all of one rule where there are several."""
    incident: Incident | None = None
    """As it is at the moment of sending; None for several incidents, and where there is none."""
    ref: str = ""
    """What this channel answered when it was told of this incident first: a message id to edit or to answer."""
    id: str = ""
    """The same at every attempt: lets a receiver tell a repetition."""
    total: int = 0
    """How many messages it stands for, where more were gathered than are kept; 0: as many as are in it."""


class Rate(msgspec.Struct, frozen=True):
    """How much a channel's receiver takes: so many letters a minute, after a burst of so many."""

    per_minute: int
    burst: int = 1


class Channel(Protocol):
    """Where messages go."""

    rate: Rate | None
    """How much its receiver takes; None: as much as there is."""

    @property
    def name(self) -> str:
        """As the policy calls it, and as the log of deliveries and the metrics show it."""

    @property
    def type(self) -> str:
        """What the default routes know it by: `email`, `slack`, `pagerduty` ..."""

    @property
    def groups(self) -> bool:
        """Whether several incidents may come in one letter. Not where each incident is a record of its own."""

    async def send(self, letter: Letter) -> str:
        """Delivers one letter; answers the receiver's reference for it, or nothing.

        Raises: DeliveryError; `permanent` says that trying again is of no use, `retry_after_ms` for how long the
        receiver wants to be left alone.
        """


def message_about(
    incident: Incident, kind: MessageKind, why: str, at: int, finding_id: str = "", advice: str = ""
) -> Message:
    """The message that an incident gives rise to. `why`: the finding's sentence; what to do first comes below it.

    `advice` stands there instead of what the rule's runbook says.
    """
    return Message(
        kind=kind,
        incident_id=incident.id,
        rule=incident.rule,
        subject=incident.subject,
        severity=incident.severity,
        priority=incident.priority,
        title=incident.title,
        text=f"{why}\nWhat to do first: {advice or runbook_of(incident.rule).act}",
        at=at,
        finding_id=finding_id,
        immediate=incident.immediate,
        episode=incident.reopened,
        level=incident.escalation_level,
    )
