"""An attacker's text made fit to be shown: no control characters, no direction overrides, no live links, cut.

What follows for one service only, its own escapes, stands in that channel's file.
"""

import re
from collections.abc import Callable

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
HIDDEN = "\N{REPLACEMENT CHARACTER}"
_LIVE = re.compile(r"(?i):(?=//)|(?<=www)\.|(?<=mailto):")
"""What mail programs and chats know a link by; it is put in brackets, as security reports write addresses."""


def one_line(text: str, limit: int) -> str:
    """The text as one line of visible characters, at most so many UTF-16 units.

    Whatever is no visible character (controls, direction overrides, zero-width characters, half characters) is shown
    as one replacement character; every kind of blank is a plain one.
    """
    cut = text[: 2 * limit + 64]  # so that the work does not grow with the text
    words = " ".join(cut.split()) + (ELLIPSIS if len(cut) < len(text) else "")
    visible = "".join(c if c.isprintable() else HIDDEN for c in words)
    return fitted(_LIVE.sub(lambda found: f"[{found[0]}]", visible), limit)


def lines(text: str, limit: int) -> str:
    """The same for several lines, which stay apart; empty ones go."""
    kept = (one_line(line, limit) for line in text[: 2 * limit + 64].splitlines())
    return fitted("\n".join(line for line in kept if line), limit)


def fitted(text: str, limit: int, escape: Callable[[str], str] = str) -> str:
    """The text escaped, character by character, and cut to so many UTF-16 units; no escape is cut in two."""
    parts = [escape(character) for character in text[: limit + 1]]
    if sum(map(width, parts)) <= limit:
        return "".join(parts)
    kept: list[str] = []
    units = width(ELLIPSIS)
    for part in parts:
        units += width(part)
        if units > limit:
            break
        kept.append(part)
    return "".join(kept) + ELLIPSIS


def width(text: str) -> int:
    """UTF-16 units: the strictest way in which a service may count characters."""
    return len(text) + sum(character > "\uffff" for character in text)
