"""One request's body on its way to events: what the sender said of it, and what came out."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from app.ingest.body import BodyTooLarge, decompress
from app.ingest.decode import Decoded, decode_events, decode_lines
from detectors.errors import DecodeError

INLINE_BYTES = 512 * 1024
"""A body that is larger after decompression is decoded in a thread, so that lookups in this process do not wait."""
INLINE_RECORDS = 4_000
"""And one of more records, as far as braces and line ends tell: three bytes may be a record."""
_BINARY_TYPES = ("msgpack", "protobuf")


class Prepared(NamedTuple):
    """A body, ready to be counted."""

    decoded: Decoded
    mark: str | None
    size_bytes: int
    """After decompression."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """What is known of a body before it is read."""

    source: str
    kind: str
    format_name: str | None
    """None for JSON events."""
    content_encoding: str
    content_type: str
    key: str
    """The Idempotency-Key header, or empty."""
    received_ms: int

    def prepare_quickly(self, data: bytes) -> Prepared | None:
        """What `prepare` gives, or None where that would take more than a few milliseconds. Raises: DecodeError."""
        if len(data) > INLINE_BYTES:
            return None
        try:
            body = decompress(data, self.content_encoding, INLINE_BYTES)
        except BodyTooLarge:
            return None
        records = body.count(b"\n") + (body.count(b"{") if self.format_name is None else 0)
        return self._decode(body) if records <= INLINE_RECORDS else None

    def prepare(self, data: bytes) -> Prepared:
        """Decompress, decode and mark the body.

        Raises: DecodeError (damaged, unknown encoding or format, MessagePack), BodyTooLarge.
        """
        return self._decode(decompress(data, self.content_encoding))

    def _decode(self, body: bytes) -> Prepared:
        if self.format_name is not None:
            decoded = decode_lines(body, self.format_name, self.received_ms)
        else:
            self._refuse_binary(body)
            decoded = decode_events(body, self.received_ms)
        return Prepared(decoded, self._mark(body, decoded), len(body))

    def _refuse_binary(self, body: bytes) -> None:
        """Only where the sender says so and the body agrees: kept as text it would be lost unnoticed."""
        if body.lstrip()[:1] in (b"{", b"[", b""):
            return
        if any(name in self.content_type.lower() for name in _BINARY_TYPES):
            raise DecodeError("MessagePack and protobuf bodies are not read on this route; send JSON")

    def _mark(self, body: bytes, decoded: Decoded) -> str | None:
        """What identifies this batch over its sender's retries.

        None for a single record without a key: ten identical one-line bodies can be ten real failures.
        """
        parts: tuple[bytes, ...]
        if self.key:
            parts = (b"key", self.key.encode("utf-8", "surrogateescape"))
        elif len(decoded.events) + len(decoded.rejected) > 1:
            parts = (b"body", (self.format_name or "").encode("utf-8", "replace"), body)
        else:
            return None
        digest = hashlib.sha256()
        for part in (self.source.encode(), self.kind.encode(), *parts):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.hexdigest()
