"""Text for Markdown in which nothing that a log says is markup. Reports and dossiers are made of it.

Source: CommonMark 0.31 (2.4 backslash escapes, 6.5 autolinks, 6.6 raw HTML), GitHub Flavored Markdown 4.10 (tables)
and 6.9 (autolinks, which need no brackets: `www.`, `http://`, `a@b.c`).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

LONGEST = 500
"""Characters of one text; what a log says can be as long as its author likes."""
_ENTITIES = {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "|": "&#124;",
    "`": "&#96;",
    "@": "&#64;",
    "[": "&#91;",
    "]": "&#93;",
    "!": "&#33;",
    "\\": "&#92;",
    "$": "&#36;",
    "~": "&#126;",
    "*": "&#42;",
    "#": "&#35;",
}
"""Written as numbers, which every reader shows as the character and none takes for markup."""
_EDGE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""An underscore that could begin or end emphasis; one within a word cannot. Source: CommonMark 0.31, 6.2."""
_LINKS = re.compile(r"://|www\.|(?:mailto|xmpp|javascript|data|file|tel|vbscript):", re.IGNORECASE)
"""What makes a link without brackets."""


def escaped(text: object, longest: int = LONGEST) -> str:
    """A value as one line of Markdown that reads as it is: no link, image, HTML, code, emphasis or table's end.

    What cannot be printed, or turns the direction of what follows, is shown as U+FFFD; line breaks become spaces.
    """
    line = "".join(_shown(c) for c in str(text)[: longest + 1])
    cut = len(line) > longest
    found = "".join(_ENTITIES.get(c, c) for c in line[:longest])
    found = _EDGE.sub("&#95;", found)
    # No reader makes a link of an address whose scheme or dots are entities.
    found = _LINKS.sub(lambda m: m.group().replace(":", "&#58;").replace(".", "&#46;"), found)
    return _without_start(found) + ("..." if cut else "")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table; its headings are ours, its cells are anybody's."""
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    lines += [f"| {' | '.join(escaped('' if cell is None else cell) for cell in row)} |" for row in rows]
    return lines


def _shown(character: str) -> str:
    if character in "\r\n\t\v\f\x85\u2028\u2029":
        return " "
    return character if character.isprintable() and unicodedata.category(character) != "Cf" else "\ufffd"


def _without_start(line: str) -> str:
    """A line that begins no list, heading, quote or rule, wherever it is put."""
    stripped = line.lstrip(" ")
    if not stripped:
        return ""
    first = stripped[0]
    if first in "-+=:":
        return f"&#{ord(first)};{stripped[1:]}"
    digits = len(stripped) - len(stripped.lstrip("0123456789"))
    if (
        digits
        and stripped[digits : digits + 1] in (".", ")")
        and stripped[digits + 1 : digits + 2] in ("", " ")
    ):
        return f"{stripped[:digits]}&#{ord(stripped[digits])};{stripped[digits + 1 :]}"
    return stripped
