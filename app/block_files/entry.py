"""One entry of a file of addresses to block, and what is wrong with one."""

import msgspec

from actions.blocks.subjects import Scope
from detectors.finding import DecisionType


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What a file says of one value. What it does not say is None, and the importer's word counts."""

    line: int
    """Where it stands: a line, or the how-manieth item, from 1 on."""
    value: str
    """As it stands there; whether it is a value of its scope is for whoever blocks it to say."""
    scope: Scope | None = None
    type: DecisionType | None = None
    until: int | None = None
    """Epoch ms; None where the file says nothing, or that it is for good."""
    is_for_good: bool = False
    reason: str = ""


class Wrong(msgspec.Struct, frozen=True, gc=False):
    """An entry that cannot be read, and why."""

    line: int
    error: str


class Contents(msgspec.Struct, frozen=True):
    """What a file holds."""

    form: str
    entries: list[Entry]
    wrong: list[Wrong]
