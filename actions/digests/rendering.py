"""Writes a digest out: as text, as HTML, and as the message that people get.

Much in it is an attacker's text. Every piece is one line of visible characters (digest_sections.shown), and the HTML
comes from a template that escapes all it is given and has inline styles only: mail programs drop others.
"""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from actions.delivery.message import Message, MessageKind
from actions.digests.report import Digest
from actions.digests.sections import headline, sections_of
from detectors.finding import Priority, Severity

RULE = "digest"
"""What a digest's message has in the place of a rule."""


def text_of_digest(digest: Digest) -> str:
    """The digest without its headline, as plain text."""
    return _rendered("digest.txt", digest)


def html_of_digest(digest: Digest) -> str:
    """The same as a piece of HTML, to stand within a page or a mail that has the headline."""
    return _rendered("digest.html", digest)


def page_of_digest(digest: Digest) -> str:
    """The same as a whole page, with its headline."""
    return _rendered("digest_page.html", digest)


def message_of(digest: Digest, channels: tuple[str, ...], *, is_copy: bool = False) -> Message:
    """The message that carries a digest. `is_copy`: somebody asked for it; the one that is due comes besides."""
    return Message(
        kind=MessageKind.DIGEST,
        incident_id="",
        rule=RULE,
        subject="",
        severity=Severity.LOW,
        priority=Priority.P3,
        title=("Copy: " if is_copy else "") + headline(digest),
        text=text_of_digest(digest),
        html=html_of_digest(digest),
        at=digest.made_at,
        channels=channels,
    )


def _rendered(name: str, digest: Digest) -> str:
    values = {
        "headline": headline(digest),
        "sections": sections_of(digest),
        "timezone": digest.period.timezone,
    }
    return _templates().get_template(name).render(values)


@cache
def _templates() -> Environment:
    """The templates of this room. HTML is escaped; nothing in them may be missing."""
    return Environment(
        loader=PackageLoader("actions.digests"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
