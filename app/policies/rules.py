"""One rule of the policy: the operator's keys over the rule's defaults, checked against each other."""

import msgspec

from app.durations import parse_duration, parse_latency, parse_rate
from app.policies.conditions import read_condition
from app.policies.nodes import Value
from detectors.conditions import Condition
from detectors.defaults import DEFAULTS
from detectors.finding import Action, DecisionType, Mode, Severity, SubjectKind
from detectors.rule import Kind, Rule

RULE_KEYS = frozenset(
    {
        *("threshold", "action", "group_by", "distinct", "severity", "mode"),
        *("duration", "max_duration", "window", "min_volume", "percentile", "where", "type"),
    }
)
MAX_THRESHOLD = 10_000
MOST_BY_KIND = {Kind.DISTINCT: 500, Kind.SCORE: 50}
"""What these kinds cost Redis for one event grows with the threshold: at these, 10,000 events about one subject keep it
busy for about a second."""
SHORTEST_WINDOW_MS = 1000
LONGEST_WINDOW_MS = 30 * 86_400_000
OWN_SUBJECTS = frozenset({Kind.SEQUENCE, Kind.TRAVEL, Kind.RATIO, Kind.PERCENTILE, Kind.WATCH})
"""Kinds of built-in rules that mean nothing by another subject."""
OF_BATCHES = frozenset({Kind.RATIO, Kind.PERCENTILE})
"""Kinds that add up whole batches, whatever the single event is like."""
HEALTH_RULE = "health_check_failure"


def read_rule(value: Value, default: Rule) -> Rule:
    """The rule as the operator wants it. Raises: ConfigError on the line of the key that is wrong."""
    return rule_of(value.members(RULE_KEYS), value, default)


def rule_of(members: dict[str, Value], value: Value, default: Rule) -> Rule:
    """The rule that these keys make of the default; `value` is where all of them stand. Raises: ConfigError."""
    threshold, window_ms, kind = _threshold(members, default)
    actions = members["action"].choices(Action) if "action" in members else default.actions
    group_by = members["group_by"].choices(SubjectKind) if "group_by" in members else default.group_by
    distinct = members["distinct"].choice(SubjectKind) if "distinct" in members else default.distinct
    _must_be_in_events(members)
    if "group_by" in members and default.kind in OWN_SUBJECTS and not default.is_own:
        members["group_by"].fail(f"{default.name} follows {by_default(default)} and nobody else")
    if distinct is not None and "distinct" in members:
        if kind not in (Kind.COUNT, Kind.DISTINCT):
            members["distinct"].fail(f"{default.name} does not count values")
        if distinct in group_by:
            members["distinct"].fail(f"{distinct.value} is what it is grouped by; one subject has only one")
        kind = Kind.DISTINCT
    must_be_bounded(kind, threshold, members.get("threshold", value))
    if Action.BLOCK_IP in actions and group_by[0] is not SubjectKind.IP:
        where = members.get("action") or members.get("group_by") or value
        if kind is Kind.WATCH:
            where.fail(f"block_ip blocks addresses, and {default.name} is about who sends the logs")
        where.fail(
            f"block_ip blocks addresses, but this rule counts by {group_by[0].value}; add group_by: ip"
        )
    duration_ms, max_duration_ms = _durations(members, default)
    return msgspec.structs.replace(
        default,
        threshold=threshold,
        window_ms=window_ms,
        kind=kind,
        actions=actions,
        group_by=group_by,
        distinct=distinct,
        severity=members["severity"].choice(Severity) if "severity" in members else default.severity,
        severity_stated="severity" in members,
        mode=members["mode"].choice(Mode) if "mode" in members else default.mode,
        min_volume=_min_volume(members, default),
        percentile=_percentile(members, default),
        block_type=_block_type(members, actions, default),
        duration_ms=duration_ms,
        max_duration_ms=max_duration_ms,
        where=_where(members["where"], default) if "where" in members else default.where,
    )


def _block_type(members: dict[str, Value], actions: tuple[Action, ...], default: Rule) -> DecisionType:
    if "type" not in members:
        return default.block_type
    if Action.BLOCK_IP not in actions:
        members["type"].fail("says what block_ip does, which is none of this rule's actions")
    return members["type"].choice(DecisionType)


def _must_be_in_events(members: dict[str, Value]) -> None:
    """Refuses to count by what no event names. Raises: ConfigError."""
    for key in ("group_by", "distinct"):
        if key in members and any(one.text() == SubjectKind.SOURCE for one in members[key].each()):
            members[key].fail("no event names the source that it came from; count by ip, user, key or host")


def must_be_bounded(kind: Kind, threshold: int, where: Value) -> None:
    """Refuses a threshold that this kind of window cannot bear. Raises: ConfigError."""
    most = MOST_BY_KIND.get(kind, MAX_THRESHOLD)
    if kind is not Kind.PERCENTILE and threshold > most:
        what = "different values" if kind is Kind.DISTINCT else "points"
        where.fail(f"{threshold:,} {what} are more than {most}, the most that a window holds")


def by_default(rule: Rule) -> str:
    """Whom a rule counts for, in words: `ip`, `ip and user`."""
    return " and ".join(kind.value for kind in rule.group_by)


def _where(value: Value, default: Rule) -> Condition:
    if default.kind is Kind.WATCH:
        value.fail(f"{default.name} looks at no events")
    if default.kind in OF_BATCHES:
        value.fail(
            f"{default.name} looks at all events of a host; a rule of your own under rules: may say where"
        )
    return read_condition(value)


def _threshold(members: dict[str, Value], default: Rule) -> tuple[int, int, Kind]:
    threshold, window_ms = default.threshold, default.window_ms
    if "threshold" in members:
        value = members["threshold"]
        if default.kind is Kind.TRAVEL:
            value.fail(f"{default.name} has no threshold: it compares two logins")
        if default.kind is Kind.RATIO:
            threshold, window = _percentage(value), None
        elif default.kind is Kind.PERCENTILE:
            threshold, window = value.parse(parse_latency), None
        else:
            if "%" in value.text():
                value.fail(f"{default.name} counts events; write 10/minute, 5/30s or 3")
            threshold, window = value.parse(parse_rate)
            if not 1 <= threshold <= MAX_THRESHOLD:
                value.fail(f"{threshold} is not between 1 and {MAX_THRESHOLD:,}")
        if window is not None:
            if "window" in members:
                members["window"].fail("the threshold names a window already")
            window_ms = _window(value, window)
    if "window" in members:
        window_ms = _window(members["window"], members["window"].parse(parse_duration))
    return threshold, window_ms, default.kind


def _percentage(value: Value) -> int:
    number = value.text().removesuffix("%").strip()
    if not value.text().endswith("%") or not number.isdecimal() or not 1 <= int(number) <= 100:
        value.fail(f"{value.text()!r} is not a whole percentage between 1% and 100%")
    return int(number)


def _window(value: Value, window_ms: int) -> int:
    if not SHORTEST_WINDOW_MS <= window_ms <= LONGEST_WINDOW_MS:
        value.fail("a window is 1s to 30d long")
    return window_ms


def _min_volume(members: dict[str, Value], default: Rule) -> int:
    if "min_volume" not in members:
        return default.min_volume
    if default.kind not in OF_BATCHES:
        members["min_volume"].fail("only a percentage has a minimum volume")
    return members["min_volume"].integer(1, 1_000_000_000)


def _percentile(members: dict[str, Value], default: Rule) -> int:
    if "percentile" not in members:
        return default.percentile
    if default.kind is not Kind.PERCENTILE:
        members["percentile"].fail("only slow_responses has a percentile")
    return members["percentile"].integer(1, 99)


def _durations(members: dict[str, Value], default: Rule) -> tuple[int, int]:
    duration_ms, max_duration_ms = default.duration_ms, default.max_duration_ms
    if "duration" in members:
        duration_ms = members["duration"].parse(parse_duration)
        max_duration_ms = max(max_duration_ms, duration_ms)
    if "max_duration" in members:
        max_duration_ms = members["max_duration"].parse(parse_duration)
        if max_duration_ms < duration_ms:
            members["max_duration"].fail("is shorter than the duration")
    return duration_ms, max_duration_ms


def with_alert_threshold(rules: dict[str, Rule], top: dict[str, Value], threshold: int | None) -> None:
    """Turn the health rule on, at this threshold, where health_check asks for alerts.

    A rule that stands in incident_detection with a threshold of its own keeps it.
    """
    if threshold is None:
        return
    rule = rules.get(HEALTH_RULE, DEFAULTS[HEALTH_RULE])
    section = top.get("incident_detection")
    stated = section.members(DEFAULTS).get(HEALTH_RULE) if section else None
    if stated is None or "threshold" not in stated.members(RULE_KEYS):
        rules[HEALTH_RULE] = msgspec.structs.replace(rule, threshold=threshold)
