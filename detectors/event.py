"""One log record in our words: what every format and convention is mapped to.

Values are kept as they arrived (a timestamp stays text, an address stays text): most events count
for nothing, so parsing waits until a detector asks for it.
"""

from typing import Literal

import msgspec

Category = Literal["authentication", "web", "health_check"]
Outcome = Literal["success", "failure", "unknown"]


class Event(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """One log record. Every field may be absent; nothing is checked or repaired here.

    The names are the public ones of `POST /v1/events`. Unknown fields are forbidden so that a record
    which decodes straight into this class speaks our names only; all others go through the field map.
    """

    timestamp: str | int | float | None = None
    """RFC 3339, common log format, or epoch seconds, ms, us, ns by magnitude. See timestamps.py."""
    client_ip: str | None = None
    """As logged: may carry a port, brackets, a zone, or a whole X-Forwarded-For chain."""
    method: str | None = None
    path: str | None = None
    """The request target as logged, with or without its query, not decoded."""
    query: str | None = None
    status: int | None = None
    user_agent: str | None = None
    user: str | None = None
    api_key_id: str | None = None
    host: str | None = None
    bytes: int | None = None
    duration_ms: float | None = None
    message: str | None = None
    outcome: Outcome | None = None
    request_id: str | None = None
    forwarded_for: str | None = None
    """The X-Forwarded-For header; read only when client_ip is a trusted proxy."""
    referer: str | None = None
    category: Category | None = None
    repeat: int = 1
    """How many times it happened: syslog's "message repeated N times"."""


class Batch(msgspec.Struct, gc=False):
    """What one request (or one chunk of a file) brought: events and, at the same index, their raw text."""

    events: list[Event]
    records: list[bytes]
    received_ms: int
    source: str
    """Who sent it: the token's id, or the file's name in a replay."""
    mark: str | None = None
    """Identifies this batch over the sender's retries; None where a repeat cannot be told from news."""
    read_as: str = ""
    """How each record gives its event once more by itself: `event` (JSON of our names) or a line format; else empty."""
