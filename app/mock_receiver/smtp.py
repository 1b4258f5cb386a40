"""The mail side: a real SMTP server that checks what it is given. Needs aiosmtpd."""

import re
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default as modern
from typing import TYPE_CHECKING, Any

from app.mock_receiver.receiver import Receiver
from app.mock_receiver.verdict import Verdict
from detectors.errors import ConfigError

if TYPE_CHECKING:
    from aiosmtpd.controller import Controller

LONGEST_LINE = 998
"""Source: RFC 5322 section 2.1.1."""
LONGEST_SUBJECT = 150
_ID = re.compile(r"<[^<>@\s]+@[^<>@\s]+>")
_REMOTE = re.compile(
    r"""<(?:script|img|iframe|link|object|form)\b|\bon[a-z]+\s*=\s*["']|url\(""", re.IGNORECASE
)


class Mailbox:
    """Takes mail for a receiver, as aiosmtpd hands it over."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """One mail; refused with a code of its own where the receiver is told to misbehave."""
        if "smtp" in self._receiver.chaos.down:
            self._receiver.keep("smtp", Verdict(summary="down, as told", status=503))
            return "451 4.3.0 down, as told"
        verdict = checked(envelope.original_content or envelope.content)
        self._receiver.keep("smtp", verdict)
        return "550 5.6.0 " + verdict.violations[0][:200] if verdict.violations else "250 2.0.0 OK"


def checked(raw: bytes) -> Verdict:
    """The rules for one mail."""
    verdict = Verdict()
    if any(len(line) > LONGEST_LINE for line in raw.split(b"\r\n")):
        verdict.violations.append(f"a line of more than {LONGEST_LINE} bytes")
    mail = BytesParser(policy=modern).parsebytes(raw)
    assert isinstance(mail, EmailMessage)  # noqa: S101 - what this policy makes
    for name in ("From", "To", "Subject", "Date", "Message-ID"):
        if len(mail.get_all(name, [])) != 1:
            verdict.violations.append(f"{name}: must stand there once")
    subject = str(mail.get("Subject", ""))
    verdict.summary = subject
    if len(subject) > LONGEST_SUBJECT or not subject.isprintable():
        verdict.violations.append(f"Subject: one line, at most {LONGEST_SUBJECT} characters")
    for name in ("Message-ID", "In-Reply-To"):
        if name in mail and not _ID.fullmatch(str(mail[name]).strip()):
            verdict.violations.append(f"{name}: is no id")
    if mail.get("Auto-Submitted") != "auto-generated":
        verdict.violations.append("Auto-Submitted: must be auto-generated, or holidays answer it")
    _check_bodies(mail, verdict)
    verdict.body = {name: str(value) for name, value in mail.items()}
    if mail.defects:
        verdict.violations.append(f"defects: {', '.join(type(defect).__name__ for defect in mail.defects)}")
    verdict.status = 400 if verdict.violations else 200
    return verdict


def _check_bodies(mail: EmailMessage, verdict: Verdict) -> None:
    parts = [part.get_content_type() for part in mail.walk()]
    if parts != ["multipart/alternative", "text/plain", "text/html"]:
        verdict.violations.append(f"parts: a text and its HTML, not {', '.join(parts)}")
        return
    page = mail.get_body(("html",))
    found = _REMOTE.search(page.get_content()) if page is not None else None
    if found:
        verdict.violations.append(f"HTML: scripts, forms and remote content: {found[0]!r}")


def mail_server(receiver: Receiver, host: str, port: int) -> "Controller":
    """The server, not started yet. Raises: ConfigError where aiosmtpd is missing."""
    try:
        from aiosmtpd.controller import Controller
    except ImportError:
        raise ConfigError("--smtp-port needs aiosmtpd: pip install aiosmtpd") from None
    return Controller(Mailbox(receiver), hostname=host, port=port)
