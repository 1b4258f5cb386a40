"""What an attacker's text means once the server has decoded it.

Undone, round after round: percent-escapes (also `%u0027` and overlong UTF-8), JSON and JavaScript escapes, HTML
entities, fullwidth letters, pluses. Source: CWE-173, CWE-174 (double decoding), CWE-176 (Unicode), CWE-180; RFC 3986;
RFC 3629 section 3 (overlong forms are invalid UTF-8, and old decoders take them).
"""

import re
from binascii import a2b_qp
from collections.abc import Iterator

LONGEST_TEXT = 65_536
"""Text past this is not decoded: no server takes a longer request line, and work must stay bounded."""
LONGEST_END = 8_192
"""Characters of a target that are read at each end. Servers take 8 KB (Apache LimitRequestLine, nginx
large_client_header_buffers); what is longer than both ends is found by its length (`protocol.long_target`)."""
LONGEST_VALUE = 4_096
MOST_VALUES = 100
"""Parameters of one query that are read singly."""
DECODING_ROUNDS = 3
"""Double encoding is common in attacks (CWE-174), triple is seen; further rounds gain nothing."""

LONGEST_BY_ROUNDS = 16_384
"""Bytes of a record up to which each round of decoding is looked at by itself."""

_TO_QUOTED_PRINTABLE = bytes.maketrans(b"=%", b"\xff=")
_FROM_QUOTED_PRINTABLE = bytes.maketrans(b"\xff=", b"=%")
_NOT_QUOTED_PRINTABLE = (
    (b"\xff", b"\xfe"),
    (b"%ff", b"\xfe"), (b"%FF", b"\xfe"), (b"%fF", b"\xfe"), (b"%Ff", b"\xfe"),
    (b"%3d", b"="), (b"%3D", b"="),
    # What the decoder takes for its line breaks, or for one `=`; twice, since the pairs of a run overlap.
    (b"%\n", b"%25\n"), (b"%\r", b"%25\r"), (b"%%", b"%25%"), (b"%%", b"%25%"),
)  # fmt: skip
_JSON_PUNCTUATION = tuple(
    (f"\\u{case}".encode(), bytes((code,)))
    for code in b" !\"#$%&'()*+,-/:;<=>?@[]_{|}~"
    for case in {f"{code:04x}", f"{code:04X}"}
)
"""What JSON writers escape of ASCII although they need not: HTML-safe writers, Go, PHP."""

# Each is anchored on one character and takes a bounded length, so hostile text costs no more than its length.
_UNICODE_PERCENT = re.compile(r"%u([0-9A-Fa-f]{4})")
_ESCAPED = re.compile(r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))")
_ESCAPED_BYTES = re.compile(r"\\x[C-Fc-f][0-9A-Fa-f](?:\\x[89AaBb][0-9A-Fa-f]){1,3}")
"""One character of UTF-8, overlong or not, as Apache and nginx write what is not ASCII."""
_OVERLONG = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x81][\x80-\xbf]|\xf0\x80[\x80-\x81][\x80-\xbf]")
_ENTITY = re.compile(r"&(?:#[xX]([0-9A-Fa-f]{1,6});?|#([0-9]{1,7});?|([A-Za-z]{2,7});)")
ENTITIES = {
    "lt": "<", "gt": ">", "quot": '"', "apos": "'", "amp": "&", "lpar": "(", "rpar": ")", "colon": ":", "semi": ";",
    "tab": "\t", "newline": "\n", "sol": "/", "bsol": "\\", "grave": "`", "equals": "=", "period": ".", "nbsp": " ",
    "dollar": "$", "lcub": "{", "rcub": "}", "vert": "|", "comma": ",", "excl": "!", "num": "#", "percnt": "%",
}  # fmt: skip
_NOT_PLAIN = re.compile(r"[^\w.@/:-]|--")
_FOLDED_SLASHES = re.compile(r"/(?:\.?/)+")
# Fullwidth forms of ASCII, which best-fit mappings turn back, and look-alikes of `/`, `\`, `.` and the quotes.
_FULLWIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x2215: "/", 0x2044: "/", 0x2216: "\\", 0x2024: ".", 0x2025: "..", 0x02B9: "'", 0x02BC: "'", 0x2032: "'",
    0x2039: "<", 0x203A: ">", 0x3008: "<", 0x3009: ">", 0x3000: " ", 0x00A0: " ",
}  # fmt: skip
_HAS_FULLWIDTH = re.compile(f"[{''.join(map(chr, _FULLWIDTH))}]")


_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")


def decode_target(text: str) -> str:
    """A path, with or without its query, as the server understands it; `+` is a blank in the query."""
    if len(text) > 2 * LONGEST_END:
        text = f"{text[:LONGEST_END]} {text[-LONGEST_END:]}"
    path, mark, query = text.partition("?")
    return decode_value(path) + mark + decode_value(query.replace("+", " "))


def decode_value(text: str) -> str:
    """A text with every disguise removed, in the order in which software stacks remove them."""
    for _ in range(DECODING_ROUNDS):
        decoded = _percent_decode(text)
        if "\\" in decoded:
            decoded = decoded.replace('\\"', '"')
            if "\\u" in decoded or "\\x" in decoded:
                decoded = _ESCAPED_BYTES.sub(_escaped_bytes, decoded)
                decoded = _ESCAPED.sub(_escaped_character, decoded)
        if "&" in decoded:
            decoded = _ENTITY.sub(_entity_character, decoded)
        if not decoded.isascii() and _HAS_FULLWIDTH.search(decoded):
            decoded = decoded.translate(_FULLWIDTH)
        if decoded == text:
            break
        text = decoded
    return text


def values_of(target: str) -> list[str]:
    """The values of a logged query, decoded, and the path's segments with quotes or escapes; plain words are left out.

    A parameter without `=` is its own value, and so is a name with a quote or a bracket in it.
    """
    path, _, query = target.partition("?")
    found = []
    for part in query.split("&", MOST_VALUES)[:MOST_VALUES]:
        name, equals, value = part.partition("=")
        found.append(value if equals else name)
        if len(name) > 2 and equals and not name.isidentifier():
            found.append(name)
    found += [s for s in path.split("/", MOST_VALUES) if "'" in s or "%" in s or '"' in s]
    decoded = (decode_value(value[:LONGEST_VALUE].replace("+", " ")) for value in found if len(value) > 3)
    return [value for value in decoded if _NOT_PLAIN.search(value)]


def normal_path(target: str) -> str:
    """The path of a decoded target with `//` and `/./` folded; `..` stays, since it is evidence itself."""
    return _FOLDED_SLASHES.sub("/", target.partition("?")[0].replace("\\", "/"))


def views(record: bytes) -> Iterator[bytes]:
    """A record as it stands, then with its JSON escapes undone and percent-decoded, until nothing changes.

    Of a record longer than `LONGEST_BY_ROUNDS`, only as it stands and with everything undone at once.
    """
    record = record[:LONGEST_TEXT]
    yield record
    rounds = DECODING_ROUNDS
    if len(record) > LONGEST_BY_ROUNDS:
        rounds = 1
        for _ in range(DECODING_ROUNDS - 1):
            record = record.replace(b"%25", b"%").replace(b"\\\\", b"\\")
    for _ in range(rounds):
        decoded = percent_decode(_json_unescape(record))
        if decoded == record:
            return
        record = decoded
        yield record


def percent_decode(text: bytes) -> bytes:
    """Like `urllib.parse.unquote_to_bytes`, which takes fifty times as long for a text of nothing but `%`.

    The work is done by the decoder of quoted-printable (RFC 2045, 6.7), whose escapes are the same with `=` in place
    of `%`: the two are exchanged before and after. A byte that is no part of UTF-8 keeps the place of `=` meanwhile.
    """
    if b"%" not in text or not _ESCAPE.search(text):
        return text
    for escape, meant in _NOT_QUOTED_PRINTABLE:
        text = text.replace(escape, meant)
    decoded = a2b_qp(text.translate(_TO_QUOTED_PRINTABLE) + b"x")
    return decoded.translate(_FROM_QUOTED_PRINTABLE)[:-1]


def _percent_decode(text: str) -> str:
    if "%" not in text:
        return text
    if "%u" in text:
        text = _UNICODE_PERCENT.sub(_character, text)
    if "%c" in text or "%C" in text or "%e0%8" in text.lower() or "%f0%80" in text.lower():
        return _OVERLONG.sub(_overlong_character, _decoded(text)).decode("utf-8", "replace")
    return _decoded(text).decode("utf-8", "replace")


def _decoded(text: str) -> bytes:
    return percent_decode(text.encode("utf-8", "replace"))


def _json_unescape(record: bytes) -> bytes:
    if b"\\" not in record:
        return record
    if b"\\u00" in record:
        for escape, meant in _JSON_PUNCTUATION:
            record = record.replace(escape, meant)
    return record.replace(b'\\"', b'"').replace(b"\\/", b"/").replace(b"\\\\", b"\\")


def _character(match: re.Match[str]) -> str:
    return _character_of(int(match[1], 16))


def _escaped_character(match: re.Match[str]) -> str:
    return _character_of(int(match[1] or match[2] or match[3], 16))


def _escaped_bytes(match: re.Match[str]) -> str:
    return _OVERLONG.sub(_overlong_character, bytes.fromhex(match[0].replace("\\x", ""))).decode(
        "utf-8", "replace"
    )


def _entity_character(match: re.Match[str]) -> str:
    if match[3]:
        return ENTITIES.get(match[3].lower(), match[0])
    return _character_of(int(match[1], 16) if match[1] else int(match[2]))


def _overlong_character(match: re.Match[bytes]) -> bytes:
    code = match[0][0] & 0x1F if match[0][0] < 0xE0 else 0
    for byte in match[0][1:]:
        code = code << 6 | byte & 0x3F
    return bytes((code & 0x7F,))


def _character_of(code: int) -> str:
    return chr(code) if code < 0xD800 or 0xDFFF < code <= 0x10FFFF else "\ufffd"
