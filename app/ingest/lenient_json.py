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


def loads(record: bytes) -> dict[str, Any]:
    """The object in these bytes. The last of duplicate keys wins; integers may have 4,300 digits.

    Mended: bytes that are not UTF-8 and lone surrogates (become U+FFFD), raw control characters, and the
    `\\xNN` escapes of nginx without `escape=json`.
    Raises: DecodeError, whose message shows nothing of the record.
    """
    try:
        value = _DECODER.decode(record)
    except RecursionError as error:
        raise DecodeError("the record is nested too deep") from error
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


def _loads_mended(record: bytes, error: Exception) -> Any:
    mended = _mend(record)
    if mended != record:
        try:
            return _DECODER.decode(mended)
        except RecursionError as deep:
            raise DecodeError("the record is nested too deep") from deep
        except (msgspec.DecodeError, ValueError) as second:
            error = second
    if _NOT_A_NUMBER.search(mended):
        raise DecodeError("NaN and Infinity are not JSON numbers") from error
    if isinstance(error, msgspec.ValidationError):
        raise DecodeError("a number is out of range") from error
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
