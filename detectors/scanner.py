"""One Hyperscan database for all patterns: which records are worth a closer look, and what is in them.

Two steps. A batch is scanned once for the patterns' literals (a few hundred nanoseconds a record, whatever the
number of patterns). The few records with a hit are decoded and the patterns that hit are confirmed with RE2,
which like Hyperscan is linear on hostile input; the standard library's `re` is not.
"""

import tomllib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import accumulate
from typing import Any, Literal

import hyperscan
import msgspec
import re2

from detectors.errors import ConfigError
from detectors.finding import Severity
from detectors.key_forms import pattern_fields

Field = Literal["record", "path", "target", "raw", "agent", "text", "method", "line"]
ENCODED = "encoded"
"""Tag of a record with escapes that an attack could hide behind; its text is decoded and scanned again."""

TOGETHER_FROM = 16
"""Records from which on a batch is scanned as one text."""
HITS_PER_RECORD = 16
"""On average, over which it is not; ordinary traffic has one hit in ten to fifty records."""

_ENCODED_HINTS = (
    # Percent-escapes of characters that attacks need, or that nobody need escape; two-byte forms of `.` and `/`.
    rb"%(?:0[0ad]|2[2-9bdef]|3[0-9a-e]|[4-7][0-9a-f]|c[01]%|u00)",
    # JSON escapes of ASCII characters.
    rb"\\u00[0-7][0-9a-f]",
)


class Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a pattern file. The fields are explained in key_forms.py, the rest in attacks/probes.toml."""

    id: str
    description: str
    regex: str
    severity: Severity
    source: str
    field: Field = "record"
    literals: tuple[str, ...] = ()
    prefilter: str = ""
    min_entropy: float = 0.0
    skip: tuple[str, ...] = ()
    failed: bool = False
    points: int = 0
    """What an attack's request weighs, in hundredths of a point; 0: what its severity does (suspicious_activity)."""

    def prefilter_expression(self) -> str:
        """What the one database looks for on behalf of this pattern."""
        if self.literals:
            return "|".join(_escape(literal) for literal in self.literals)
        return self.prefilter or self.regex


def _escape(literal: str) -> str:
    """A literal as a Hyperscan expression; a slash may be escaped as in JSON written by PHP."""
    return "".join("\\\\?/" if c == "/" else c if c.isalnum() else f"\\x{ord(c):02x}" for c in literal)


@cache
def load_patterns(name: str) -> tuple[Pattern, ...]:
    """The patterns of all files of detectors/patterns/NAME/, in their order. Raises: ConfigError naming the entry."""
    folder = files("detectors").joinpath("patterns", name)
    ordered = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda file: file.name)
    return tuple(pattern for file in ordered for pattern in _read(file))


def _read(file: Traversable) -> Iterator[Pattern]:
    for entry in tomllib.loads(file.read_text("utf-8"))["pattern"]:
        try:
            pattern = msgspec.convert(pattern_fields(entry), Pattern)
            re2.compile(pattern.regex)
        except (msgspec.ValidationError, KeyError, re2.error) as error:
            raise ConfigError(f"patterns/{file.name}: {entry.get('id')}: {error}") from error
        yield pattern


@cache
def _serialized(expressions: tuple[bytes, ...], flags: int) -> bytes:
    """A compiled database as bytes. Compiling takes a second, loading less than a millisecond."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=expressions, ids=list(range(len(expressions))), flags=[flags] * len(expressions)
    )
    return bytes(hyperscan.dumpb(database))


def _compiled(expressions: Sequence[bytes], flags: int) -> Any:
    database = hyperscan.loadb(_serialized(tuple(expressions), flags), hyperscan.HS_MODE_BLOCK)
    # A loaded database comes without its working memory.
    database.scratch = hyperscan.Scratch(database)
    return database


class Tag(msgspec.Struct, frozen=True):
    """Texts from the policy (login paths, health paths, literals of own rules) that tag a record."""

    tag: str
    texts: tuple[str, ...] = ()
    expression: str = ""
    """What to look for where texts will not do: an expression of Hyperscan."""


class Scanner:
    """Scans records for the literals of all patterns and tags. Not for use from several threads at once."""

    def __init__(self, patterns: Sequence[Pattern], tags: Iterable[Tag] = ()) -> None:
        tags = tuple(tags)
        self._made_of = (patterns, tags)
        self._tags: list[Pattern | str] = []
        expressions: list[bytes] = []
        for pattern in patterns:
            self._add(expressions, pattern.prefilter_expression().encode(), pattern)
        for tag in tags:
            expression = tag.expression or "|".join(map(_escape, tag.texts))
            if expression:
                self._add(expressions, expression.encode(), tag.tag)
        for hint in _ENCODED_HINTS:
            self._add(expressions, hint, ENCODED)
        self._together = _compiled(expressions, hyperscan.HS_FLAG_CASELESS)
        self._singly = _compiled(expressions, hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH)

    def twin(self) -> "Scanner":
        """The same scanner once more, for another thread."""
        return Scanner(*self._made_of)

    def _add(self, expressions: list[bytes], expression: bytes, tag: Pattern | str) -> None:
        self._tags.append(tag)
        expressions.append(expression)

    def scan(self, records: Sequence[bytes]) -> dict[int, list[Pattern | str]]:
        """The records with a hit, by index, with the patterns and tags that may be in them."""
        if len(records) >= TOGETHER_FROM:
            together = self._scan_together(records)
            if together is not None:
                return together
        return self._scan_singly(records)

    def _scan_together(self, records: Sequence[bytes]) -> dict[int, list[Pattern | str]] | None:
        """As one text, which is three times as fast; None where there are so many hits that it is not.

        A record that repeats a literal calls back for each, so an attacker could make this slow; one by one
        there is at most one call for each pattern.
        """
        most = HITS_PER_RECORD * len(records)
        hits: list[tuple[int, int]] = []

        def on_match(number: int, _start: int, end: int, _flags: int, _context: Any) -> bool:
            hits.append((end, number))
            return len(hits) > most

        try:
            self._together.scan(b"\n".join(records), match_event_handler=on_match)
        except hyperscan.ScanTerminated:
            return None
        found: dict[int, list[Pattern | str]] = {}
        if hits:
            ends = list(accumulate(len(record) + 1 for record in records))
            for index, number in dict.fromkeys((bisect_left(ends, end), number) for end, number in hits):
                found.setdefault(index, []).append(self._tags[number])
        return found

    def _scan_singly(self, records: Sequence[bytes]) -> dict[int, list[Pattern | str]]:
        found: dict[int, list[Pattern | str]] = {}
        tags = self._tags

        def on_match(number: int, _start: int, _end: int, _flags: int, index: Any) -> None:
            found.setdefault(index, []).append(tags[number])

        scan = self._singly.scan
        for index, record in enumerate(records):
            scan(record, match_event_handler=on_match, context=index)
        return found

    def scan_one(self, text: str) -> list[Pattern | str]:
        """The patterns and tags that may be in one text, in the order in which they were given."""
        numbers: list[int] = []
        self._singly.scan(
            text.encode("utf-8", "replace"), match_event_handler=lambda n, *_: numbers.append(n)
        )
        return [self._tags[number] for number in sorted(numbers)]
