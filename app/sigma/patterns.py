"""The values of Sigma rules: texts with wildcards, as a comparison or as a regular expression.

Source: Sigma Rules Specification 2.1, "String Wildcard" and "Escape Character".
"""

import enum
import re

from detectors.conditions import Op


class Wild(enum.Enum):
    """A wildcard of a value."""

    ANY = "*"
    ONE = "?"


Token = str | Wild
Tokens = tuple[Token, ...]


def parse_value(text: str) -> Tokens:
    """The plain texts and wildcards of a value.

    A backslash takes the meaning from a wildcard or a backslash behind it, and before anything else is a plain one.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        char = text[position]
        if char == "\\" and text[position + 1 : position + 2] in ("\\", "*", "?"):
            tokens.append(text[position + 1])
            position += 2
            continue
        tokens.append(Wild(char) if char in "*?" else char)
        position += 1
    return merged(tokens)


def merged(tokens: list[Token]) -> Tokens:
    """The same with neighbouring texts joined, and of several `*` in a row one."""
    found: list[Token] = []
    for token in tokens:
        if isinstance(token, str) and found and isinstance(found[-1], str):
            found[-1] += token
        elif token is not Wild.ANY or not found or found[-1] is not Wild.ANY:
            found.append(token)
    return tuple(found)


def plain(tokens: Tokens) -> str | None:
    """The text, where there is no wildcard in it; None where there is."""
    text = [token for token in tokens if isinstance(token, str)]
    return "".join(text) if len(text) == len(tokens) else None


def as_comparison(tokens: Tokens) -> tuple[Op, str] | None:
    """The cheap comparison that means the same, or None where only a regular expression does."""
    match tokens:
        case ():
            return Op.EQUALS, ""
        case (str(text),):
            return Op.EQUALS, text
        case (Wild.ANY, str(text), Wild.ANY):
            return Op.CONTAINS, text
        case (str(text), Wild.ANY):
            return Op.STARTS, text
        case (Wild.ANY, str(text)):
            return Op.ENDS, text
    return None


def longest_text(tokens: Tokens) -> str:
    """The longest text that stands in everything the value matches; empty where there is none."""
    return max((token for token in tokens if isinstance(token, str)), key=len, default="")


def as_regex(tokens: Tokens, *, is_cased: bool = False) -> str:
    """An RE2 expression to be searched for. It states whether case counts, and `.` takes line feeds too."""
    return f"(?{'s-i' if is_cased else 'is'}:^{_body(tokens, '.')}$)"


def as_extension_regex(tokens: Tokens, *, is_cased: bool = False) -> str:
    """The same for what stands behind the last dot of a path's last segment."""
    return f"(?{'s-i' if is_cased else 'is'}:\\.{_body(tokens, '[^./]')}$)"


def _body(tokens: Tokens, one: str) -> str:
    return "".join(
        escaped(token) if isinstance(token, str) else one + ("*" if token is Wild.ANY else "")
        for token in tokens
    )


def escaped(text: str) -> str:
    """A plain text as part of an expression; RE2 and the standard library read it alike."""
    return "".join(f"\\x{ord(c):02x}" if c in "\0\n\r\t\v\f" else re.escape(c) for c in text)
