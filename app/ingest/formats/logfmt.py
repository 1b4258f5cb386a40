"""Logfmt: `key=value key="a value with blanks" key=`, as Go programs write it.

Source: https://pkg.go.dev/github.com/go-logfmt/logfmt (the grammar, and how a writer quotes).
"""

import re

PAIRS_LIMIT = 256
"""Pairs of one line: ten times those of any program here."""
_PAIR = re.compile(r'([^ ="\x00-\x1f]++)=(?:"((?:[^"\\]++|\\.)*+)"|([^ "]*+))(?: ++|\Z)', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}


def parse_logfmt(text: str) -> dict[str, str] | None:
    """The pairs of a line that is logfmt from its first character to its last; None of others, and of more pairs.

    A key that stands there twice with two values is left out: nobody can tell which one the program meant and which
    one an attacker wrote.
    """
    found: dict[str, str] = {}
    doubtful: set[str] = set()
    end = seen = 0
    while end < len(text):
        pair = _PAIR.match(text, end)
        if pair is None:
            return None
        end = pair.end()
        key, quoted, bare = pair.groups()
        value = bare if quoted is None else _unescaped(quoted)
        if found.setdefault(key, value) != value:
            doubtful.add(key)
        seen += 1
        if seen > PAIRS_LIMIT:
            return None
    for key in doubtful:
        del found[key]
    return found


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(found: re.Match[str]) -> str:
    if found[1]:
        code = int(found[1], 16)
        return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)
    return _CONTROLS.get(found[2], found[2])
