"""One JSON object, decoded as its sender meant it: slightly broken ones are mended, others named clearly."""

import json
import re
from typing import Any

import msgspec

from detectors.errors import DecodeError

_DECODER = msgspec.json.Decoder()
_ESCAPES = re.compile(
    r"(?P<fine>(?:\\(?!x[0-9A-Fa-f]{2}|u[dD][89a-fA-F][0-9A-Fa-f]{2}).[^\\]*+)++)"
    r"|(?P<hex>(?:\\x[0-9A-Fa-f]{2}[^\\]*+)++)"
    r"|\\(?:u[dD](?P<pair>[89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2})"
    r"|u(?P<lone>[dD][89a-fA-F][0-9A-Fa-f]{2}))",
    re.DOTALL,
)
"""Escapes of a kind are found together, with what stands between them: each match costs a call."""
_CONTROLS = {chr(code): f"\\u{code:04x}" for code in range(0x20) if code not in b"\t\n\r"} | {"\t": " "}
_NOT_A_NUMBER = re.compile(rb"[:\[,]\s*+[-+]?(?:nan|inf)", re.IGNORECASE)

# Linear on hostile input: possessive, and no two alternatives begin alike.
_TOKENS = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[{\[]++|[}\]]++|[-NI0-9][-+A-Za-z0-9.]*+',
    re.DOTALL,
)
_NUMBER = re.compile(rb"-?[0-9]++(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]{1,2}+)?+")
"""One whose exponent has three digits is as good as none."""


class ExtremeValue(DecodeError):
    """JSON by its form, with what no decoder takes: nested too deep, NaN, a number out of range."""


def loads(record: bytes) -> dict[str, Any]:
    """The object in these bytes. The last of duplicate keys wins; integers may have 4,300 digits.

    Mended: bytes that are not UTF-8 and lone surrogates (become U+FFFD), raw control characters, and the
    `\\xNN` escapes of nginx without `escape=json`.
    Raises: DecodeError, whose message shows nothing of the record.
    """
    try:
        value = _DECODER.decode(record)
    except RecursionError as error:
        raise ExtremeValue("the record is nested too deep") from error
    except (msgspec.DecodeError, ValueError) as error:
        value = _loads_mended(record, error)
    if type(value) is not dict:
        raise DecodeError("not a JSON object")
    return value


def dumps(value: dict[str, Any]) -> bytes:
    """What `loads` gave, once more as JSON: integers of any length, and `{}` for what is nested as deep as can be."""
    try:
        return msgspec.json.encode(value)
    except OverflowError:
        return json.dumps(value).encode()
    except RecursionError:
        return b"{}"


def tamed(body: bytes, levels: int) -> bytes:
    """The same JSON with null for what is an ExtremeValue, and for what is nested deeper.

    For a body that is one JSON value of many records: what a client had one of them say must not cost the others.
    """
    pieces: list[bytes] = []
    depth, start = 0, 0
    for found in _TOKENS.finditer(body):
        begin, end = found.span()
        byte, before = body[begin], depth
        if byte == 0x22:
            continue
        if byte in b"{[":
            depth += end - begin
            if before <= levels < depth:
                pieces += (body[start : begin + levels - before], b"null")
        elif byte in b"}]":
            depth -= end - begin
            if depth <= levels < before:
                start = begin + before - levels
        elif depth <= levels and not _NUMBER.fullmatch(body, begin, end):
            pieces += (body[start:begin], b"null")
            start = end
    if depth <= levels:
        pieces.append(body[start:])
    return b"".join(pieces)


def _loads_mended(record: bytes, error: Exception) -> Any:
    mended = _mend(record)
    if mended != record:
        try:
            return _DECODER.decode(mended)
        except RecursionError as deep:
            raise ExtremeValue("the record is nested too deep") from deep
        except (msgspec.DecodeError, ValueError) as second:
            error = second
    if _NOT_A_NUMBER.search(mended):
        raise ExtremeValue("NaN and Infinity are not JSON numbers") from error
    if isinstance(error, msgspec.ValidationError):
        raise ExtremeValue("a number is out of range") from error
    reason = str(error).removeprefix("JSON is malformed: ")
    raise DecodeError(f"broken JSON: {reason}") from error


def _mend(record: bytes) -> bytes:
    text = record.decode("utf-8", "replace")
    if "\\" in text:
        text = _ESCAPES.sub(_mended_escape, text)
    if not text.isprintable():
        # A search for each takes a tenth of the time of `translate`, which looks at every character by itself.
        for control, escape in _CONTROLS.items():
            text = text.replace(control, escape)
    return text.encode()


def _mended_escape(found: re.Match[str]) -> str:
    if found["hex"]:
        return found["hex"].replace("\\x", "\\u00")
    return "\\ufffd" if found["lone"] else found[0]
