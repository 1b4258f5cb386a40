"""What a log format is: one contract for all, whether a table (`text_format.py`, `record_format.py`) or a parser.

A format is met in three ways, and says for each what it makes of it: as a whole line of its own file, as a message
under the name of its program (syslog, journald, a shipper's field), as a record of keys and values (JSON, logfmt).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from detectors.event import Event

Parser = Callable[[str, int], Event | None]
"""(text, received_ms) -> the event, or None where the text is not of this format."""
SHORTEST_LINE = 15
"""No line of any format is shorter, except JSON and the directives of W3C: `<1>1 - - - - - -`. A body may hold half a
million lines of one character, and each would be shown to every parser."""
RecordReader = Callable[[Mapping[str, Any], Event], None]
"""Completes the event that the field map made of a record, from the record itself."""


@dataclass(frozen=True, slots=True)
class Format:
    """One log format."""

    name: str
    """As in `?format=`, in docs/ingest.md, and in the journal (`Batch.read_as`)."""
    title: str
    """Which lines these are, for people: its row in docs/ingest.md."""
    source: str
    """Where its lines are described: documentation, or the program's own source."""
    parse: Parser
    """A line of which the sender says that it is of this format; what is nothing for us is a plain message."""
    find: Parser | None = None
    """A line that may be of any format: taken only where it is beyond doubt of this one. None: `auto` has no way to
    it but by the name of its program, or by the keys of a record."""
    begin: Callable[[], Parser] | None = None
    """Where a line says what the next ones hold: a parser that remembers, one for each body. It is used in place of
    `parse` and `find`, which know the default alone."""
    marks: tuple[str, ...] = ()
    """Literals of which a line must hold one before `find` is asked; none: it is always asked."""
    programs: tuple[str, ...] = ()
    """The programs that write it, as `programs.program_name` gives them."""
    parse_message: Parser | None = None
    """What such a program said, without the syslog header; None where that is nothing for us."""
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The keys of a record by which it is recognised, and the values of which one must stand there (none: any). The
    first is the one that the fewest records of others have."""
    read_record: RecordReader | None = None
