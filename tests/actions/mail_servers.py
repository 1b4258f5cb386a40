"""Real SMTP servers on loopback, in the loop of the test: plain, encrypted, with a login, refusing."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from letters import url_of

from actions.channels.email import EmailChannel
from actions.channels.settings import Security

HOST = "127.0.0.1"
PASSWORD = "mail-password-0123"


class Inbox:
    """Takes mail; refuses addresses as told."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.recipients: list[list[str]] = []
        self.refusals: dict[str, str] = {}
        self.answer = "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.mails.append(envelope.original_content)
            self.recipients.append(envelope.rcpt_tos)
        return self.answer


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


@asynccontextmanager
async def mail_server(
    inbox: Inbox,
    *,
    implicit: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    auth: bool = False,
) -> AsyncIterator[int]:
    """The port of a server."""

    def protocol() -> SMTP:
        options: dict[str, Any] = {"tls_context": starttls, "require_starttls": starttls is not None}
        if auth:
            options |= {
                "authenticator": authenticate,
                "auth_required": True,
                "auth_require_tls": starttls is not None,
            }
        return SMTP(inbox, hostname="mail.example", loop=asyncio.get_running_loop(), **options)

    async with listening(protocol, implicit) as port:
        yield port


@asynccontextmanager
async def listening(
    protocol: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(protocol, HOST, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def server_context(authority: trustme.CA, name: str = HOST) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def a_mail_channel(port: int, security: Security = Security.NONE, **fields: Any) -> EmailChannel:
    known: dict[str, Any] = {
        "host": HOST,
        "port": port,
        "security": security,
        "sender": "Bartizan <bartizan@example.org>",
        "to": ["ops@example.org"],
        "incident_url": url_of,
        "now": lambda: 1_795_000_000_000,
    }
    return EmailChannel("mail", **(known | fields))
