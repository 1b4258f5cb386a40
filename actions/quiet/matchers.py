"""Which messages a silence or a maintenance window means: conditions on what a message is about."""

import enum
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

import msgspec

from actions.delivery.message import Message
from actions.quiet.area import Area, area_of
from detectors.finding import Priority, Severity

MOST_MATCHERS = 20
MOST_VALUES = 100
LONGEST_VALUE = 300
"""Characters; a subject is no longer."""


class MatchField(enum.StrEnum):
    """What of a message is compared."""

    RULE = "rule"
    SUBJECT = "subject"
    SEVERITY = "severity"
    PRIORITY = "priority"
    HOST = "host"
    """The subject of a rule that counts by host; a message of another rule has none."""
    AREA = "area"


_CHOICES: dict[MatchField, tuple[str, ...]] = {
    MatchField.SEVERITY: tuple(Severity),
    MatchField.PRIORITY: tuple(Priority),
    MatchField.AREA: tuple(Area),
}
"""Fields that have no other values than these."""


class Matcher(msgspec.Struct, frozen=True, kw_only=True):
    """Holds where the field equals one of the values, or with `glob` fits one of the patterns."""

    field: MatchField
    values: tuple[str, ...]
    glob: bool = False
    """Values are patterns: `*` any text, `?` one character, `[ab]` one of these. Case counts."""


def check_matchers(matchers: Sequence[Matcher]) -> None:
    """Raises: ValueError, naming the field, for a matcher that can never hold or is out of bounds."""
    if len(matchers) > MOST_MATCHERS:
        raise ValueError(f"matchers: more than {MOST_MATCHERS}")
    for matcher in matchers:
        _check(matcher)


def _check(matcher: Matcher) -> None:
    name = f"matchers: {matcher.field.value}"
    if not 1 <= len(matcher.values) <= MOST_VALUES:
        raise ValueError(f"{name} needs 1 to {MOST_VALUES} values, not {len(matcher.values)}")
    for value in matcher.values:
        if not value.strip():
            raise ValueError(f"{name} has an empty value")
        if len(value) > LONGEST_VALUE:
            raise ValueError(f"{name} has a value of more than {LONGEST_VALUE} characters")
    choices = _CHOICES.get(matcher.field)
    if choices is None:
        return
    for value in matcher.values:
        if matcher.glob and not any(fnmatchcase(choice, value) for choice in choices):
            raise ValueError(f"{name} is never like {value!r}; it is one of {', '.join(choices)}")
        if not matcher.glob and value not in choices:
            raise ValueError(f"{name} is never {value!r}; it is one of {', '.join(choices)}")


def match_everything(matchers: Sequence[Matcher]) -> bool:
    """Whether nothing is left that they do not match: none of them, or such as `rule` like `*` alone."""
    return all(_holds_always(matcher) for matcher in matchers)


def _holds_always(matcher: Matcher) -> bool:
    choices = _CHOICES.get(matcher.field)
    if choices is not None:
        return all(_holds(matcher, choice) for choice in choices)
    return matcher.glob and any(not value.strip("*?") for value in matcher.values)


def match(matchers: Sequence[Matcher], message: Message, host_rules: Collection[str]) -> bool:
    """Whether all of them hold for a message. `host_rules`: the rules that count by host."""
    return all(_holds(matcher, _value_of(message, matcher.field, host_rules)) for matcher in matchers)


def _holds(matcher: Matcher, value: str) -> bool:
    if not value:
        return False
    if matcher.glob:
        return any(fnmatchcase(value, pattern) for pattern in matcher.values)
    return value in matcher.values


def _value_of(message: Message, field: MatchField, host_rules: Collection[str]) -> str:
    if field is MatchField.HOST:
        return message.subject if message.rule in host_rules else ""
    if field is MatchField.AREA:
        return area_of(message.rule).value
    return str(getattr(message, field.value))


def matchers_as_text(matchers: Sequence[Matcher]) -> str:
    """For people: `rule=high_error_rate host~api-*`; `everything` where there is none."""
    parts = [f"{m.field.value}{'~' if m.glob else '='}{','.join(m.values)}" for m in matchers]
    return " ".join(parts) or "everything"
