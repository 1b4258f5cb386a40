"""What the tests of channels send: letters about made-up incidents, with an attacker's text in them."""

from typing import Any

import msgspec
from acting import MINUTE, NOON, a_finding

from actions.delivery.message import Letter, Message, MessageKind, message_about
from actions.incidents.changes import opened_by
from actions.incidents.incident import Incident
from actions.incidents.response_plan import ResponsePlan
from app.mock_receiver.receiver import Receiver
from detectors.finding import Priority, Severity

KEY = "0123456789abcdef0123456789abcdef"
HOOK_SECRET = "a-secret-of-the-webhook"
TRICKS = [
    "<!channel> <@U012ABC> <http://evil.example|click> & < >",
    "@everyone @here <@123> <#5> [click](http://evil.example) **bold** `code` ||spoiler||",
    "</b><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>",
    "Subject\r\nBcc: everybody@example.org\r\n\r\nbody",
    "/" + "a" * 100_000,
    "&" * 5_000,
    "\u202egnp.exe \u2066hidden\u2069 \u200b\ufeff zero \x00\x07\x1b[31m",
    "\\" * 3_000,
    "\U0001f600" * 4_000,
    "{{ 7*7 }} {0} %s ${x} #{y}",
    ".\r\n.\r\nQUIT\r\n",
    "https://evil.example www.evil.example mailto:a@example.org HTTPS://EVIL.example",
    "",
    " ",
]


def an_incident(**fields: Any) -> Incident:
    base = opened_by(a_finding(), "INC-2026-0001", NOON, plan=ResponsePlan(), immediate=False, entities=None)
    return msgspec.structs.replace(base, **fields)


def a_message(kind: MessageKind = MessageKind.OPENED, **fields: Any) -> Message:
    base = message_about(an_incident(), kind, "203.0.113.9 failed to log in 10 times", NOON)
    return msgspec.structs.replace(base, **fields)


def a_letter(*messages: Message, **fields: Any) -> Letter:
    base = Letter(channel="team", messages=messages or (a_message(),), incident=an_incident(), id="17-0")
    return msgspec.structs.replace(base, **fields)


def a_group(count: int = 37, **fields: Any) -> Letter:
    """So many incidents of one rule in two minutes."""
    messages = tuple(
        a_message(
            incident_id=f"INC-2026-{n:04}",
            subject=f"192.0.2.{n}",
            title=f"auth_failures: 192.0.2.{n}",
            at=NOON + n * 2 * MINUTE // max(1, count - 1),
        )
        for n in range(count)
    )
    return a_letter(*messages, incident=None, **fields)


def a_hostile(text: str, **fields: Any) -> Letter:
    """A letter in which every text of a log is this one."""
    evidence = tuple(
        msgspec.structs.replace(item, path=text, user=text, user_agent=text, matched=text)
        for item in a_finding().evidence
    )
    incident = an_incident(subject=text, title=text, why=text, evidence=evidence, acknowledged_by=text)
    message = a_message(subject=text, title=text, text=f"{text}\nWhat to do first: look", who=text)
    return a_letter(message, **{"incident": incident, **fields})


def a_notice(severity: Severity, title: str = "maintenance ahead") -> Message:
    return a_message(
        MessageKind.NOTICE,
        incident_id="",
        rule="",
        subject="",
        severity=severity,
        priority=Priority.P2,
        title=title,
    )


def url_of(incident_id: str) -> str:
    return f"https://bartizan.example/v1/admin/incidents/{incident_id}/report?format=html"


def a_receiver(**fields: Any) -> Receiver:
    """Strict, but without rates, and at noon."""
    return Receiver(**({"is_limited": False, "now": lambda: NOON, "secrets": [HOOK_SECRET]} | fields))
