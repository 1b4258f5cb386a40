"""A body between its bytes and its events: unpacked, told apart from others, and small enough for the loop or not."""

import hashlib
from typing import NamedTuple

from app.ingest.body import BODY_LIMIT_BYTES, BodyTooLarge
from app.ingest.shippers.shipper import Head, Shipper

INLINE_BYTES = 512 * 1024
"""A body that is larger after decompression is decoded in a thread, so that lookups in this process do not wait."""
INLINE_RECORDS = 4_000
"""And one of more records, as far as braces and line ends tell: three bytes may be a record."""

MSGPACK_RECORD_BYTES = 4
"""The smallest MessagePack record with a field; no byte of such a body tells where one begins."""


class Unpacked(NamedTuple):
    """A body without its content encodings."""

    body: bytes
    digest: str
    """Identifies it over its sender's retries."""


def unpack_quickly(shipper: Shipper, source: str, data: bytes, head: Head) -> Unpacked | None:
    """The body, or None where decoding it would take more than a few milliseconds. Raises: as `unpack`."""
    limit = INLINE_BYTES * shipper.wordiness
    if len(data) > limit:
        return None
    try:
        body = shipper.unpack(data, head, limit)
    except BodyTooLarge:
        return None
    if body.count(b"\n") + body.count(b"{") > INLINE_RECORDS * shipper.marks_per_record:
        return None
    if "msgpack" in head.content_type and len(body) > MSGPACK_RECORD_BYTES * INLINE_RECORDS:
        return None
    return Unpacked(body, digest_of(shipper, source, body, head))


def unpack(shipper: Shipper, source: str, data: bytes, head: Head) -> Unpacked:
    """The body. Raises: DecodeError (damaged, unknown encoding), BodyTooLarge, Forbidden."""
    body = shipper.unpack(data, head, BODY_LIMIT_BYTES)
    return Unpacked(body, digest_of(shipper, source, body, head))


def digest_of(shipper: Shipper, source: str, body: bytes, head: Head) -> str:
    """What this body is known by: its sender's name for the delivery, else its bytes and how they are read."""
    key = shipper.key(head)
    parts = (
        (b"key", key.encode("utf-8", "surrogateescape"))
        if key
        else (b"body", shipper.variant(head).encode("utf-8", "replace"), body)
    )
    digest = hashlib.sha256()
    for part in (source.encode(), shipper.name.encode(), *parts):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
