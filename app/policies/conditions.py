"""A rule's `where`: the operator's mapping of fields to conditions as a tree. docs/policy.md explains the language.

where: {path: {starts: /api/export}, status: 200, not: {ip: {cidr: [192.0.2.0/24]}}}
"""

from collections.abc import Callable
from ipaddress import ip_network
from typing import get_args

from app.policies.nodes import Value
from detectors.addresses import parse_address
from detectors.condition_fields import ADDRESSES, FIELDS, NUMBERS
from detectors.condition_matching import compile_regex
from detectors.conditions import All, Any, Condition, Not, Op, Test
from detectors.errors import ConfigError
from detectors.event import Category, Outcome

DEEPEST = 8
"""Levels of `any`, `all` and `not` within each other."""
MOST_TESTS = 128
"""Comparisons of one condition."""
MOST_VALUES = 256
"""Values of one comparison."""
MOST_VALUES_IN_ALL = 2_048
"""Of one condition."""
MOST_REGEXES = 32
"""Of one condition."""
LONGEST_TEXT = 512
LARGEST_NUMBER = 10**15
_JOINTS = ("any", "all", "not")
_IN = "in"
"""Another word for `equals`, for those who write a list."""
_OPS = frozenset(op.value for op in Op)
_NUMBER_OPS = frozenset({Op.GT, Op.GTE, Op.LT, Op.LTE})
_CLOSED: dict[str, tuple[str, ...]] = {"outcome": get_args(Outcome), "category": get_args(Category)}


def read_condition(value: Value) -> Condition:
    """The condition of one `where`. Raises: ConfigError on the line of the key that is wrong."""
    return _Reader(value).block(value, 1)


class _Reader:
    """Reads one `where`, and counts what it makes of it: an alias in the file may stand for ever more."""

    def __init__(self, whole: Value) -> None:
        self._whole = whole
        self._tests = self._values = self._regexes = 0

    def block(self, value: Value, depth: int) -> Condition:
        """Fields and their conditions, all of which must hold."""
        if depth > DEEPEST:
            self._whole.fail(f"is nested deeper than {DEEPEST} levels")
        entries = value.entries()
        if not entries:
            value.fail("needs at least one condition, such as status: 401")
        parts: list[Condition] = []
        for name, (key, member) in entries.items():
            if name in _JOINTS:
                parts.append(self._joint(name, member, depth + 1))
            else:
                key.must_be_in(FIELDS | set(_JOINTS), "field")
                parts.append(self._field(name, member, depth + 1))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _joint(self, name: str, value: Value, depth: int) -> Condition:
        if name == "not" and value.is_mapping:
            return Not(self.block(value, depth))
        if not value.is_list:
            value.fail(f"must be a list of conditions: {name}: [{{status: 401}}, {{status: 403}}]")
        parts = tuple(self.block(part, depth) for part in value.each())
        if not parts:
            value.fail("needs at least one condition")
        return All(parts) if name == "all" else Any(parts) if name == "any" else Not(Any(parts))

    def _field(self, field: str, value: Value, depth: int) -> Condition:
        """A value or a list of them is `equals`; a mapping names how to compare, and all of it must hold."""
        if depth > DEEPEST:
            self._whole.fail(f"is nested deeper than {DEEPEST} levels")
        if not value.is_mapping:
            return self._test(field, Op.EQUALS, value)
        parts: list[Condition] = []
        for name, (key, member) in value.entries().items():
            if name == "not":
                parts.append(Not(self._field(field, member, depth + 1)))
            else:
                key.must_be_in(_OPS | {_IN, "not"}, "comparison")
                op = Op.EQUALS if name == _IN else Op(name)
                _must_fit(field, op, key)
                parts.append(self._test(field, op, member))
        if not parts:
            value.fail("needs a comparison, such as contains: export")
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _test(self, field: str, op: Op, value: Value) -> Test:
        if value.is_null:
            value.fail("needs a value; where the field must be missing, write exists: false")
        entries = value.each()
        self._count(op, len(entries))
        if not entries:
            value.fail("needs at least one value")
        if len(entries) > MOST_VALUES:
            value.fail(f"has more than {MOST_VALUES} values")
        if op is Op.EXISTS and (value.is_list or value.is_mapping):
            value.fail("must be true or false")
        read = _reader_for(field, op)
        return Test(field, op, tuple(read(entry) for entry in entries))

    def _count(self, op: Op, values: int) -> None:
        self._tests += 1
        self._values += values
        self._regexes += values if op is Op.REGEX else 0
        for what, count, most in (
            ("comparisons", self._tests, MOST_TESTS),
            ("values", self._values, MOST_VALUES_IN_ALL),
            ("regular expressions", self._regexes, MOST_REGEXES),
        ):
            if count > most:
                self._whole.fail(f"has more than {most:,} {what}")


def _must_fit(field: str, op: Op, key: Value) -> None:
    """Raises: ConfigError where this comparison can never hold for this field."""
    if op in _NUMBER_OPS and field not in NUMBERS:
        key.fail(f"{field} is no number; {op} compares {', '.join(sorted(NUMBERS))}")
    if op is Op.CIDR and field not in ADDRESSES:
        key.fail(f"{field} is no address; cidr compares {', '.join(sorted(ADDRESSES))}")


def _reader_for(field: str, op: Op) -> Callable[[Value], str | int | float | bool]:
    if op is Op.EXISTS:
        return Value.boolean
    if op is Op.CIDR:
        return lambda value: value.parse(lambda text: str(ip_network(text, strict=False)))
    if op is Op.REGEX:
        return _regex
    if op in _NUMBER_OPS or (op is Op.EQUALS and field in NUMBERS):
        return _status if field == "status" else _number
    if op is Op.EQUALS and field == "ip":
        return _address
    if op is Op.EQUALS and field in _CLOSED:
        return lambda value: _member(value, _CLOSED[field])
    return _text


def _text(value: Value) -> str:
    text = value.verbatim()
    if len(text) > LONGEST_TEXT:
        value.fail(f"is longer than {LONGEST_TEXT} characters")
    return text


def _regex(value: Value) -> str:
    text = _text(value)
    try:
        compile_regex(text)
    except ConfigError as error:
        value.fail(str(error))
    return text


def _number(value: Value) -> int | float:
    number = value.scalar()
    if isinstance(number, str | bool) or abs(number) > LARGEST_NUMBER:
        value.fail(f"{value.verbatim()!r} is not a number")
    return number


def _status(value: Value) -> int | float:
    number = _number(value)
    if not isinstance(number, int) or not 100 <= number <= 600:
        value.fail(f"{value.verbatim()!r} is not an HTTP status, which is between 100 and 599")
    return number


def _address(value: Value) -> str:
    address = parse_address(value.text())
    if address is None:
        value.fail(f"{value.text()!r} is not an address; for a network write ip: {{cidr: ...}}")
    return address


def _member(value: Value, known: tuple[str, ...]) -> str:
    text = value.text()
    if text not in known:
        value.fail(f"unknown {text!r}; choose from {', '.join(known)}")
    return text
