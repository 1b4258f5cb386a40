"""What an attacker's text means once the server has decoded it: percent-escapes, pluses, JSON escapes, dots."""

import re
from collections.abc import Iterator
from urllib.parse import unquote

LONGEST_TEXT = 65_536
"""Text past this is not decoded: no server takes a longer request line, and work must stay bounded."""
DECODING_ROUNDS = 3
"""Double encoding is common in attacks (CWE-174), triple is seen; further rounds gain nothing."""

# Each is anchored on one character and takes a fixed length, so hostile text costs no more than its length.
_UNICODE_PERCENT = re.compile(r"%u([0-9A-Fa-f]{4})")
_UNICODE_JSON = re.compile(r"\\u([0-9A-Fa-f]{4})")
_OVERLONG = re.compile(r"%c0%(ae|af)|%c1%9c", re.IGNORECASE)
_FOLDED_SLASHES = re.compile(r"/(?:\.?/)+")


def decode_target(text: str) -> str:
    """A path, with or without its query, as the server understands it; `+` is a blank in the query."""
    text = text[:LONGEST_TEXT]
    for _ in range(DECODING_ROUNDS):
        decoded = _percent_decode(text)
        if decoded == text:
            break
        text = decoded
    path, mark, query = text.partition("?")
    return path + mark + query.replace("+", " ")


def normal_path(target: str) -> str:
    """The path of a decoded target with `//` and `/./` folded; `..` stays, since it is evidence itself."""
    return _FOLDED_SLASHES.sub("/", target.partition("?")[0].replace("\\", "/"))


def views(text: str) -> Iterator[str]:
    """A record as it stands, then with its JSON escapes undone, then percent-decoded until nothing changes."""
    text = text[:LONGEST_TEXT]
    yield text
    for _ in range(DECODING_ROUNDS):
        decoded = _percent_decode(_json_unescape(text))
        if decoded == text:
            return
        text = decoded
        yield text


def _percent_decode(text: str) -> str:
    if "%" not in text:
        return text
    if "%u" in text:
        text = _UNICODE_PERCENT.sub(_character, text)
    if "%c" in text or "%C" in text:
        text = _OVERLONG.sub(lambda m: "." if (m[1] or "").lower() == "ae" else "/" if m[1] else "\\", text)
    return unquote(text, errors="replace")


def _json_unescape(text: str) -> str:
    if "\\" not in text:
        return text
    text = _UNICODE_JSON.sub(_character, text)
    return text.replace('\\"', '"').replace("\\/", "/").replace("\\\\", "\\")


def _character(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if not 0xD800 <= int(match[1], 16) <= 0xDFFF else "�"
