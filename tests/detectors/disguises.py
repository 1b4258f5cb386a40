"""Attacks as they would be written to get past a filter: every disguise that detectors/decoding.py undoes."""

import re
from collections.abc import Callable, Iterator

from detectors.decoding import decode_value

Hide = Callable[[str], str]


def _percent(raw: bytes) -> str:
    return "".join(f"%{byte:02x}" for byte in raw)


def _overlong(code: int, length: int) -> bytes:
    if length == 2:
        return bytes((0xC0 | code >> 6, 0x80 | code & 63))
    zeros = (0xE0,) if length == 3 else (0xF0, 0x80)
    return bytes((*zeros, 0x80 | code >> 6, 0x80 | code & 63))


def _fullwidth(character: str) -> str:
    return chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else _percent(character.encode())


def _logged(text: str) -> str:
    """Bytes outside ASCII as Apache and nginx log them."""
    return "".join(f"\\x{byte:02x}" if byte > 126 else chr(byte) for byte in text.encode())


HIDES: dict[str, Hide] = {
    "percent once": lambda c: _percent(c.encode()),
    "percent twice": lambda c: _percent(c.encode()).replace("%", "%25"),
    "percent thrice": lambda c: _percent(c.encode()).replace("%", "%2525"),
    "%u0065": lambda c: f"%u{ord(c):04x}",
    "%uff45": lambda c: f"%u{ord(c) + 0xFEE0 if '!' <= c <= '~' else ord(c):04x}",
    "overlong, 2 bytes": lambda c: _percent(_overlong(ord(c), 2)),
    "overlong, 3 bytes": lambda c: _percent(_overlong(ord(c), 3)),
    "overlong, 4 bytes": lambda c: _percent(_overlong(ord(c), 4)),
    "overlong, raw bytes as logged": lambda c: "".join(f"\\x{byte:02x}" for byte in _overlong(ord(c), 2)),
    "fullwidth, percent-encoded": lambda c: (
        _percent(_fullwidth(c).encode()) if c > " " else _percent(c.encode())
    ),
    "fullwidth, raw": _fullwidth,
    "fullwidth, raw bytes as logged": lambda c: _logged(_fullwidth(c)),
    "HTML, decimal": lambda c: f"&#{ord(c)};",
    "HTML, hexadecimal": lambda c: f"&#x{ord(c):x};",
    "\\x65": lambda c: f"\\x{ord(c):02x}",
    "\\u0065": lambda c: f"\\u{ord(c):04x}",
    "\\u{65}": lambda c: f"\\u{{{ord(c):x}}}",
}
"""How one character is hidden."""
NAMED = {
    "<": "&lt;",
    ">": "&gt;",
    "'": "&apos;",
    '"': "&quot;",
    "(": "&lpar;",
    ")": "&rpar;",
    ":": "&colon;",
    "$": "&dollar;",
}
REWRITES: dict[str, Hide] = {
    "as it is": lambda text: text,
    "+ for a blank": lambda text: re.sub(r"%20| ", "+", text),
    "mixed case": lambda text: "".join(c.upper() if n % 2 else c for n, c in enumerate(text)),
    "/./": lambda text: _in_path(text, "/./"),
    "//": lambda text: _in_path(text, "//"),
    "\\": lambda text: _in_path(text, "\\"),
}  # fmt: skip
"""How a whole target is rewritten."""


def hidden(target: str, hide: Hide, every: int = 1, first: int = 0) -> str:
    """A target with each `every`th character hidden in each of its segments and values; delimiters stay as they are."""
    path, mark, query = target.partition("?")
    pieces = (
        re.split("([/?&=])", path) if not mark else [*re.split("(/)", path), mark, *re.split("([&=])", query)]
    )
    return "".join(
        piece if len(piece) == 1 and piece in "/?&=" else _hide(piece, hide, every, first) for piece in pieces
    )


def _hide(piece: str, hide: Hide, every: int, first: int) -> str:
    plain = decode_value(piece.replace("+", " "))
    return "".join(
        hide(c) if c.isascii() and n % every == first else _percent(c.encode()) if c <= " " else c
        for n, c in enumerate(plain)
    )


def named(target: str) -> str:
    """With entities that have a name."""
    return "".join(NAMED.get(c, c) for c in target)


def _in_path(target: str, slash: str) -> str:
    path, mark, query = target.partition("?")
    return path[:1] + path[1:].replace("/", slash) + mark + query


def disguised(target: str) -> Iterator[tuple[str, str]]:
    """(disguise, target) in all of them: each character hidden, and of three each one in turn."""
    for name, rewrite in REWRITES.items():
        yield name, rewrite(target)
    yield "HTML, named", named(target)
    for name, hide in HIDES.items():
        yield name, hidden(target, hide)
        for first in range(3):
            yield name, hidden(target, hide, 3, first)
