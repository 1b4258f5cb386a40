"""E-mail: one message as text and as HTML, all those about one incident in one thread.

Source: RFC 5322 section 3.6.4 (Message-ID, In-Reply-To, References), RFC 3834 (Auto-Submitted).
"""

import asyncio
import hashlib
import re
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr

import aiosmtplib
import structlog
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from actions.channels.plain import lines, one_line
from actions.channels.settings import Security
from actions.channels.wording import IncidentUrl, Wording, worded
from actions.delivery.message import Letter, MessageKind, Rate
from detectors.errors import ConfigError, DeliveryError
from detectors.finding import Priority, Severity
from detectors.timestamps import to_rfc3339

DEADLINE_S = 30.0
"""For the whole conversation with a server; one that stalls must not hold up the others."""
ANSWER_S = 15.0
LONGEST_SUBJECT = 120
LONGEST_REASON = 200
LONGEST_DIGEST = 200_000
COLOURS = {
    Severity.CRITICAL: "#b00020",
    Severity.HIGH: "#e65100",
    Severity.MEDIUM: "#f9a825",
    Severity.LOW: "#546e7a",
}
_ID = re.compile(r"INC-[0-9]{4}-[0-9]{1,9}")

log = structlog.get_logger("bartizan.email")


class EmailChannel:
    """Tells one set of people through one mail server; its references are Message-IDs."""

    type = "email"
    groups = True
    rate: Rate | None = None

    def __init__(
        self,
        name: str,
        *,
        host: str,
        port: int,
        security: Security,
        sender: str,
        to: Sequence[str],
        incident_url: IncidentUrl,
        now: Callable[[], int],
        username: str = "",
        password: str = "",
        ca_file: str = "",
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """`now`: epoch ms. Raises: ConfigError where the file of certificates cannot be read."""
        self.name = name
        self._host, self._port, self._security = host, port, security
        self._sender, self._to = sender, tuple(to)
        self._username, self._password = username, password
        self._incident_url = incident_url
        self._now = now
        self._deadline_s = deadline_s
        self._domain = parseaddr(sender)[1].rpartition("@")[2] or "bartizan.invalid"
        self._tls = None if security is Security.NONE else trusting(ca_file)
        self._templates = templates()

    async def send(self, letter: Letter) -> str:
        """One mail to all; answers its Message-ID. Raises: DeliveryError.

        Where only some addresses are refused it counts as delivered: trying again would tell the others twice.
        """
        mail = self.mail(letter)
        try:
            async with asyncio.timeout(self._deadline_s):
                refused, _ = await aiosmtplib.send(
                    mail,
                    sender=parseaddr(self._sender)[1],
                    recipients=[parseaddr(address)[1] for address in self._to],
                    hostname=self._host,
                    port=self._port,
                    use_tls=self._security is Security.TLS,
                    start_tls=self._security is Security.STARTTLS,
                    tls_context=self._tls,
                    username=self._username or None,
                    password=self._password or None,
                    local_hostname=self._domain,
                    timeout=min(ANSWER_S, self._deadline_s),
                )
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            raise self._failed(error) from None
        if refused:
            codes = sorted({answer.code for answer in refused.values()})
            log.warning("addresses_refused", channel=self.name, refused=len(refused), codes=codes)
        return str(mail["Message-ID"])

    def mail(self, letter: Letter) -> EmailMessage:
        """The whole mail. Its id is that of the letter, so that a repetition can be told."""
        said = worded(letter, self._incident_url)
        at = self._now()
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._to)
        mail["Subject"] = one_line(said.headline, LONGEST_SUBJECT)
        mail["Date"] = datetime.fromtimestamp(at / 1000, UTC)
        mail["Auto-Submitted"] = "auto-generated"
        if said.priority is Priority.P0 and said.kind is not MessageKind.TEST:
            mail["Importance"] = "high"
        ids = {message.incident_id for message in letter.messages}
        incident_id = ids.pop() if len(ids) == 1 else ""
        self._thread(mail, letter, incident_id if _ID.fullmatch(incident_id) else "")
        pages = "\n".join(message.html for message in letter.messages if message.html)[:LONGEST_DIGEST]
        content = Markup(pages)  # noqa: S704 - who wrote it has escaped it, see Message.html
        if content:
            said = _whole(said, letter)
        values = {
            "said": said,
            "content": content,
            "colour": COLOURS[said.severity],
            "at": to_rfc3339(said.at),
        }
        mail.set_content(self._templates.get_template("message.txt").render(values), cte="quoted-printable")
        page = self._templates.get_template("message.html").render(values)
        mail.add_alternative(page, subtype="html", cte="quoted-printable")
        return mail

    def _thread(self, mail: EmailMessage, letter: Letter, incident_id: str) -> None:
        """All mails about an incident refer to a root that nobody has sent: whichever arrive make one thread."""
        number = hashlib.sha256(letter.id.encode("utf-8", "replace")).hexdigest()[:16]
        mail["Message-ID"] = f"<{incident_id or 'bartizan'}.{number}@{self._domain}>"
        if incident_id:
            root = f"<{incident_id}@{self._domain}>"
            first = letter.ref if re.fullmatch(r"<[!-=?-~]{3,200}>", letter.ref) else ""
            mail["In-Reply-To"] = first or root
            mail["References"] = " ".join(dict.fromkeys(filter(None, (root, first))))

    def _failed(self, error: Exception) -> DeliveryError:
        """What a failure means: a code of 5xx is for ever; everything else may be better later."""
        if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
            codes = [refusal.code for refusal in error.recipients]
            said = "; ".join(f"{refusal.code} {refusal.message}" for refusal in error.recipients)
            return self._error(f"all addresses refused: {said}", permanent=all(code >= 500 for code in codes))
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return self._error(f"refused: {error.code} {error.message}", permanent=error.code >= 500)
        if isinstance(error, aiosmtplib.SMTPConnectError | aiosmtplib.SMTPServerDisconnected | OSError):
            name = "no answer in time" if isinstance(error, TimeoutError) else "not reached"
            return self._error(f"{name}: {error or type(error).__name__}", permanent=False)
        return self._error(f"not sent: {error}", permanent=True)

    def _error(self, text: str, *, permanent: bool) -> DeliveryError:
        if self._password:
            text = text.replace(self._password, "***")
        return DeliveryError(one_line(text, LONGEST_REASON), permanent=permanent)


def _whole(said: Wording, letter: Letter) -> Wording:
    """A digest in its full length: it is one mail a day, and the text that others cut is all there is to it."""
    text = lines("\n".join(message.text for message in letter.messages), LONGEST_DIGEST)
    return Wording(
        said.kind, said.headline, said.facts, text, said.links, said.severity, said.priority, said.at
    )


def templates() -> Environment:
    """The templates of this folder. Everything is escaped in the HTML one; nothing in them may be missing."""
    return Environment(
        loader=PackageLoader("actions.channels"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def trusting(ca_file: str) -> ssl.SSLContext:
    """A context that checks certificates and names. Raises: ConfigError where the file cannot be read."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {ca_file}: {error.strerror or 'holds no certificates'}") from None
