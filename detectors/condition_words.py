"""Conditions in words: what a rule looks for, what of an event met it, and why another does not."""

from collections.abc import Callable

from detectors.addresses import Networks
from detectors.condition_fields import FieldValue, Read, reader_of
from detectors.condition_matching import matcher_of
from detectors.conditions import All, Any, Condition, Not, Op, Test
from detectors.event import Event

Words = Callable[[Event, bytes], str]

LONGEST_QUOTE = 80
"""A longer value is not quoted at all: half a secret could no longer be told from text, and so not be masked."""
MOST_VALUES = 5
"""Values of one comparison that are named."""
MOST_PARTS = 3
"""Parts of one match that are named."""

_VERBS = {
    Op.EQUALS: "is",
    Op.CONTAINS: "contains",
    Op.STARTS: "starts with",
    Op.ENDS: "ends with",
    Op.CIDR: "lies in",
    Op.REGEX: "matches",
    Op.GT: "is above",
    Op.GTE: "is at least",
    Op.LT: "is below",
    Op.LTE: "is at most",
}


def describe(condition: Condition) -> str:
    """The condition as people read it: `path starts with '/api' and status is 200`."""
    match condition:
        case Test():
            return _describe_test(condition)
        case All(parts):
            return " and ".join(_within(part, Any) for part in parts) or "anything"
        case Any(parts):
            return " or ".join(_within(part, All) for part in parts) or "nothing"
        case Not(part):
            return f"not ({describe(part)})"


def _within(part: Condition, other: type[All | Any]) -> str:
    """A part in brackets where it would be misread without."""
    words = describe(part)
    return f"({words})" if isinstance(part, other) and len(part.parts) > 1 else words


def _describe_test(test: Test) -> str:
    if test.op is Op.EXISTS:
        return f"{test.field} is {'present' if True in test.values else 'absent'}"
    return f"{test.field} {_VERBS[test.op]} {_values(test)}"


def _values(test: Test) -> str:
    named = [_quote(value) for value in test.values[:MOST_VALUES]]
    more = len(test.values) - len(named)
    if more:
        return f"{', '.join(named)} or {more} more"
    return " or ".join(filter(None, (", ".join(named[:-1]), *named[-1:]))) or "nothing"


def _quote(value: str | int | float | bool | None) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def first_match(condition: Condition, event: Event, record: bytes, trusted: Networks | None = None) -> str:
    """What of a matching event met the condition, for evidence: `path '/export' (contains 'export')`."""
    return matched_part_of(condition, trusted)(event, record)


def matched_part_of(condition: Condition, trusted: Networks | None = None) -> Words:
    """What gives, of an event that meets the condition, the first parts that do. Compiled, as matcher_of."""
    match condition:
        case Test():
            return _matched_test(condition, reader_of(condition.field, trusted))
        case All(parts):
            each = [matched_part_of(part, trusted) for part in _telling(parts)[:MOST_PARTS]]
            return lambda event, record: ", ".join(words(event, record) for words in each)
        case Any(parts):
            ways = [(matcher_of(part, trusted), matched_part_of(part, trusted)) for part in parts]
            return lambda event, record: next(
                (words(event, record) for matches, words in ways if matches(event, record)), ""
            )
        case Not():
            return lambda _event, _record: describe(condition)


def _telling(parts: tuple[Condition, ...]) -> list[Condition]:
    """The parts that say what is there, if any does; that something is not there says little."""
    return [part for part in parts if not isinstance(part, Not)] or list(parts)


def _matched_test(test: Test, read: Read) -> Words:
    how = f"({test.op} {_values(test)})"

    def words(event: Event, record: bytes) -> str:
        value = read(event, record)
        if value is None:
            return f"{test.field} absent"
        if isinstance(value, str) and len(value) > LONGEST_QUOTE:
            return f"{test.field} {how}"
        return f"{test.field} {_quote(value)}" + ("" if test.op in (Op.EQUALS, Op.EXISTS) else f" {how}")

    return words


def why_not(condition: Condition, event: Event, record: bytes, trusted: Networks | None = None) -> str:
    """Which part of the condition an event that does not meet it misses: `status is 403, but must be 200`."""
    match condition:
        case Test(field):
            return (
                f"{_logged(field, reader_of(field, trusted)(event, record))}; wanted: {describe(condition)}"
            )
        case All(parts):
            missed = next(part for part in parts if not matcher_of(part, trusted)(event, record))
            return why_not(missed, event, record, trusted)
        case Any(parts):
            reasons = (why_not(part, event, record, trusted) for part in parts[:MOST_PARTS])
            return f"none of {len(parts)} holds: {' / '.join(reasons)}"
        case Not(part):
            return f"{first_match(part, event, record, trusted)}; wanted: {describe(condition)}"


def _logged(field: str, value: FieldValue) -> str:
    if isinstance(value, str) and len(value) > LONGEST_QUOTE:
        value = f"{value[:LONGEST_QUOTE]}..."
    return f"{field} is {'absent' if value is None else _quote(value)}"
