"""A decision in force, as lookups answer with it and as it goes over the wire."""

import msgspec

from actions.blocks.subjects import Scope
from detectors.finding import DecisionType
from detectors.timestamps import to_rfc3339

OWN = "rule"


class Decision(msgspec.Struct, frozen=True, gc=False):
    """A block in force. Times are epoch milliseconds; `until` None is for good."""

    id: str
    value: str
    until: int | None
    scope: Scope = Scope.IP
    type: DecisionType = DecisionType.BAN
    origin: str = OWN
    """Who made it: `rule`, `admin`, `api`, `import`, or `lists:NAME` for an external list."""
    reason: str = ""
    rule: str | None = None
    incident_id: str | None = None
    created_at: int = 0
    seen: str = ""
    """Of an IPv6 network: the addresses inside that attacked, newest first, with a space in between."""

    @property
    def wire(self) -> msgspec.Raw:
        """It as answers carry it."""
        return msgspec.Raw(_encode(wire_of(self)))


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
