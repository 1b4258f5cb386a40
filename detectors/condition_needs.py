"""What a condition needs: the little that must hold in every event that meets it.

With it the engine leaves most events alone: it looks at those with one of a few statuses, or whose record holds one
of a few literals, which the one scan for all patterns finds on the way.
"""

from collections.abc import Iterable
from functools import reduce

import msgspec

from detectors.condition_fields import DECODED, NUMBERS
from detectors.condition_matching import matcher_of
from detectors.conditions import All, Any, Condition, Not, Op, Test
from detectors.event import Event

STATUSES = range(100, 600)
"""Those that an event may have: ingest lets no other pass."""
SHORTEST_LITERAL = 4
"""Shorter ones stand in most records, and finding them often costs more than looking."""
MOST_LITERALS = 256
"""Of one rule; one with more looks at every event."""
EVERYTHING_COSTS = 1000
_ORDINARY_STATUSES = frozenset({200, 201, 204, 206, 301, 302, 304})
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.:@")
"""Characters that stand in a record as they stand in the field. Others may be escaped there (quotes, slashes, `<`),
joined (commas), folded (slashes), or written with another case outside ASCII."""
_OF_NUMBERS = frozenset("0123456789.e+-")
_LITERAL_OPS = frozenset({Op.EQUALS, Op.CONTAINS, Op.STARTS, Op.ENDS})
_NO_LITERALS = NUMBERS | {"ip", "timestamp", "outcome", "category"}
"""Their values are brought to a form of ours, so the record need not hold them."""


class Needs(msgspec.Struct, frozen=True):
    """An event that meets the condition has at least one of these; where none is named, no event meets it."""

    statuses: frozenset[int] = frozenset()
    literals: frozenset[str] = frozenset()
    """In small letters. One stands in the record in any case, or the record has escapes that could hide it."""
    is_decoded: bool = False
    """A literal is one of a decoded field: disguises other than plain escapes could hide it too."""
    outcome: bool = False
    """An outcome is present."""
    key: bool = False
    """An api_key_id is present."""
    everything: bool = False
    """Nothing can be said: every event must be looked at."""

    def cost(self) -> int:
        """How many events this selects, roughly, for a choice between several."""
        if self.everything:
            return EVERYTHING_COSTS
        cost = 100 if self.statuses & _ORDINARY_STATUSES else 3 if self.statuses else 0
        if self.literals:
            shortest = min(map(len, self.literals))
            cost += (60 if shortest == SHORTEST_LITERAL else 10 if shortest < 7 else 2) + len(
                self.literals
            ) // 8
        return cost + 20 * self.outcome + 50 * self.key


ANYTHING = Needs(everything=True)


def needs_of(condition: Condition) -> Needs:
    """What must hold for a match. Raises: ConfigError as matcher_of does."""
    match condition:
        case Test():
            return _of_test(condition)
        case All(parts):
            return _of_all([needs_of(part) for part in parts])
        case Any(parts):
            return _one_of(needs_of(part) for part in parts)
        case Not(Not(part)):
            return needs_of(part)
        case Not():
            return ANYTHING


def _of_all(parts: list[Needs]) -> Needs:
    """Each part's needs hold, so the cheapest will do; those of nothing but statuses narrow each other."""
    only = [part.statuses for part in parts if part == Needs(part.statuses)]
    if len(only) > 1:
        parts = [*parts, Needs(reduce(frozenset.intersection, only))]
    return min(parts, key=lambda part: (part.cost(), len(part.statuses)), default=ANYTHING)


def _one_of(parts: Iterable[Needs]) -> Needs:
    found = Needs()
    for part in parts:
        found = Needs(
            found.statuses | part.statuses,
            found.literals | part.literals,
            found.is_decoded or part.is_decoded,
            found.outcome or part.outcome,
            found.key or part.key,
            found.everything or part.everything,
        )
    return ANYTHING if found.everything or len(found.literals) > MOST_LITERALS else found


def _of_test(test: Test) -> Needs:
    if test.op is Op.EXISTS and False in test.values:
        return ANYTHING
    if test.field == "status":
        matches = matcher_of(test)
        return Needs(frozenset(status for status in STATUSES if matches(Event(status=status), b"")))
    if test.field == "outcome":
        return Needs(outcome=True)
    if test.op in _LITERAL_OPS and test.field not in _NO_LITERALS:
        literals = {_literal(str(value), test.field) for value in test.values}
        if "" not in literals and len(literals) <= MOST_LITERALS:
            return Needs(literals=frozenset(literals), is_decoded=test.field in DECODED)
    return Needs(key=True) if test.field == "api_key_id" else ANYTHING


def _literal(text: str, field: str) -> str:
    """The longest part of a text that its record must hold, in small letters; empty where there is none.

    A text that could be a number is none: one that was logged as `1e3` is `1000.0` in its field.
    """
    plain = "".join(
        c if c in _SAFE else " " for c in (text.lower() if text.isascii() else _ascii_lower(text))
    )
    runs = [run for run in plain.split() if len(run) >= SHORTEST_LITERAL]
    if field not in ("client_ip", "forwarded_for"):
        runs = [run for run in runs if not _OF_NUMBERS.issuperset(run) and run != "-inf"]
    return max(runs, key=len, default="")


def _ascii_lower(text: str) -> str:
    """Small letters of ASCII only: any other character ends a part."""
    return "".join(c.lower() if c.isascii() else " " for c in text)
