"""The operator's own rules: `rules:` of the policy, and the examples that hold them to their word."""

import re
from dataclasses import dataclass

import msgspec

from app.policies.conditions import read_condition
from app.policies.nodes import Value
from app.policies.rules import RULE_KEYS, must_be_bounded, rule_of
from detectors.condition_fields import FIELDS
from detectors.conditions import All, Condition, Op, tests_of
from detectors.defaults import DEFAULTS
from detectors.event import Event
from detectors.finding import IN_EVENTS, Action, Severity
from detectors.rule import Kind, Rule
from detectors.windows import SHARED_ADDRESS

MOST_RULES = 200
MOST_EXAMPLES = 100
"""Of one rule and sort."""
MOST_EXAMPLES_IN_ALL = 2_000
MOST_REGEXES_IN_ALL = 200
"""Compiling one takes up to 20 ms, and whoever may view the policy may have one checked."""
LONGEST_TITLE = 200
MOST_REFERENCES = 20
OWN_KEYS = RULE_KEYS - {"min_volume"} | {"title", "sequence", "references", "tests"}
PARTS_OF_SEQUENCE = 2
_NAME = re.compile(r"[a-z][a-z0-9_]{2,63}")
_REFERENCE = re.compile(r"[A-Za-z][A-Za-z0-9.:/_-]{1,39}")
_EVENT_FIELDS = frozenset(Event.__struct_fields__) - {"repeat"}

EventFields = dict[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Example:
    """An event that a rule must match, or must not; see policies/tests.py."""

    rule: str
    place: str
    """Its key in the file, such as `rules.mass_export.tests.match[0]`."""
    line: int
    should_match: bool
    event: EventFields


def default_of(name: str) -> Rule:
    """What an own rule is where the policy says nothing more: its first match in a minute tells the administrators."""
    return Rule(name, 1, 60_000, (Action.ALERT_ADMIN,), Severity.MEDIUM, is_own=True)


def read_own_rules(value: Value) -> tuple[list[Rule], list[Example]]:
    """The rules of this section with their examples. Raises: ConfigError on the line of what is wrong."""
    rules: list[Rule] = []
    examples: list[Example] = []
    regexes = 0
    entries = value.entries()
    if len(entries) > MOST_RULES:
        value.fail(f"has more than {MOST_RULES} rules")
    for name, (key, member) in entries.items():
        if name in DEFAULTS:
            key.fail("is a rule of Bartizan's own; narrow that one with where, or choose another name")
        if name == SHARED_ADDRESS:
            key.fail("what is remembered of shared addresses has this name; choose another name")
        if not _NAME.fullmatch(name):
            key.fail("a name has 3 to 64 small letters, digits and underscores, and begins with a letter")
        members = member.members(OWN_KEYS)
        rules.append(_read_rule(name, member, members))
        regexes += _regexes(rules[-1])
        if "tests" in members:
            examples += _examples(name, members["tests"])
        if regexes > MOST_REGEXES_IN_ALL or len(examples) > MOST_EXAMPLES_IN_ALL:
            value.fail(
                f"has more than {MOST_REGEXES_IN_ALL} regular expressions or {MOST_EXAMPLES_IN_ALL:,} tests in all"
            )
    return rules, examples


def _regexes(rule: Rule) -> int:
    conditions = [condition for condition in (rule.where, rule.then) if condition is not None]
    return sum(len(test.values) for c in conditions for test in tests_of(c) if test.op is Op.REGEX)


def _read_rule(name: str, value: Value, members: dict[str, Value]) -> Rule:
    default = default_of(name)
    where = read_condition(members["where"]) if "where" in members else None
    then = None
    if "sequence" in members:
        first, then = _sequence(members["sequence"])
        if where is not None:
            first, then = All((where, first)), All((where, then))
        where = first
        default = msgspec.structs.replace(default, kind=Kind.SEQUENCE)
    elif where is None:
        value.fail("needs a where (or a sequence): which events count")
    field = _distinct_field(members)
    plain = {
        key: member for key, member in members.items() if key != "where" and not (key == "distinct" and field)
    }
    rule = rule_of(plain, value, default)
    if field is not None:
        if rule.kind is Kind.SEQUENCE:
            members["distinct"].fail("a sequence does not count values")
        must_be_bounded(Kind.DISTINCT, rule.threshold, members.get("threshold", value))
        rule = msgspec.structs.replace(rule, kind=Kind.DISTINCT, distinct_field=field)
    return msgspec.structs.replace(
        rule,
        where=where,
        then=then,
        title=_title(members["title"]) if "title" in members else "",
        references=_references(members["references"]) if "references" in members else (),
    )


def _sequence(value: Value) -> tuple[Condition, Condition]:
    """What must happen first, and what must follow."""
    parts = value.each() if value.is_list else []
    if len(parts) != PARTS_OF_SEQUENCE:
        value.fail(
            "must be a list of two conditions: what happens first, as often as the threshold says, and what follows"
        )
    return read_condition(parts[0]), read_condition(parts[1])


def _distinct_field(members: dict[str, Value]) -> str | None:
    """The field of the event that must differ, where it is none of the kinds of subject."""
    if "distinct" not in members:
        return None
    name = members["distinct"].text()
    kinds = {kind.value for kind in IN_EVENTS}
    members["distinct"].must_be_in(FIELDS | kinds, "field")
    return None if name in kinds else name


def _title(value: Value) -> str:
    text = value.text()
    if len(text) > LONGEST_TITLE or not text.isprintable():
        value.fail(f"must be one line of at most {LONGEST_TITLE} characters")
    return text


def _references(value: Value) -> tuple[str, ...]:
    entries = value.each()
    if len(entries) > MOST_REFERENCES:
        value.fail(f"has more than {MOST_REFERENCES} entries")
    for entry in entries:
        if not _REFERENCE.fullmatch(entry.text()):
            entry.fail(f"{entry.text()!r} is not an id such as T1190, API2:2023 or CWE-307")
    return tuple(dict.fromkeys(entry.text() for entry in entries))


def _examples(rule: str, value: Value) -> list[Example]:
    found = []
    for key, events in value.members({"match", "no_match"}).items():
        if events.is_null:
            continue
        if not events.is_list:
            events.fail("must be a list of events: [{path: /api/export/1, status: 200}]")
        entries = events.each()
        if len(entries) > MOST_EXAMPLES:
            events.fail(f"has more than {MOST_EXAMPLES} events")
        for entry in entries:
            fields = {name: field.scalar() for name, field in entry.members(_EVENT_FIELDS).items()}
            if not fields:
                entry.fail("needs at least one field, such as path: /login")
            found.append(Example(rule, entry.path, entry.line, key == "match", fields))
    return found
