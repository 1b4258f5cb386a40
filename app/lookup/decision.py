"""A decision as it goes over the wire."""

import msgspec

from actions.blocks.decision import Decision
from actions.blocks.subjects import Scope
from detectors.finding import DecisionType
from detectors.timestamps import to_rfc3339


class WireDecision(msgspec.Struct, frozen=True, gc=False):
    """A decision as it goes over the wire; times are RFC 3339."""

    id: str
    value: str
    reason: str
    rule: str | None
    incident_id: str | None
    created_at: str
    until: str | None
    scope: Scope
    type: DecisionType
    origin: str


_encode = msgspec.json.Encoder().encode


def wire_of(decision: Decision) -> WireDecision:
    """It with times for people."""
    until = decision.until
    return WireDecision(
        id=decision.id,
        value=decision.value,
        reason=decision.reason,
        rule=decision.rule,
        incident_id=decision.incident_id,
        created_at=to_rfc3339(decision.created_at),
        until=None if until is None else to_rfc3339(until),
        scope=decision.scope,
        type=decision.type,
        origin=decision.origin,
    )


def encoded(decision: Decision) -> msgspec.Raw:
    """It as answers carry it."""
    return msgspec.Raw(_encode(wire_of(decision)))
