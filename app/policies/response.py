"""How fast people answer, whom an incident escalates to, the checklists: these keys of the policy."""

from collections.abc import Collection
from itertools import pairwise

import msgspec

from actions.incidents.changes import slug
from actions.incidents.response_plan import (
    DEFAULT_CHECKLISTS,
    DEFAULT_GRADES,
    DEFAULT_LEVELS,
    HOUR_MS,
    Campaign,
    Grade,
    Level,
    ResponsePlan,
)
from app.durations import parse_duration
from app.policies.nodes import Value
from detectors.finding import Priority, Severity

RESPONSE_KEYS = ("priorities", "escalation", "checklists", "campaigns", "auto_resolve")
IMMEDIATE = "immediate"
MOST_LEVELS = 9
MOST_CHECKS = 50
LONGEST_MS = 30 * 24 * HOUR_MS


def read_response_plan(top: dict[str, Value], rules: Collection[str]) -> ResponsePlan:
    """The plan that these keys of a policy make of the default. Raises: ConfigError on the line that is wrong."""
    plan = ResponsePlan()
    if "priorities" in top:
        plan = msgspec.structs.replace(plan, grades=_grades(top["priorities"]))
    if "escalation" in top:
        plan = msgspec.structs.replace(plan, levels=_levels(top["escalation"]))
    if "checklists" in top:
        plan = msgspec.structs.replace(plan, checklists=_checklists(top["checklists"]))
    if "campaigns" in top:
        plan = msgspec.structs.replace(plan, campaign=_campaign(top["campaigns"]))
    if "auto_resolve" in top:
        plan = msgspec.structs.replace(plan, quiet_ms=_quiet(top["auto_resolve"], rules))
    return plan


def _grades(value: Value) -> tuple[Grade, ...]:
    """`P0: {severity: critical, response: 15m, escalation: immediate, name: Critical, means: ...}`."""
    known = {grade.priority.value: grade for grade in DEFAULT_GRADES}
    found = dict(known)
    for name, entry in value.members(known).items():
        found[name] = _grade(entry, known[name])
    severities = [grade.severity for grade in found.values()]
    for severity in Severity:
        if severities.count(severity) != 1:
            value.fail(f"{severity} must be the severity of exactly one priority")
    return tuple(found[priority.value] for priority in Priority)


def _grade(value: Value, default: Grade) -> Grade:
    members = value.members({"severity", "response", "escalation", "name", "means"})
    escalation_ms = default.escalation_ms
    if "escalation" in members:
        text = members["escalation"].text()
        escalation_ms = 0 if text.lower() == IMMEDIATE else _duration(members["escalation"])
    return Grade(
        default.priority,
        members["severity"].choice(Severity) if "severity" in members else default.severity,
        _duration(members["response"]) if "response" in members else default.response_ms,
        escalation_ms,
        members["name"].text() if "name" in members else default.name,
        members["means"].text() if "means" in members else default.means,
    )


def _levels(value: Value) -> tuple[Level, ...]:
    """`1: {name: On-call engineer, after: 15m, channels: [pagerduty]}`; all levels, or those that differ."""
    numbers = {str(number) for number in range(1, MOST_LEVELS + 1)}
    known = {str(level.number): level for level in DEFAULT_LEVELS}
    members = value.members(numbers)
    found = {}
    for number in sorted({*known, *members}):
        if number not in members:
            found[number] = known[number]
            continue
        if members[number].is_null:
            members[number].fail("needs name, after or channels")
        found[number] = _level(int(number), members[number], known.get(number))
    levels = [found[number] for number in sorted(found, key=int)]
    if [level.number for level in levels] != list(range(1, len(levels) + 1)):
        value.fail(f"levels must follow each other: there is no level {len(levels)}")
    for before, after in pairwise(levels):
        if after.after_ms <= before.after_ms:
            where = members.get(str(after.number)) or members.get(str(before.number)) or value
            where.fail(f"level {after.number} must be told later than level {before.number}")
    return tuple(levels)


def _level(number: int, value: Value, default: Level | None) -> Level:
    members = value.members({"name", "after", "channels"})
    if default is None and not {"name", "after"} <= set(members):
        value.fail(f"level {number} needs name and after")
    default = default or Level(number, "", 0)
    return Level(
        number,
        members["name"].text() if "name" in members else default.name,
        _duration(members["after"]) if "after" in members else default.after_ms,
        tuple(entry.text() for entry in members["channels"].each()) if "channels" in members else (),
    )


def _checklists(value: Value) -> dict[str, tuple[str, ...]]:
    """`initial_response: [...]`, `resolution: [...]`."""
    members = value.members(DEFAULT_CHECKLISTS)
    found = dict(DEFAULT_CHECKLISTS)
    ids: set[str] = set()
    for phase, entry in members.items():
        found[phase] = tuple(item.text() for item in entry.each())
        if len(found[phase]) > MOST_CHECKS:
            entry.fail(f"more than {MOST_CHECKS} lines")
    for phase, lines in found.items():
        for line in lines:
            if not slug(line) or slug(line) in ids:
                members.get(phase, value).fail(f"{line!r} stands here a second time, or has no letters")
            ids.add(slug(line))
    return found


def _campaign(value: Value) -> Campaign:
    """`campaigns: {subjects: 10, window: 5m}`."""
    members = value.members({"subjects", "window"})
    default = Campaign()
    return Campaign(
        members["subjects"].integer(2, 100) if "subjects" in members else default.subjects,
        _duration(members["window"], 10 * 60_000) if "window" in members else default.window_ms,
    )


def _quiet(value: Value, rules: Collection[str]) -> dict[str, int]:
    """`auto_resolve: {rate_limit_violations: 2h}`."""
    return {name: _duration(entry) for name, entry in value.members(rules).items()}


def _duration(value: Value, longest_ms: int = LONGEST_MS) -> int:
    duration_ms = value.parse(parse_duration)
    if not 1000 <= duration_ms <= longest_ms:
        value.fail(f"must be between 1s and {longest_ms // 60_000} minutes")
    return duration_ms
