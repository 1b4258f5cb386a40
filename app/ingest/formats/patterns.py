"""What programs say, as patterns: named groups are fields of an event, and a match says what happened.

A pattern must match its text from the first character to the last. Where the text holds words of an attacker (a user
name, a URL), let the program's own words stand between them and the address, and let no second address fit: a reader
that takes the first address it sees blocks whomever the attacker names. Where such words stand on both sides of the
address and hold what looks like another, match without `client_ip`: the failure counts, for nobody's address. Little is
lost, for a name with half a log line in it is no account, and whoever tries it guesses nobody's password.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from app.ingest.values import read_value
from detectors.event import Category, Event, Outcome

ADDRESS = r"(?P<client_ip>[0-9A-Fa-f.:]{1,44}[0-9A-Fa-f:](?:%[A-Za-z0-9._-]{1,15}+)?+)"
"""The client's IPv4 or IPv6 address; a full stop behind it is not part of it."""
ADDRESS_AND_PORT = (
    r"(?P<client_ip>\[[0-9A-Fa-f.:]{2,45}\](?::[0-9]{1,5}+)?+|[0-9.]{7,15}(?::[0-9]{1,5}+)?+"
    r"|[0-9A-Fa-f.:]{1,44}[0-9A-Fa-f])"
)
"""The same where a port may follow, and brackets stand around IPv6: `203.0.113.9:5060`, `[2001:db8::1]:5060`."""
USER = r"(?P<user>.*)"
"""As much as what follows leaves over: for a name that may hold anything."""
_FIELDS = frozenset(Event.__struct_fields__)


class Pattern(NamedTuple):
    """One thing that a program says."""

    literal: str
    """Stands in every text that the expression matches; looked for first, for that is cheap."""
    expression: re.Pattern[str]
    outcome: Outcome | None
    category: Category | None
    status: int | None


def pattern(
    literal: str,
    expression: str,
    *,
    outcome: Outcome | None = None,
    category: Category | None = None,
    status: int | None = None,
) -> Pattern:
    """A pattern, compiled. Raises: ValueError for a group that is no field of an event."""
    compiled = re.compile(expression, re.DOTALL)
    unknown = compiled.groupindex.keys() - _FIELDS
    if unknown:
        raise ValueError(f"no field of an event: {', '.join(sorted(unknown))}")
    return Pattern(literal, compiled, outcome, category, status)


def failure(literal: str, expression: str) -> Pattern:
    """Somebody tried to log in and was refused."""
    return pattern(literal, expression, outcome="failure", category="authentication")


def success(literal: str, expression: str) -> Pattern:
    """Somebody logged in."""
    return pattern(literal, expression, outcome="success", category="authentication")


def read_text(patterns: Iterable[Pattern], text: str, event: Event) -> bool:
    """Whether one of the patterns is what the text says; the event then says so too. The first that fits is taken."""
    for literal, expression, outcome, category, status in patterns:
        if literal not in text:
            continue
        found = expression.fullmatch(text)
        if found is None:
            continue
        for name, value in found.groupdict().items():
            read = read_value(name, value)
            if read is not None:
                setattr(event, name, read)
        if outcome is not None:
            event.outcome = outcome
        if category is not None:
            event.category = category
        if status is not None:
            event.status = status
        return True
    return False
