"""What Bartizan decides about somebody: whom, of which kind, how strong, and until when."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

FOREVER = float("inf")
Clock = Callable[[], float]
"""Epoch seconds; not milliseconds as elsewhere, because time.time is what a lookup can afford."""


class Scope(str, Enum):
    """What a decision is about. Source: the scopes of CrowdSec's decisions."""

    IP = "Ip"
    RANGE = "Range"
    COUNTRY = "Country"
    """Two capital letters. Source: ISO 3166-1."""
    AS = "AS"
    """The number of an autonomous system, without "AS"."""
    USER = "User"


class DecisionType(str, Enum):
    """What becomes of whom it covers; the strongest is first."""

    BAN = "ban"
    CAPTCHA = "captcha"
    THROTTLE = "throttle"


class Block(NamedTuple):
    """A decision in force. `until_s` is epoch seconds, or FOREVER."""

    id: str
    value: str
    reason: str
    rule: str | None
    until_s: float
    scope: Scope | None = None
    """None, as somebody may write it: an address or a network, whichever `value` is."""
    type: DecisionType = DecisionType.BAN
    origin: str = ""
    """Whose decision it is: a rule's, a person's, or `lists:NAME`."""


class Allowed(NamedTuple):
    """An address or network that is never refused."""

    value: str
    until_s: float
