"""The known line formats, and `auto`, which finds the right one line by line."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from app.ingest.formats import combined, cri, nginx_error, nginx_json, sshd
from detectors.errors import DecodeError
from detectors.event import Event

AUTO = "auto"

Parser = Callable[[str, int], Event | None]
"""(line, received_ms) -> the event, or None where the line is not of this format."""


class Format(NamedTuple):
    """One log format."""

    name: str
    parse: Parser


FORMATS: tuple[Format, ...] = (
    Format(combined.NAME, combined.parse),
    Format(cri.NAME, cri.parse),
    Format(sshd.NAME, sshd.parse),
    Format(nginx_json.NAME, nginx_json.parse),
    Format(nginx_error.NAME, nginx_error.parse),
)
NAMES: tuple[str, ...] = (AUTO, *(known.name for known in FORMATS))


class AutoParser:
    """Tries the format that fitted last, then the others. One per batch: it remembers."""

    def __init__(self) -> None:
        self._parsers = [known.parse for known in FORMATS]

    def __call__(self, line: str, received_ms: int) -> Event | None:
        """The event of a line of any known format, or None."""
        for position, parse in enumerate(self._parsers):
            event = parse(line, received_ms)
            if event is not None:
                if position:
                    self._parsers.insert(0, self._parsers.pop(position))
                return event
        return None

    def expect(self, parse: Parser) -> None:
        """A line of this format came by: it is tried first from now on."""
        self._parsers.remove(parse)
        self._parsers.insert(0, parse)


def parser_for(name: str) -> Parser:
    """The parser of a format, or a new one that finds the format by itself for `auto`.

    Raises: DecodeError naming the known formats.
    """
    if name == AUTO:
        return AutoParser()
    for known in FORMATS:
        if known.name == name:
            return known.parse
    raise DecodeError(f"unknown format; known are {', '.join(NAMES)}")


def parse_lines(name: str, lines: Sequence[bytes], received_ms: int) -> list[Event | None]:
    """The event of each line, or None, as the format's parser gives them one by one; no line may be empty.

    Raises: DecodeError naming the known formats.
    """
    parse = parser_for(name)
    if name not in (AUTO, combined.NAME):
        return [parse(str(line, "utf-8", "replace"), received_ms) for line in lines]

    def parse_other(line: str, after_ordinary: bool) -> Event | None:
        if after_ordinary and isinstance(parse, AutoParser):
            parse.expect(combined.parse)
        return parse(line, received_ms)

    return combined.parse_many(lines, parse_other)
