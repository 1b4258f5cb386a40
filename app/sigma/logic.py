"""Joining conditions: nothing nested that need not be, and one comparison with many values instead of many."""

from collections.abc import Iterable

from detectors.conditions import All, Any, Condition, Not, Op, Test


def any_of(parts: Iterable[Condition]) -> Condition:
    """True where one of the parts is; at least one must be given."""
    tests: dict[tuple[str, Op], list[str | int | float | bool]] = {}
    others: list[Condition] = []
    for part in _flat(parts, Any):
        if isinstance(part, Test):
            tests.setdefault((part.field, part.op), []).extend(part.values)
        else:
            others.append(part)
    joined: list[Condition] = [
        Test(field, op, tuple(dict.fromkeys(values))) for (field, op), values in tests.items()
    ]
    joined += others
    return joined[0] if len(joined) == 1 else Any(tuple(joined))


def all_of(parts: Iterable[Condition]) -> Condition:
    """True where every part is; at least one must be given."""
    found = _flat(parts, All)
    return found[0] if len(found) == 1 else All(tuple(found))


def exists(field: str) -> Condition:
    """True where the event has the field."""
    return Test(field, Op.EXISTS, (True,))


def none_of(part: Condition) -> Condition:
    """True where the part is not."""
    return part.part if isinstance(part, Not) else Not(part)


def _flat(parts: Iterable[Condition], kind: type[All] | type[Any]) -> list[Condition]:
    found: list[Condition] = []
    for part in parts:
        if isinstance(part, kind):
            found.extend(part.parts)
        else:
            found.append(part)
    return found
