"""`enforcement:` of the policy: what somebody does who cannot act on a decision's type."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.policies.nodes import Value
from detectors.finding import DecisionType

KEYS = frozenset({"fallback"})


class Fallback(enum.StrEnum):
    """What becomes of a decision whose type cannot be acted on."""

    BAN = "ban"
    IGNORE = "ignore"


FALLBACK: Mapping[DecisionType, Fallback] = {
    DecisionType.CAPTCHA: Fallback.BAN,
    DecisionType.THROTTLE: Fallback.IGNORE,
}
"""A client that should prove to be human and cannot is kept out, one that should be slowed down is let through: the
first is suspected of being an attacker, the second of being greedy."""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """How decisions are enforced."""

    fallback: Mapping[DecisionType, Fallback] = field(default_factory=lambda: FALLBACK)


def read_enforcement(value: Value) -> Enforcement:
    """`enforcement: {fallback: {captcha: ban, throttle: ignore}}`. Raises: ConfigError."""
    members = value.members(KEYS)
    fallback = dict(FALLBACK)
    if "fallback" in members:
        for name, wanted in members["fallback"].members({kind.value for kind in FALLBACK}).items():
            fallback[DecisionType(name)] = wanted.choice(Fallback)
    return Enforcement(fallback)
