"""What a channel has been told of an incident, and whether a message still makes sense there.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:told:CHANNEL:INCIDENT` | hash: kind, ref, at, episode | 400 days | one per channel and incident |

Asked right before each send: a message may have waited for hours, and meanwhile people have acted. A trigger that
leaves after its resolve would page somebody for nothing.
"""

from typing import Any

import msgspec

from actions.delivery.message import ENDING, MessageKind
from actions.incidents.incident import Incident
from actions.incidents.status import OPEN, IncidentStatus
from actions.storage import act_key, short, text_of

OPENING = frozenset(
    {
        MessageKind.OPENED,
        MessageKind.UPDATE,
        MessageKind.ESCALATED,
        MessageKind.OVERDUE,
        MessageKind.REOPENED,
    }
)
"""Kinds that ask somebody to do something about an open incident."""
UNANSWERED = frozenset({MessageKind.ESCALATED, MessageKind.OVERDUE})
"""Kinds that say that nobody has acknowledged it."""


UNTOLD = "superseded: nobody was told here that it was open"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The last that one channel was told of one incident."""

    kind: MessageKind
    episode: int
    """Of the incident, when it was told."""
    at: int
    ref: str
    """What the channel answered first in this episode."""


def told_key(channel: str, incident_id: str) -> str:
    """What one channel was told of one incident."""
    return act_key("told", short(channel), short(incident_id))


def told_of(fields: dict[Any, Any]) -> Told | None:
    """The hash under `told_key` as it was read; None where there is none."""
    if not fields:
        return None
    return Told(
        kind=MessageKind(text_of(fields[b"kind"])),
        episode=int(fields[b"episode"]),
        at=int(fields[b"at"]),
        ref=text_of(fields[b"ref"]),
    )


def ref_of(told: Told | None, episode: int) -> str:
    """The reference to edit or to answer; what was told of an earlier episode is another story."""
    return told.ref if told is not None and told.episode == episode else ""


def superseded(kind: MessageKind, episode: int, incident: Incident | None, told: Told | None) -> str:
    """Why a message of this kind is not told any more, in words; "" where it is.

    `incident`: as it is now; None where it is not known, and where the message is of none: then it is told.
    """
    if incident is None:
        return ""
    is_told = told is not None and told.episode == episode
    is_open = incident.status in OPEN
    if kind in OPENING:
        if not is_open:
            return f"superseded: {incident.status} meanwhile"
        if episode < incident.reopened:
            return "superseded: reopened meanwhile"
        if kind in UNANSWERED and incident.status != IncidentStatus.TRIGGERED:
            return f"superseded: {incident.status} meanwhile"
    elif kind in ENDING or kind in (MessageKind.ACKNOWLEDGED, MessageKind.MITIGATED):
        if not is_told:
            return UNTOLD
        if kind not in ENDING and not is_open:
            return f"superseded: {incident.status} meanwhile"
    return ""
