"""A condition as a predicate: closures built once, called for every event that a rule looks at."""

import operator
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any as Anything

import re2

from detectors.addresses import Networks, parse_address
from detectors.condition_fields import NUMBERS, Read, fold, reader_of
from detectors.conditions import All, Any, Condition, Not, Op, Test
from detectors.errors import ConfigError
from detectors.event import Event

Matcher = Callable[[Event, bytes], bool]
Value = str | int | float | bool

LONGEST_REGEX_TEXT = 4_096
"""Characters of a field that a regex reads."""
LARGEST_PROGRAM_BYTES = 1 << 20
"""Of one regex, with the states that it makes while it reads."""
REGEXES_KEPT = 512
"""Compiled ones: a policy is read, tested and put in force one after the other."""
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,9})?")
_BETTER = {Op.GT: min, Op.GTE: min, Op.LT: max, Op.LTE: max}
"""Of several limits, the one that is the easiest to meet."""
_COMPARE = {Op.GT: operator.gt, Op.GTE: operator.ge, Op.LT: operator.lt, Op.LTE: operator.le}


def matcher_of(condition: Condition, trusted: Networks | None = None) -> Matcher:
    """Whether an event with its record meets the condition.

    A field that is absent compares to nothing, so every comparison with it is false, and its `not` is true. Texts
    are compared without regard to case; a regex is taken as it is written. `trusted`: the proxies behind which the
    field `ip` finds the client.
    Raises: ConfigError for an unknown field, a pattern that does not compile, a value that is no network.
    """
    match condition:
        case Test():
            return _test(condition, trusted)
        case Not(part):
            inner = matcher_of(part, trusted)
            return lambda event, record: not inner(event, record)
        case All(parts):
            return _all([matcher_of(part, trusted) for part in parts])
        case Any(parts):
            return _any([matcher_of(part, trusted) for part in parts])


def _all(matchers: list[Matcher]) -> Matcher:
    if len(matchers) == 1:
        return matchers[0]
    if len(matchers) == 2:
        first, second = matchers
        return lambda event, record: first(event, record) and second(event, record)

    def every(event: Event, record: bytes) -> bool:
        for matches in matchers:  # noqa: SIM110 - a loop takes half the time of all()
            if not matches(event, record):
                return False
        return True

    return every


def _any(matchers: list[Matcher]) -> Matcher:
    if len(matchers) == 1:
        return matchers[0]

    def some(event: Event, record: bytes) -> bool:
        for matches in matchers:  # noqa: SIM110 - a loop takes half the time of any()
            if matches(event, record):
                return True
        return False

    return some


def _test(test: Test, trusted: Networks | None) -> Matcher:
    read = reader_of(test.field, trusted)
    if test.op is Op.EXISTS:
        wanted = frozenset(test.values)
        return lambda event, record: (read(event, record) is not None) in wanted
    if test.op in _COMPARE:
        return _compare(read, test) if test.field in NUMBERS else _never
    if test.op is Op.CIDR:
        return _within(read, test)
    if test.op is Op.EQUALS and test.field in NUMBERS:
        numbers = frozenset(_numbers(test.values))
        return lambda event, record: read(event, record) in numbers
    if test.field in NUMBERS:
        read = _as_text(read)
    return _regex(read, test) if test.op is Op.REGEX else _text(read, test)


def _text(read: Read, test: Test) -> Matcher:
    texts = tuple(fold(str(value)) for value in test.values)
    if test.op is Op.EQUALS:
        same = frozenset(parse_address(t) or t for t in texts) if test.field == "ip" else frozenset(texts)

        def equals(event: Event, record: bytes) -> bool:
            text = read(event, record)
            return type(text) is str and fold(text) in same

        return equals
    if test.op is Op.CONTAINS:

        def contains(event: Event, record: bytes) -> bool:
            text = read(event, record)
            if type(text) is not str:
                return False
            text = fold(text)
            for part in texts:  # noqa: SIM110 - a loop takes half the time of any()
                if part in text:
                    return True
            return False

        return contains

    method = str.startswith if test.op is Op.STARTS else str.endswith

    def at_end(event: Event, record: bytes) -> bool:
        text = read(event, record)
        return type(text) is str and method(fold(text), texts)

    return at_end


def _compare(read: Read, test: Test) -> Matcher:
    numbers = list(_numbers(test.values))
    if not numbers:
        return _never
    limit, compare = _BETTER[test.op](numbers), _COMPARE[test.op]

    def within(event: Event, record: bytes) -> bool:
        number = read(event, record)
        return number is not None and bool(compare(number, limit))

    return within


def _within(read: Read, test: Test) -> Matcher:
    networks = Networks(str(value) for value in test.values)

    def covered(event: Event, record: bytes) -> bool:
        address = parse_address(read(event, record))
        return address is not None and networks.covering(address) is not None

    return covered


def _regex(read: Read, test: Test) -> Matcher:
    patterns = [compile_regex(str(value)) for value in test.values]

    def found(event: Event, record: bytes) -> bool:
        text = read(event, record)
        if type(text) is not str:
            return False
        raw = text[:LONGEST_REGEX_TEXT].encode("utf-8", "replace")
        return any(pattern.search(raw) is not None for pattern in patterns)

    return found


@lru_cache(REGEXES_KEPT)
def compile_regex(pattern: str) -> Anything:
    """The RE2 program of a pattern, which reads bytes. Raises: ConfigError in words for people."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = LARGEST_PROGRAM_BYTES
    try:
        return re2.compile(pattern.encode("utf-8", "replace"), options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        words = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ConfigError(f"{pattern!r} is not a regular expression of RE2: {words}") from None


def _numbers(values: Iterable[Value]) -> Iterable[int | float]:
    """The values that are numbers, also where they are written as text; a truth value is none."""
    for value in values:
        if isinstance(value, str):
            if _NUMBER.fullmatch(value):
                yield float(value)
        elif not isinstance(value, bool):
            yield value


def _as_text(read: Read) -> Read:
    def text(event: Event, record: bytes) -> str | None:
        number = read(event, record)
        return None if number is None else str(number)

    return text


def _never(_event: Event, _record: bytes) -> bool:
    return False
