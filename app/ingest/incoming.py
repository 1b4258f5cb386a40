"""One request's body on its way to events: what the sender said of it, and what came out."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from app.ingest.body import BodyTooLarge, decompress
from app.ingest.decode import Decoded, decode_events, decode_lines
from app.ingest.form import decode_form
from app.ingest.msgpack_records import decode_msgpack
from detectors.errors import DecodeError

INLINE_BYTES = 512 * 1024
"""A body that is larger after decompression is decoded in a thread, so that lookups in this process do not wait."""
INLINE_RECORDS = 4_000
"""And one of more records, as far as braces and line ends tell: three bytes may be a record."""


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
        if "msgpack" in self.content_type.lower() and len(body) > 4 * INLINE_RECORDS:
            # Four bytes may be a record, and no byte of it tells.
            return None
        records = body.count(b"\n") + (body.count(b"{") if self.format_name is None else 0)
        return self._decode(body) if records <= INLINE_RECORDS else None

    def prepare(self, data: bytes) -> Prepared:
        """Decompress, decode and mark the body.

        Raises: DecodeError (damaged, unknown encoding or format, protobuf), BodyTooLarge.
        """
        return self._decode(decompress(data, self.content_encoding))

    def _decode(self, body: bytes) -> Prepared:
        if self.format_name is not None:
            decoded = decode_lines(body, self.format_name, self.received_ms)
        else:
            decoded = self._decode_events(body)
        return Prepared(decoded, self._mark(body, decoded), len(body))

    def _decode_events(self, body: bytes) -> Decoded:
        """By what the sender says of the body, where its first byte agrees: JSON comes under every content type."""
        content_type = self.content_type.lower()
        if body.lstrip()[:1] not in (b"{", b"[", b""):
            if "msgpack" in content_type:
                return decode_msgpack(body, self.received_ms)
            if "form-urlencoded" in content_type:
                return decode_form(body, self.received_ms) or decode_events(body, self.received_ms)
            if "protobuf" in content_type:
                # Kept as text it would be lost unnoticed.
                raise DecodeError("protobuf bodies are not read on this route; send JSON or MessagePack")
        return decode_events(body, self.received_ms)

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
