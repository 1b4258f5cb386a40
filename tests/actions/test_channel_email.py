"""Mail over real SMTP servers: encrypted, authenticated, refused, and never anybody else's headers."""

import asyncio
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default as modern
from pathlib import Path

import pytest
import trustme
from letters import TRICKS, a_group, a_hostile, a_letter, a_message, an_incident, url_of
from mail_servers import PASSWORD, Inbox, a_mail_channel, listening, mail_server, server_context

from actions.channels.settings import Security
from actions.delivery.message import Letter, MessageKind
from app.mock_receiver.smtp import checked
from detectors.errors import ConfigError, DeliveryError
from detectors.finding import Priority, Severity


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA) -> Iterator[str]:
    with authority.cert_pem.tempfile() as path:
        yield path


def read(raw: bytes) -> EmailMessage:
    mail = BytesParser(policy=modern).parsebytes(raw)
    assert isinstance(mail, EmailMessage)
    return mail


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


async def sent(letter: Letter) -> EmailMessage:
    inbox = Inbox()
    async with mail_server(inbox) as port:
        await a_mail_channel(port).send(letter)
    return read(inbox.mails[0])


async def failed(inbox: Inbox, **fields: object) -> DeliveryError:
    async with mail_server(inbox) as port:
        with pytest.raises(DeliveryError) as caught:
            await a_mail_channel(port, **fields).send(a_letter())
    return caught.value


async def test_a_mail_has_a_text_and_its_html_and_says_what_happened() -> None:
    mail = await sent(a_letter())
    assert mail["Subject"] == "[P1 high] auth_failures: 203.0.113.9"
    assert (mail["From"], mail["To"]) == ("Bartizan <bartizan@example.org>", "ops@example.org")
    assert (mail["Auto-Submitted"], mail["Importance"]) == ("auto-generated", None)
    assert mail["Date"] == "Wed, 18 Nov 2026 11:06:40 +0000"
    for kind in ("plain", "html"):
        text = text_of(mail, kind)
        for word in ("INC-2026-0001", "high (P1)", "203.0.113.9", "What to do first:", "2026-11-18T11:05:41"):
            assert word in text, (kind, word)
    assert url_of("INC-2026-0001") in text_of(mail)
    assert url_of("INC-2026-0001") in text_of(mail, "html").replace("&amp;", "&")


async def test_the_most_urgent_ones_are_marked_so() -> None:
    urgent = {"severity": Severity.CRITICAL, "priority": Priority.P0}
    assert (await sent(a_letter(a_message(**urgent), incident=an_incident(**urgent))))["Importance"] == "high"


async def test_mails_about_one_incident_are_one_thread_and_a_repetition_is_known_by_its_id() -> None:
    first, again = await sent(a_letter(id="1-0")), await sent(a_letter(id="1-0"))
    assert first["Message-ID"] == again["Message-ID"]
    assert str(first["Message-ID"]).startswith("<INC-2026-0001.")
    assert str(first["Message-ID"]).endswith("@example.org>")
    root = "<INC-2026-0001@example.org>"
    assert (first["References"], first["In-Reply-To"]) == (root, root)
    later = await sent(a_letter(a_message(MessageKind.RESOLVED), id="2-0", ref=str(first["Message-ID"])))
    assert later["Message-ID"] != first["Message-ID"]
    assert later["In-Reply-To"] == first["Message-ID"]
    assert str(later["References"]).split() == [root, first["Message-ID"]]


async def test_a_channel_answers_the_id_of_its_mail() -> None:
    inbox = Inbox()
    async with mail_server(inbox) as port:
        ref = await a_mail_channel(port).send(a_letter())
    assert ref == read(inbox.mails[0])["Message-ID"]


@pytest.mark.parametrize("ref", ["<a@b>\r\nBcc: x@example.org", "<a@b> <c@d>", "x", "<>", "<a b@c>"])
async def test_a_reference_that_is_no_id_is_not_used(ref: str) -> None:
    mail = await sent(a_letter(ref=ref))
    assert mail["In-Reply-To"] == "<INC-2026-0001@example.org>"
    assert mail["Bcc"] is None


@pytest.mark.parametrize("text", TRICKS)
async def test_whatever_the_text_the_mail_keeps_the_rules(text: str) -> None:
    inbox = Inbox()
    async with mail_server(inbox) as port:
        await a_mail_channel(port).send(a_hostile(text))
        await a_mail_channel(port).send(a_hostile(text, incident=None, id=text))
    assert len(inbox.mails) == 2
    for raw in inbox.mails:
        assert not checked(raw).violations
        mail = read(raw)
        assert set(mail.keys()) <= {
            *("From", "To", "Subject", "Date", "Auto-Submitted", "Message-ID", "In-Reply-To", "References"),
            *("MIME-Version", "Content-Type"),
        }
        page = text_of(mail, "html")
        assert "<script" not in page and "<img" not in page and "://evil" not in page
        assert "49" not in str(mail["Subject"])


async def test_a_group_is_one_mail_in_no_thread() -> None:
    mail = await sent(a_group())
    assert mail["Subject"] == "[P1 high] auth_failures: 37 subjects in 2 min"
    assert mail["In-Reply-To"] is None
    text = text_of(mail)
    assert "192.0.2.9 (INC-2026-0009)" in text and "192.0.2.10 " not in text
    assert "and 27 more" in text and url_of("INC-2026-0009") in text


async def test_a_digest_is_sent_whole_in_its_own_html() -> None:
    table = "<table><tr><td>&lt;b&gt;</td></tr></table>"
    text = "\n".join(f"line {n} of the day" for n in range(500))
    digest = a_message(
        MessageKind.DIGEST,
        incident_id="",
        title="Tuesday in brief",
        text=text,
        html=table,
        rule="",
        subject="",
    )
    mail = await sent(a_letter(digest, incident=None))
    assert mail["Subject"] == "Tuesday in brief"
    assert table in text_of(mail, "html")
    assert "line 499 of the day" in text_of(mail)


async def test_starttls_with_a_login(authority: trustme.CA, ca_file: str) -> None:
    inbox = Inbox()
    async with mail_server(inbox, starttls=server_context(authority), auth=True) as port:
        mail = {"security": Security.STARTTLS, "ca_file": ca_file, "username": "bartizan"}
        await a_mail_channel(port, **mail, password=PASSWORD).send(a_letter())
        with pytest.raises(DeliveryError, match="535") as caught:
            await a_mail_channel(port, **mail, password="wrong-password").send(a_letter())
    assert len(inbox.mails) == 1
    assert caught.value.permanent
    assert "wrong-password" not in str(caught.value)


async def test_tls_from_the_first_byte(authority: trustme.CA, ca_file: str) -> None:
    inbox = Inbox()
    async with mail_server(inbox, implicit=server_context(authority)) as port:
        await a_mail_channel(port, Security.TLS, ca_file=ca_file).send(a_letter())
    assert len(inbox.mails) == 1


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
async def test_a_certificate_of_nobody_we_know_is_not_accepted(
    authority: trustme.CA, security: Security
) -> None:
    inbox, context = Inbox(), server_context(authority)
    side = {"implicit" if security is Security.TLS else "starttls": context}
    async with mail_server(inbox, **side) as port:  # type: ignore[arg-type]
        with pytest.raises(DeliveryError, match=r"certificate|CERTIFICATE") as caught:
            await a_mail_channel(port, security).send(a_letter())
    assert (inbox.mails, caught.value.permanent) == ([], False)


async def test_a_certificate_of_another_name_is_not_accepted(authority: trustme.CA, ca_file: str) -> None:
    inbox = Inbox()
    async with mail_server(inbox, implicit=server_context(authority, "other.example")) as port:
        with pytest.raises(DeliveryError):
            await a_mail_channel(port, Security.TLS, ca_file=ca_file).send(a_letter())
    assert inbox.mails == []


async def test_a_server_that_cannot_encrypt_gets_no_mail() -> None:
    error = await failed(Inbox(), security=Security.STARTTLS)
    assert error.permanent


@pytest.mark.parametrize(("answer", "permanent"), [("550 no such user", True), ("451 greylisted", False)])
async def test_a_refused_address_is_permanent_or_not_as_the_server_says(answer: str, permanent: bool) -> None:
    inbox = Inbox()
    inbox.refusals = {"ops@example.org": answer}
    error = await failed(inbox)
    assert (error.permanent, answer in str(error)) == (permanent, True)


async def test_where_one_of_two_addresses_is_refused_for_now_it_may_be_better_later() -> None:
    inbox = Inbox()
    inbox.refusals = {"a@example.org": "550 no", "b@example.org": "450 later"}
    assert not (await failed(inbox, to=["a@example.org", "b@example.org"])).permanent


async def test_one_refused_address_does_not_keep_the_mail_from_the_others() -> None:
    inbox = Inbox()
    inbox.refusals = {"gone@example.org": "550 no such user"}
    async with mail_server(inbox) as port:
        await a_mail_channel(port, to=["gone@example.org", "ops@example.org"]).send(a_letter())
    assert inbox.recipients == [["ops@example.org"]]


@pytest.mark.parametrize(("answer", "permanent"), [("552 too large", True), ("452 disk full", False)])
async def test_a_refused_mail_is_permanent_or_not_as_the_server_says(answer: str, permanent: bool) -> None:
    inbox = Inbox()
    inbox.answer = answer
    error = await failed(inbox)
    assert (error.permanent, answer in str(error)) == (permanent, True)


async def test_a_server_that_stalls_is_left_at_the_deadline() -> None:
    async with listening(asyncio.Protocol) as port:
        with pytest.raises(DeliveryError, match="no answer in time") as caught:
            await a_mail_channel(port, deadline_s=0.05).send(a_letter())
    assert not caught.value.permanent


async def test_a_server_that_hangs_up_or_is_not_there_is_tried_again() -> None:
    class HangUp(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    async with listening(HangUp) as port:
        with pytest.raises(DeliveryError) as caught:
            await a_mail_channel(port).send(a_letter())
    assert not caught.value.permanent
    with pytest.raises(DeliveryError, match="not reached") as caught:
        await a_mail_channel(port).send(a_letter())
    assert not caught.value.permanent


def test_a_file_of_certificates_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.pem"):
        a_mail_channel(25, Security.TLS, ca_file=str(tmp_path / "nothing.pem"))
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"empty\.pem"):
        a_mail_channel(25, Security.TLS, ca_file=str(tmp_path / "empty.pem"))
