"""Where each record of a body begins and ends. Sniffed: the content type is not believed.

Seen under `application/json` alone: arrays, single and glued objects, NDJSON with blank lines, plain text.
Every record keeps its own raw bytes, for the pattern scan and as evidence.
"""

import re
from itertools import islice
from typing import NamedTuple

import msgspec

from app.ingest.body import BodyTooLarge
from app.ingest.field_names import NAMES

RECORDS_LIMIT = 1_000_000
"""Records of one body: the most that any shipper's default sends (Cloudflare Logpush)."""
ENVELOPE_KEYS = ("logs", "records", "events", "entries", "data", "batch", "items")
_KEYS_OF_LOGS = frozenset({"logs", "records", "events"})
"""The others stand in many an application's own events, with what a client has sent: `{"action":..,"items":[..]}`."""
_ENVELOPE_FIELDS = frozenset({"host", "timestamp", "request_id"})
"""What an envelope may say of an event; one that says more is an event itself."""

_BLANK = b" \t\r\n\0"
"""NUL too: a log file that was cut while it was written (copytruncate) begins with NULs."""
_ARRAY_AT_ONCE_BYTES = 8 * 1024 * 1024
"""A larger array is walked element by element, so that millions of tiny elements stop at the limit."""

# All are linear on hostile input: possessive, and each alternative begins with another character. What a search passes
# over in vain is looked at once more for each level of _NESTED, and no oftener.
_BETWEEN = re.compile(rb"[\s,\x00]*+")
_BETWEEN_ARRAYS = re.compile(rb"(?:[\s,\x00]++|\[[\s,\x00]*+\])*+")
_STRING = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_PLAIN = rb'[^"{}\[\]]*+'
_TEXTS = re.compile(_STRING, re.DOTALL)


def _nested(levels: int) -> bytes:
    """A string, or brackets with no more than so many levels inside: passed over by one search, however many."""
    if levels < 0:
        return _STRING
    inside = _nested(levels - 1)
    return rb"(?:%b|[{\[]%b(?:%b%b)*+[}\]])" % (_STRING, _PLAIN, inside, _PLAIN)


_TO_BRACKET = re.compile(rb"%b(?:%b%b)*+" % (_PLAIN, _nested(3), _PLAIN), re.DOTALL)
_SHALLOW = re.compile(rb"[\s,\x00]*+(\{%b(?:%b%b)*+\})" % (_PLAIN, _nested(3), _PLAIN), re.DOTALL)
"""An object with few levels inside, as nearly every log record is."""
_LIST = re.compile(_nested(3), re.DOTALL)
_OPENING = re.compile(rb"(?:[{\[]%b(?:%b%b)*+)++" % (_PLAIN, _STRING, _PLAIN), re.DOTALL)
_CLOSING = re.compile(rb'(?:[}\]][^"{}\[\]]*+)++')
_CLOSER = re.compile(rb"[}\]]")
_SCALAR = re.compile(
    _STRING + rb"|(?:-?[0-9][0-9.eE+-]*+|true|false|null|NaN|-?Infinity)(?=[\s,\]]|\Z)", re.DOTALL
)

_RAW = msgspec.json.Decoder(msgspec.Raw)
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_RAW_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Framed(NamedTuple):
    """The records of one body, in order."""

    records: list[bytes]
    are_lines: bool
    """True where a record may be plain text; False where each must be a JSON object."""


def frame(body: bytes) -> Framed:
    """Cut a decompressed body into records; blank ones are dropped.

    Raises: BodyTooLarge over 1,000,000 records.
    """
    body = _as_utf8(body).strip(_BLANK)
    if not body:
        return Framed([], False)
    if body[0] == 0x7B:  # {
        return _frame_objects(body)
    if body[0] == 0x5B:  # [
        elements = array_elements(body)
        if elements is not None:
            return Framed(elements, False)
    return Framed(lines_of(body), True)


def lines_of(body: bytes) -> list[bytes]:
    """The lines of a body that are not blank, without their line ends.

    Raises: BodyTooLarge.
    """
    if len(body) >= RECORDS_LIMIT and body.count(b"\n") >= RECORDS_LIMIT:
        raise _too_many()
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n")
    lines = body.split(b"\n")
    if b"\0" in body:
        lines = [line.strip(b"\0") for line in lines]
    if not lines[-1]:
        lines.pop()
    if all(lines) and not any(map(bytes.isspace, lines)):
        return lines
    return [line for line in lines if line and not line.isspace()]


def split_values(text: bytes) -> list[bytes] | None:
    """The objects of `{..}{..}`, `{..} {..}` or `{..},{..}`; None where it is not that. The last one may be broken.

    Raises: BodyTooLarge.
    """
    objects = text.count(b"{")
    if not objects or (objects == 1 and not text.startswith(b"[")):
        return None
    values, end = _walk(text)
    if values and text.startswith(b"{", end):
        return [*values, text[end:]]
    return values if end == len(text) and len(values) > 1 else None


def _as_utf8(body: bytes) -> bytes:
    if body.startswith(b"\xef\xbb\xbf"):
        return body[3:]
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace").encode("utf-8", "replace")
    return body


def _frame_objects(body: bytes) -> Framed:
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n")
    breaks = body.count(b"\n")
    if breaks and body.count(b"}\n{") == breaks:
        if breaks >= RECORDS_LIMIT:
            raise _too_many()
        return Framed(body.split(b"\n"), True)
    try:
        fields = _RAW_FIELDS.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    else:
        return Framed(_envelope_elements(fields) or [body], False)
    if breaks < RECORDS_LIMIT:
        lines = [line for line in (raw.strip(_BLANK + b",") for raw in body.split(b"\n")) if line]
        if len(lines) > 1 and all(line[0] == 0x7B and line[-1] == 0x7D for line in lines):
            return Framed(lines, True)
    values, end = _walk(body)
    if end == len(body) and all(b"\n" not in value or _is_whole(value) for value in values):
        return Framed(values, False)
    if values and not breaks and body.startswith(b"{", end):
        return Framed([*values, body[end:]], False)
    return Framed(lines_of(body), True)


def _is_whole(value: bytes) -> bool:
    """Whether it is JSON by structure; too deep to tell counts as yes and is refused later by itself."""
    try:
        _RAW.decode(value)
    except (msgspec.DecodeError, ValueError):
        return False
    except RecursionError:
        return True
    return True


def _envelope_elements(fields: dict[str, msgspec.Raw]) -> list[bytes] | None:
    """The records inside an envelope object; None where the object is an event itself."""
    found = [key for key in ENVELOPE_KEYS if key in fields and bytes(fields[key])[:1] == b"["]
    if len(found) != 1:
        return None
    if len(fields) > 1 and found[0] not in _KEYS_OF_LOGS:
        return None
    if any(_says_what_happened(key) for key in fields if key not in ENVELOPE_KEYS):
        return None
    elements = array_elements(bytes(fields[found[0]]))
    if elements is None or not all(element.startswith(b"{") for element in elements):
        return None
    if found[0] == "records":
        return [_kafka_value(element) for element in elements]
    return elements


def _says_what_happened(key: str) -> bool:
    meaning = NAMES.fields.get(key) or NAMES.fields.get(key.lower())
    return meaning is not None and meaning[0] not in _ENVELOPE_FIELDS


def _kafka_value(element: bytes) -> bytes:
    """The value of one record of the Kafka REST format, `{"value":{...}}`; anything else as it is."""
    if b'"value"' not in element:
        return element
    try:
        fields = _RAW_FIELDS.decode(element)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return element
    value = bytes(fields.get("value", b""))
    if value.startswith(b"{") and fields.keys() <= {"key", "value", "partition", "headers", "timestamp"}:
        return value
    return element


def array_elements(body: bytes) -> list[bytes] | None:
    """The elements of one or more arrays, with whatever is broken as records of its own; None for text."""
    if len(body) <= _ARRAY_AT_ONCE_BYTES or body.count(b",") < RECORDS_LIMIT:
        try:
            elements = _RAW_LIST.decode(body)
        except (msgspec.DecodeError, ValueError, RecursionError):
            pass
        else:
            if len(elements) > RECORDS_LIMIT:
                raise _too_many()
            return [bytes(element) for element in elements]
    values, end = _walk(body)
    if end == len(body):
        return values
    if not re.match(rb"\[\s*+\{", body):
        return None
    rest = (line.lstrip(_BLANK + b",[").rstrip(_BLANK + b",]") for line in body[end:].split(b"\n"))
    values.extend(line for line in rest if line)
    if len(values) > RECORDS_LIMIT:
        raise _too_many()
    return values


def _walk(body: bytes) -> tuple[list[bytes], int]:
    """Values separated by nothing, blanks or commas, inside and outside of arrays, up to what is neither.

    Gives the values and where it stopped: len(body) if everything was understood (or is an array cut
    short between two elements).
    """
    values: list[bytes] = []
    add, match = values.append, _SHALLOW.match
    start, in_array = 0, False
    while True:
        while (found := match(body, start)) is not None:
            add(found[1])
            start = found.end()
            if len(values) > RECORDS_LIMIT:
                raise _too_many()
        start = _between(body, start, in_array=in_array)
        if start >= len(body):
            return values, len(body)
        byte = body[start]
        if byte == 0x5B and not in_array:
            in_array, start = True, start + 1
            continue
        if byte == 0x5D and in_array:
            in_array, start = False, start + 1
            continue
        end = _value_end(body, start, in_array=in_array)
        if end < 0:
            return values, start
        if len(values) >= RECORDS_LIMIT:
            raise _too_many()
        values.append(body[start:end])
        start = end


def _between(body: bytes, start: int, *, in_array: bool) -> int:
    """Behind what is no value: blanks, commas, and empty arrays unless they are values of another."""
    found = (_BETWEEN if in_array else _BETWEEN_ARRAYS).match(body, start)
    return found.end() if found else start


def _value_end(body: bytes, start: int, *, in_array: bool) -> int:
    """Where the value that starts here ends, or -1. Brackets are counted, not matched: decoding does that."""
    if body[start] not in b"{[":
        scalar = _SCALAR.match(body, start) if in_array else None
        return scalar.end() if scalar else -1
    shallow = _LIST.match(body, start)
    if shallow:
        return shallow.end()
    depth = 0
    while True:
        opening = _OPENING.match(body, start)
        closing = None if opening else _CLOSING.match(body, start)
        if opening:
            opened = _TEXTS.sub(b"", opening[0])
            depth += opened.count(b"{") + opened.count(b"[")
            start = opening.end()
        elif closing:
            end = closing.end()
            closed = body.count(b"}", start, end) + body.count(b"]", start, end)
            if closed >= depth:
                closers = _CLOSER.finditer(body, start, end)
                return next(islice(closers, depth - 1, None)).end()
            depth -= closed
            start = end
        else:
            return -1
        skipped = _TO_BRACKET.match(body, start)
        start = skipped.end() if skipped else start


def _too_many() -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than {RECORDS_LIMIT} records")
