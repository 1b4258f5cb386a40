"""The formats by name, and `auto`, which finds the right one line by line."""

from collections.abc import Sequence

from app.ingest.formats import combined, cri, nginx_json, syslog_lines
from app.ingest.formats.catalogue import LINES, UNMARKED, find_marked
from app.ingest.formats.format import SHORTEST_LINE, Format, Parser
from detectors.errors import DecodeError
from detectors.event import Event

AUTO = "auto"
FORMATS: tuple[Format, ...] = (*LINES, syslog_lines.FORMAT, nginx_json.FORMAT, cri.FORMAT)
NAMES: tuple[str, ...] = (AUTO, *(known.name for known in FORMATS))

_FOUND_BY_AUTO: tuple[Parser, ...] = (
    *UNMARKED, cri.parse, find_marked, syslog_lines.parse, nginx_json.parse,
)  # fmt: skip
"""`find_marked` before syslog, whose header many a program's own line resembles."""
_BEGIN = {known.find: known.begin for known in FORMATS if known.begin is not None}


class AutoParser:
    """Tries the format that fitted last, then the others. One per batch: it remembers."""

    def __init__(self) -> None:
        self._finders = [_BEGIN[find]() if find in _BEGIN else find for find in _FOUND_BY_AUTO]

    def __call__(self, line: str, received_ms: int) -> Event | None:
        """The event of a line of any known format, or None."""
        if len(line) < SHORTEST_LINE and line[:1] != "#" and "{" not in line:
            return None
        for position, find in enumerate(self._finders):
            event = find(line, received_ms)
            if event is not None:
                if position:
                    self._finders.insert(0, self._finders.pop(position))
                return event
        return None

    def expect(self, find: Parser) -> None:
        """A line of this format came by: it is tried first from now on."""
        self._finders.remove(find)
        self._finders.insert(0, find)


def parser_for(name: str) -> Parser:
    """The parser of a format, or a new one that remembers: for `auto`, and for formats whose lines need that.

    Raises: DecodeError naming the known formats.
    """
    if name == AUTO:
        return AutoParser()
    for known in FORMATS:
        if known.name == name:
            return known.begin() if known.begin is not None else known.parse
    raise DecodeError(f"unknown format; known are {', '.join(NAMES)}")


def is_read_by_itself(name: str) -> bool:
    """Whether a line of this format gives its event without those before it."""
    return any(known.name == name and known.begin is None for known in FORMATS)


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
