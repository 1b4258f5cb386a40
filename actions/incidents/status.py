"""The state machine of incidents: which moves lead where."""

import enum
from collections.abc import Mapping


class IncidentStatus(enum.StrEnum):
    """triggered -> acknowledged -> mitigated -> resolved -> closed, with the side exits dismissed and merged."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"
    DISMISSED = "dismissed"
    MERGED = "merged"


OPEN = frozenset({IncidentStatus.TRIGGERED, IncidentStatus.ACKNOWLEDGED, IncidentStatus.MITIGATED})
"""While an incident is one of these, findings of the same rule and subject join it."""


class Verdict(enum.StrEnum):
    """What it was in the end. Source: the verdicts of DFIR-IRIS and TheHive."""

    TRUE_POSITIVE = "true_positive"
    FALSE_POSITIVE = "false_positive"
    BENIGN = "benign"
    """It did happen, and it was allowed: a test, a customer's script."""
    DUPLICATE = "duplicate"
    """Another incident speaks of the same problem."""
    UNKNOWN = "unknown"


class Move(enum.StrEnum):
    """What a person can do with an incident."""

    ACKNOWLEDGE = "acknowledge"
    ESCALATE = "escalate"
    MITIGATE = "mitigate"
    RESOLVE = "resolve"
    DISMISS = "dismiss"
    MERGE = "merge"
    REOPEN = "reopen"
    CLOSE = "close"


NEEDS_VERDICT = frozenset({Move.RESOLVE, Move.DISMISS})
"""Moves that say what it was. A merge says it as well: a duplicate, unless told otherwise."""

_TO: Mapping[Move, tuple[frozenset[IncidentStatus], IncidentStatus | None]] = {
    Move.ACKNOWLEDGE: (frozenset({IncidentStatus.TRIGGERED}), IncidentStatus.ACKNOWLEDGED),
    Move.ESCALATE: (OPEN, None),
    Move.MITIGATE: (frozenset({IncidentStatus.ACKNOWLEDGED}), IncidentStatus.MITIGATED),
    Move.RESOLVE: (
        frozenset({IncidentStatus.ACKNOWLEDGED, IncidentStatus.MITIGATED}),
        IncidentStatus.RESOLVED,
    ),
    Move.DISMISS: (OPEN, IncidentStatus.DISMISSED),
    Move.MERGE: (OPEN, IncidentStatus.MERGED),
    Move.REOPEN: (
        frozenset({IncidentStatus.RESOLVED, IncidentStatus.DISMISSED, IncidentStatus.MERGED}),
        IncidentStatus.ACKNOWLEDGED,
    ),
    Move.CLOSE: (frozenset({IncidentStatus.RESOLVED}), IncidentStatus.CLOSED),
}
"""Move -> (from which statuses, to which; None: it stays what it is)."""


def allowed_actions(status: IncidentStatus) -> tuple[str, ...]:
    """The moves that are legal in this status, in the order of the state machine."""
    return tuple(move.value for move, (sources, _) in _TO.items() if status in sources)


def target_of(status: IncidentStatus, move: Move) -> IncidentStatus | None:
    """Where a move leads from here; None where it is not legal."""
    sources, target = _TO[move]
    return (target or status) if status in sources else None
