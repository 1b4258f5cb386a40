"""What people read, the same on every channel: a headline, what is known in a few lines, the why, and where to look.

All of it is plain text that one_line() has been over; each channel adds its own escapes and limits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actions.channels.plain import lines, one_line
from actions.delivery.message import Letter, Message, MessageKind
from actions.incidents.incident import Incident
from detectors.finding import Priority, Severity
from detectors.sentence import duration
from detectors.timestamps import to_rfc3339

LONGEST_HEADLINE = 150
"""Characters; what a header of Slack holds, and more than a phone shows."""
LONGEST_FACT = 256
LONGEST_TEXT = 2_000
SUBJECTS_SHOWN = 10

IncidentUrl = Callable[[str], str]
"""The address of an incident's page, by its id."""

_PHRASES = {
    MessageKind.OPENED: "",
    MessageKind.UPDATE: "goes on",
    MessageKind.ESCALATED: "nobody has acknowledged it",
    MessageKind.OVERDUE: "response is overdue",
    MessageKind.ACKNOWLEDGED: "acknowledged",
    MessageKind.MITIGATED: "mitigated",
    MessageKind.RESOLVED: "resolved",
    MessageKind.DISMISSED: "dismissed",
    MessageKind.MERGED: "merged into another",
    MessageKind.REOPENED: "reopened",
    MessageKind.NOTICE: "",
    MessageKind.DIGEST: "",
    MessageKind.TEST: "",
}
_SEVERITIES = list(Severity)


@dataclass(frozen=True, slots=True)
class Fact:
    """One line that has a name. The name is ours; the value may be an attacker's."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where to look. Both are ours: an incident's id and the service's own address."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Wording:
    """A letter in words."""

    kind: MessageKind
    headline: str
    facts: tuple[Fact, ...]
    text: str
    """Several lines: the why, and what to do first; of a grouped letter, the subjects."""
    links: tuple[Link, ...]
    severity: Severity
    priority: Priority
    at: int
    """Epoch ms."""


def worded(letter: Letter, incident_url: IncidentUrl) -> Wording:
    """The words for a letter: of its only incident, or of several of one rule together."""
    about = {message.incident_id for message in letter.messages}
    if len(letter.messages) > 1 and (len(about) > 1 or about == {""}):
        return _of_several(letter.messages, incident_url)
    message = letter.messages[-1]
    severity = message.severity if letter.incident is None else letter.incident.severity
    priority = message.priority if letter.incident is None else letter.incident.priority
    links = (_link(message.incident_id, incident_url),) if message.incident_id else ()
    return Wording(
        kind=message.kind,
        headline=_headline(message, severity, priority),
        facts=_facts(message, letter.incident, severity, priority),
        text=lines(message.text, LONGEST_TEXT),
        links=links,
        severity=severity,
        priority=priority,
        at=message.at,
    )


def _headline(message: Message, severity: Severity, priority: Priority) -> str:
    """`[P1 high] auth_failures: 203.0.113.9: resolved`."""
    if message.kind is MessageKind.DIGEST or message.kind is MessageKind.NOTICE:
        return one_line(message.title, LONGEST_HEADLINE) or "Bartizan"
    if message.kind is MessageKind.TEST:
        return one_line(f"Test: {message.title}", LONGEST_HEADLINE)
    phrase = _PHRASES[message.kind]
    if message.kind is MessageKind.ESCALATED and message.level:
        phrase = f"level {message.level}: {phrase}"
    tag, end = f"[{priority} {severity}] ", f": {phrase}" if phrase else ""
    return tag + one_line(message.title, LONGEST_HEADLINE - len(tag) - len(end)) + end


def _facts(
    message: Message, incident: Incident | None, severity: Severity, priority: Priority
) -> tuple[Fact, ...]:
    if not message.incident_id:
        return ()
    found = [
        ("Incident", message.incident_id),
        ("Severity", f"{severity} ({priority})"),
        ("Status", _status(message) if incident is None else incident.status.value),
        ("Rule", message.rule),
        ("Subject", message.subject),
    ]
    if incident is not None:
        found += [
            ("Events", f"{incident.event_count:,}"),
            ("Since", to_rfc3339(incident.first_seen)),
            ("Acknowledged by", incident.acknowledged_by or ""),
        ]
    if message.kind is not MessageKind.ACKNOWLEDGED or incident is None:
        found.append(("By", message.who))
    found.append(("Told", f"level {message.level}" if message.level else ""))
    shown = ((name, one_line(value, LONGEST_FACT)) for name, value in found)
    return tuple(Fact(name, value) for name, value in shown if value)


def _status(message: Message) -> str:
    """What is known of the status where the incident is not at hand: what the message says of it, or nothing."""
    is_move = message.kind.value in ("acknowledged", "mitigated", "resolved", "dismissed", "merged")
    return message.kind.value if is_move else ""


def _of_several(messages: Sequence[Message], incident_url: IncidentUrl) -> Wording:
    """`[P1 high] auth_failures: 37 subjects in 2 min`, the first ten of them, and a link to each."""
    worst = min(messages, key=lambda message: _SEVERITIES.index(message.severity))
    severity, priority = worst.severity, worst.priority
    first_of: dict[str, Message] = {}
    for message in messages:
        first_of.setdefault(message.incident_id or message.subject, message)
    shown = list(first_of.values())[:SUBJECTS_SHOWN]
    newest = messages[-1]
    span = duration(max(0, newest.at - messages[0].at))
    kinds = {message.kind for message in messages}
    phrase = _PHRASES[newest.kind] if len(kinds) == 1 else ""
    tag = f"[{priority} {severity}] "
    end = f": {len(first_of)} {'notices' if not newest.incident_id else 'subjects'} in {span}"
    end += f": {phrase}" if phrase else ""
    rule = newest.rule or newest.title
    listed = [one_line(_listed(message), LONGEST_FACT // 2) for message in shown]
    if len(first_of) > len(shown):
        listed.append(f"and {len(first_of) - len(shown)} more")
    first_lines = lines(newest.text, LONGEST_TEXT).splitlines()
    advice = [line for line in first_lines if line.startswith("What to do first:")]
    return Wording(
        kind=newest.kind,
        headline=tag + one_line(rule, LONGEST_HEADLINE - len(tag) - len(end)) + end,
        facts=(
            Fact("Severity", f"{severity} ({priority})"),
            *((Fact("Rule", one_line(newest.rule, LONGEST_FACT)),) if newest.rule else ()),
            Fact("Messages", f"{len(messages):,}"),
            Fact("Since", to_rfc3339(messages[0].at)),
        ),
        text=lines("\n".join([*listed, *advice]), LONGEST_TEXT),
        links=tuple(_link(message.incident_id, incident_url) for message in shown if message.incident_id),
        severity=severity,
        priority=priority,
        at=newest.at,
    )


def _listed(message: Message) -> str:
    return (
        f"{message.subject or message.title} ({message.incident_id})"
        if message.incident_id
        else message.title
    )


def _link(incident_id: str, incident_url: IncidentUrl) -> Link:
    return Link(one_line(incident_id, 64), incident_url(incident_id))
