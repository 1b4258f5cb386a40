"""What an event must be like: the conditions of a rule's `where`, and of Sigma rules.

A condition is a small tree. Whoever reads a language (the policy, Sigma) builds it; `matcher_of` makes it a predicate.
"""

import enum
from collections.abc import Iterator

import msgspec


class Op(enum.StrEnum):
    """How a field is compared. Texts are compared without regard to case, as Sigma does."""

    EQUALS = "equals"
    CONTAINS = "contains"
    STARTS = "starts"
    ENDS = "ends"
    CIDR = "cidr"
    REGEX = "regex"
    EXISTS = "exists"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"


class Test(msgspec.Struct, frozen=True, tag="test"):
    """One comparison: true where the field compares to any of the values."""

    field: str
    """One of condition_fields.FIELDS: a field of `Event`, or one derived from it (`ip`, `target`, `record`)."""
    op: Op
    values: tuple[str | int | float | bool, ...]


class All(msgspec.Struct, frozen=True, tag="all"):
    """True where every part is."""

    parts: tuple["Condition", ...]


class Any(msgspec.Struct, frozen=True, tag="any"):
    """True where at least one part is."""

    parts: tuple["Condition", ...]


class Not(msgspec.Struct, frozen=True, tag="not"):
    """True where the part is not."""

    part: "Condition"


Condition = Test | All | Any | Not


def tests_of(condition: Condition) -> Iterator[Test]:
    """Every comparison in a condition."""
    match condition:
        case Test():
            yield condition
        case Not(part):
            yield from tests_of(part)
        case All(parts) | Any(parts):
            for part in parts:
                yield from tests_of(part)
