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
from pathlib import Path
from typing import Any, Literal

import hyperscan
import msgspec

from detectors.decoding import ENTITIES
from detectors.errors import ConfigError
from detectors.finding import Severity
from detectors.key_forms import pattern_fields
from detectors.pattern_database import open_database

Field = Literal["record", "path", "target", "raw", "agent", "text", "method", "line"]
ENCODED = "encoded"
"""Tag of a record with escapes that an attack could hide behind; its text is decoded and scanned again."""

TOGETHER_FROM = 16
"""Records from which on a batch is scanned as one text."""
HITS_PER_RECORD = 16
"""On average, over which it is not; ordinary traffic has one hit in ten to fifty records."""


def _bytes(digits: str, before: str) -> str:
    """Bytes as an expression: `%` for percent-escapes, `\\x` for the bytes themselves."""
    return "".join(f"{before}{digits[n : n + 2]}" for n in range(0, len(digits), 2))


_LOOK_ALIKES = (
    "e28895", "e28184", "e28896", "e280a4", "e280a5", "cab9", "cabc", "e280b2", "e280b9", "e280ba", "e38088", "e38089",
)  # fmt: skip
"""Of the slashes, the dot, the quotes and `<`, as UTF-8 (decoding.py)."""
_ENCODED_HINTS = (
    # Percent-escapes of characters that attacks need, or that nobody need escape; overlong forms; `%u0065`, `%uff45`.
    r"%(?:0[09abcd]|2[2-9abdef]|3[0-9a-e]|[4-7][0-9a-f]|c[01]%|e0%8[01]|f0%80|u(?:00|ff|02|2[0-3]|30))",
    # JSON and JavaScript escapes of ASCII characters, of fullwidth ones and of look-alikes.
    r"\\u(?:00[0-7][0-9a-f]|ff[0-5][0-9a-f]|02b[9c]|22(?:15|16)|20(?:44|2[45]|3[29a])|300[089]|\{)",
    # Bytes as nginx and Apache write them, or JavaScript does.
    r"\\x(?:[2-7][0-9a-f]|c[01]\\+x|e0\\+x8[01]|f0\\+x80|ef\\+xb[cd])",
    # HTML entities that decoding.py knows.
    rf"&(?:#x?[0-9]|(?:{'|'.join(sorted(ENTITIES))});)",
    # Fullwidth forms, percent-encoded; as they stand all but the punctuation of Chinese and Japanese.
    r"%ef%b[cd]|\xef\xbc[\x82-\x87\x8a\x8b\x8d-\x99\x9c-\x9e\xa0-\xbf]|\xef\xbd[\x80-\x9e]",
    "|".join(_bytes(form, before) for form in _LOOK_ALIKES for before in ("%", r"\x")),
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
    examples_count: bool = False

    def prefilter_expression(self) -> str:
        """What the one database looks for on behalf of this pattern."""
        if self.literals:
            return "|".join(_escape(literal) for literal in self.literals)
        return self.prefilter or self.regex


def _escape(literal: str) -> str:
    """A literal as a Hyperscan expression.

    A slash may be escaped as in JSON written by PHP; within, it may be doubled, a backslash, or `/./`.
    """
    first, rest = literal[:1], literal[1:]
    return ("\\\\?/" if first == "/" else _character(first)) + "".join(map(_character, rest))


def _character(character: str) -> str:
    if character == "/":
        return r"[\\/]{1,4}(?:\.[\\/]{1,4}){0,3}"
    if character.isascii() and character.isalnum():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "replace"))


Hits = dict[int, list[Pattern | str]]
"""What a scan found, by the index of the record: patterns that may be in it, and tags."""


@cache
def load_patterns(name: str) -> tuple[Pattern, ...]:
    """The patterns of all files of detectors/patterns/NAME/, in their order. Raises: ConfigError naming the entry."""
    folder = files("detectors").joinpath("patterns", name)
    ordered = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda file: file.name)
    return tuple(pattern for file in ordered for pattern in _read(file))


def _read(file: Traversable) -> Iterator[Pattern]:
    for entry in tomllib.loads(file.read_text("utf-8"))["pattern"]:
        try:
            yield msgspec.convert(pattern_fields(entry), Pattern)
        except (msgspec.ValidationError, KeyError) as error:
            raise ConfigError(f"patterns/{file.name}: {entry.get('id')}: {error}") from error


class Tag(msgspec.Struct, frozen=True):
    """Texts from the policy (login paths, health paths, literals of own rules) that tag a record."""

    tag: str
    texts: tuple[str, ...] = ()
    expression: str = ""
    """What to look for where texts will not do: an expression of Hyperscan."""


class _Prefilters:
    """The prefilters of some patterns and tags as one database, in two ways of scanning."""

    def __init__(self, entries: Sequence[tuple[Pattern | str, str]], cache: Path | None) -> None:
        self.tags = [tag for tag, _ in entries]
        expressions = [expression.encode() for _, expression in entries]
        self._together = open_database(expressions, hyperscan.HS_FLAG_CASELESS, cache)
        self._singly = open_database(
            expressions, hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH, cache
        )

    def ends(self, text: bytes, most: int) -> list[tuple[int, int]] | None:
        """(end, number of the tag) of every hit in a text; None where there are more than `most`."""
        hits: list[tuple[int, int]] = []

        def on_match(number: int, _start: int, end: int, _flags: int, _context: Any) -> bool:
            hits.append((end, number))
            return len(hits) > most

        try:
            self._together.scan(text, match_event_handler=on_match)
        except hyperscan.ScanTerminated:
            return None
        return hits

    def numbers(self, text: bytes) -> list[int]:
        """The numbers of the tags that hit a text, each once, in their order."""
        found: list[int] = []
        self._singly.scan(text, match_event_handler=lambda number, *_: found.append(number))
        found.sort()
        return found


class Scanner:
    """Scans records for the literals of all patterns and tags. Not for use from several threads at once.

    The patterns come with the program: their database is compiled once and kept on disk. What comes from the policy
    (tags, patterns of its own) is a small database beside it, so that a changed policy compiles in milliseconds.
    """

    def __init__(
        self,
        patterns: Sequence[Pattern],
        tags: Iterable[Tag] = (),
        *,
        own: Sequence[Pattern] = (),
        cache: Path | None = None,
    ) -> None:
        """`own`: patterns of the policy, which are asked first. `cache`: the folder of the compiled database."""
        self.own = tuple(own)
        self.key_ids = frozenset(p.id for p in (*own, *patterns) if p.field == "record")
        policy: list[tuple[Pattern | str, str]] = [(p, p.prefilter_expression()) for p in own]
        tags = tuple(tags)
        for tag in tags:
            expression = tag.expression or "|".join(map(_escape, tag.texts))
            policy += [(tag.tag, expression)] if expression else []
        fixed: list[tuple[Pattern | str, str]] = [(p, p.prefilter_expression()) for p in patterns]
        fixed += [(ENCODED, hint) for hint in _ENCODED_HINTS]
        self._parts = [_Prefilters(policy, None)] if policy else []
        self._parts.append(_Prefilters(fixed, cache))
        self._made_of = (patterns, tags, own, cache)

    def twin(self) -> "Scanner":
        """The same scanner once more, for another thread."""
        patterns, tags, own, cache = self._made_of
        return Scanner(patterns, tags, own=own, cache=cache)

    def scan(self, records: Sequence[bytes]) -> dict[int, list[Pattern | str]]:
        """The records with a hit, by index, with the patterns and tags that may be in them."""
        if len(records) >= TOGETHER_FROM:
            together = self._scan_together(records)
            if together is not None:
                return together
        return {index: hits for index, record in enumerate(records) if (hits := self.scan_one(record))}

    def _scan_together(self, records: Sequence[bytes]) -> dict[int, list[Pattern | str]] | None:
        """As one text, which is three times as fast; None where there are so many hits that it is not.

        A record that repeats a literal calls back for each, so an attacker could make this slow; one by one
        there is at most one call for each pattern.
        """
        text = b"\n".join(records)
        found: dict[int, list[Pattern | str]] = {}
        ends: list[int] = []
        for part in self._parts:
            hits = part.ends(text, HITS_PER_RECORD * len(records))
            if hits is None:
                return None
            if hits and not ends:
                ends = list(accumulate(len(record) + 1 for record in records))
            for index, number in sorted({(bisect_left(ends, end), number) for end, number in hits}):
                found.setdefault(index, []).append(part.tags[number])
        return found

    def scan_one(self, record: bytes) -> list[Pattern | str]:
        """The patterns and tags that may be in one record, in the order in which they are asked."""
        return [part.tags[number] for part in self._parts for number in part.numbers(record)]
