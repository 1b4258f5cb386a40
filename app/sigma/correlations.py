"""Sigma correlations: which windows of ours count what they ask for.

Source: Sigma Correlation Rules Specification 2.1.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.durations import UNITS_MS
from app.policies.rules import LONGEST_WINDOW_MS, MAX_THRESHOLD, MOST_BY_KIND, SHORTEST_WINDOW_MS
from app.sigma.fields import FIELDS, GROUPS
from app.sigma.logic import any_of
from app.sigma.refusal import Refused, shown
from detectors.conditions import Condition
from detectors.finding import SubjectKind
from detectors.rule import Kind

TYPES = ("event_count", "value_count", "temporal")
_TYPES_NOT_TAKEN = {
    "temporal_ordered": "the order of the rules is not watched; a sequence of the policy's rules does that",
    "value_sum": "Bartizan counts events and different values, it does not add values up",
    "value_avg": "Bartizan counts events and different values, it has no averages",
    "value_percentile": "Bartizan counts events and different values, it has no percentiles",
}
_LIMITS_NOT_TAKEN = ("lt", "lte", "eq", "neq")
_TIMESPAN = re.compile(r"([0-9]{1,6})([smhd])")
MOST_RULES = 100
"""Of one correlation."""


@dataclass(frozen=True, slots=True)
class BaseRule:
    """A rule that a correlation refers to."""

    name: str
    """Its name of ours."""
    where: Condition
    keys: tuple[str, ...]
    """What it may be referred to by: its id, its name."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """What a correlation counts, whom for, and how many."""

    rules: tuple[BaseRule, ...]
    kind: Kind
    where: Condition
    threshold: int
    window_ms: int
    group_by: tuple[SubjectKind, ...]
    distinct: SubjectKind | None = None
    distinct_field: str | None = None
    parts: tuple[tuple[str, Condition], ...] = ()
    """For `temporal`: the name of each rule and when it is met; the different names are counted."""


def read_correlation(section: Any, find: Callable[[str], BaseRule]) -> Correlation:
    """What a `correlation` asks for. `find` answers a rule by id or name. Raises: Refused, also from `find`."""
    if not isinstance(section, dict):
        raise Refused("correlation is not a mapping")
    kind = section.get("type")
    if not isinstance(kind, str):
        raise Refused("correlation has no type")
    if kind in _TYPES_NOT_TAKEN:
        raise Refused(f"correlation type {kind}: {_TYPES_NOT_TAKEN[kind]}")
    if kind not in TYPES:
        raise Refused(f"correlation type {shown(kind)} is none of {', '.join(TYPES)}")
    rules = _rules(section, find)
    where = any_of([rule.where for rule in rules])
    window_ms = _timespan(section.get("timespan"))
    group_by = _group_by(section, rules)
    condition = section.get("condition")
    if kind == "event_count":
        return Correlation(rules, Kind.COUNT, where, _threshold(condition), window_ms, group_by)
    if kind == "value_count":
        distinct, field = _counted_field(condition, group_by)
        if _threshold(condition) > MOST_BY_KIND[Kind.DISTINCT]:
            raise Refused(
                f"value_count of more than {MOST_BY_KIND[Kind.DISTINCT]} is more than a window holds"
            )
        return Correlation(
            rules, Kind.DISTINCT, where, _threshold(condition), window_ms, group_by, distinct, field
        )
    threshold = len(rules) if condition is None else _threshold(condition)
    if threshold > len(rules):
        raise Refused(f"it asks for {threshold} different rules of {len(rules)}")
    parts = tuple((rule.name, rule.where) for rule in rules)
    return Correlation(rules, Kind.DISTINCT, where, threshold, window_ms, group_by, parts=parts)


def referred(section: Any) -> Sequence[str]:
    """The ids and names that a correlation names, whatever else may be wrong with it."""
    rules = section.get("rules") if isinstance(section, dict) else None
    rules = rules if isinstance(rules, list) else [rules]
    return [rule for rule in rules[:MOST_RULES] if isinstance(rule, str)]


def _rules(section: Mapping[Any, Any], find: Callable[[str], BaseRule]) -> tuple[BaseRule, ...]:
    named = section.get("rules")
    named = named if isinstance(named, list) else [named]
    if not named or len(named) > MOST_RULES or not all(isinstance(name, str) for name in named):
        raise Refused(f"correlation needs 1 to {MOST_RULES} rules by id or name")
    return tuple({rule.name: rule for rule in map(find, named)}.values())


def _timespan(value: Any) -> int:
    found = _TIMESPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Refused(f"timespan {shown(value)} is not a number with s, m, h or d, such as 10m")
    window_ms = int(found[1]) * UNITS_MS[found[2]]
    if not SHORTEST_WINDOW_MS <= window_ms <= LONGEST_WINDOW_MS:
        raise Refused(f"timespan {value} is not between 1s and 30d")
    return window_ms


def _group_by(section: Mapping[Any, Any], rules: Sequence[BaseRule]) -> tuple[SubjectKind, ...]:
    """Whom it counts for; an address comes first, since only that can be blocked."""
    names = section.get("group-by")
    names = names if isinstance(names, list) else [names]
    if not names or names == [None]:
        raise Refused("it has no group-by, and Bartizan counts for an ip, user, key or host")
    aliases = section.get("aliases") or {}
    kinds = dict.fromkeys(_kind(name, aliases, rules) for name in names)
    return tuple(sorted(kinds, key=lambda kind: kind is not SubjectKind.IP))


def _kind(name: Any, aliases: Any, rules: Sequence[BaseRule]) -> SubjectKind:
    alias = aliases.get(name) if isinstance(aliases, dict) and isinstance(name, str) else None
    if alias is not None:
        kinds = {_alias_kind(name, alias, rule) for rule in rules}
        if len(kinds) > 1:
            raise Refused(f"alias {shown(name)} means different things in different rules")
        return kinds.pop()
    kind = GROUPS.get(name.lower()) if isinstance(name, str) else None
    if kind is None:
        raise Refused(f"group-by {shown(name)}: Bartizan counts for an ip, user, key or host")
    return kind


def _alias_kind(name: str, alias: Any, rule: BaseRule) -> SubjectKind:
    fields = [alias[key] for key in rule.keys if key in alias] if isinstance(alias, dict) else []
    if not fields:
        raise Refused(f"alias {shown(name)} names no field for each of the rules")
    return _kind(fields[0], {}, ())


def _threshold(condition: Any) -> int:
    if not isinstance(condition, dict):
        raise Refused("condition is not a limit such as gte: 10")
    for limit in _LIMITS_NOT_TAKEN:
        if limit in condition:
            raise Refused(f"condition {limit}: what stays below a limit is known only once its time is over")
    found = [(limit, condition[limit]) for limit in ("gte", "gt") if limit in condition]
    unknown = [key for key in condition if key not in ("gte", "gt", "field")]
    if len(found) != 1 or unknown:
        raise Refused("condition needs gte or gt, one of them, and nothing that Sigma does not know")
    limit, number = found[0]
    if type(number) is not int or not 1 <= number + (limit == "gt") <= MAX_THRESHOLD:
        raise Refused(f"condition {limit}: {shown(number)} is not a number from 1 to {MAX_THRESHOLD:,}")
    return number + (limit == "gt")


def _counted_field(
    condition: Any, group_by: tuple[SubjectKind, ...]
) -> tuple[SubjectKind | None, str | None]:
    """What must differ: a kind of subject where it is one, else a field of the event."""
    name = condition.get("field") if isinstance(condition, dict) else None
    if not isinstance(name, str):
        raise Refused("value_count needs one field in its condition")
    kind, meaning = GROUPS.get(name.lower()), FIELDS.get(name.lower())
    if kind is not None:
        if kind in group_by:
            raise Refused(f"field {shown(name)} is what it is grouped by, and each has only one")
        return kind, None
    if meaning is None:
        raise Refused(f"field {shown(name)}: the events have no such field")
    return None, meaning.needed or meaning.fields[0]
