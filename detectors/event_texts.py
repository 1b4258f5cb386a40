"""The texts of an event that own rules ask about, scanned once for all rules: which of them may be met.

The fields are joined as `\\n`, a mark of the field, the text; so a literal can be bound to the beginning or the end of
a field. What the scan names is a superset of what is met, and the conditions have the last word.
"""

import re
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any as Anything

import hyperscan
import re2

from detectors.condition_fields import LONGEST_RECORD_BYTES, TEXTS, fold, reader_of
from detectors.condition_needs import ANYTHING, FIELD_MARKS, LITERAL_OPS, WITHOUT_LITERALS, Needs, needs_of
from detectors.conditions import Condition, Op, Test
from detectors.decoding import LONGEST_END
from detectors.event import Event
from detectors.pattern_database import open_database
from detectors.suspicious_activity import target_of

LONGEST_LITERAL = 160
"""Characters of a value that are looked for."""
MOST_LITERALS = 4_000
"""Of all rules together; those past that are asked about every event."""
MOST_REGEXES = 64
"""Looked for beforehand; rules with further ones are asked about every event."""
_TARGETS, _PATHS = frozenset({"target", "decoded_target"}), frozenset({"path", "decoded_path"})
_PLAIN = sorted(TEXTS - WITHOUT_LITERALS - _PATHS - {"query"})
_MARKS = {
    name: f"\n{mark}"
    for names, mark in zip(
        (_TARGETS, _PATHS, {"query"}, {"record"}, *({name} for name in _PLAIN)), FIELD_MARKS[1:], strict=False
    )
    for name in names
}
"""Begins the text of a field. A target and what it means share theirs, since they mostly are the same text."""
_HIDES = re.compile(r"[%\\&+]")
"""A short target of ASCII without any of them means what it says; a path also needs its slashes folded."""
_FOLDS = re.compile(r"[%\\&]|/[/.]")

_decoded_target, _decoded_path = reader_of("decoded_target"), reader_of("decoded_path")


class EventTexts:
    """Which of some conditions an event may meet. Not for use from several threads at once."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        needs = _bounded([needs_of(condition, _in_texts) for condition in conditions])
        self._always = [n for n, need in enumerate(needs) if need.everything]
        self._outcome = [n for n, need in enumerate(needs) if need.outcome]
        self._key = [n for n, need in enumerate(needs) if need.key]
        self._by_status: dict[int, list[int]] = {}
        self._by_literal: list[list[int]] = []
        self._by_regex: list[list[int]] = []
        for number, need in enumerate(needs):
            for status in need.statuses:
                self._by_status.setdefault(status, []).append(number)
        self._literals = _database(needs, self._by_literal)
        self._regexes = _filter(needs, self._by_regex)
        fields = frozenset().union(*(need.fields for need in needs))
        of_regexes = frozenset().union(*(need.fields for need in needs if need.regexes))
        self._of_regexes, self._others, self._all = map(_Joined, (of_regexes, fields - of_regexes, fields))

    def may_meet(self, event: Event, record: bytes) -> list[int]:
        """The numbers of the conditions that may hold, in their order; no other holds."""
        found = self._always.copy()
        if event.status in self._by_status:
            found += self._by_status[event.status]
        if event.outcome is not None:
            found += self._outcome
        if event.api_key_id is not None:
            found += self._key
        texts = b""
        if self._regexes is not None:
            texts = self._of_regexes.join(event, record)
            for number in self._regexes.Match(texts, potential=True) or ():
                found += self._by_regex[number]
        if self._literals is not None:
            # A regex reads the text as it is, a literal stands in its small letters.
            folded = (
                texts + self._others.join(event, record, fold)
                if texts.isascii()
                else self._all.join(event, record, fold)
            )
            hits: list[int] = []
            self._literals.scan(folded, match_event_handler=lambda number, *_: hits.append(number))
            for number in hits:
                found += self._by_literal[number]
        return sorted({*found}) if found else found


class _Joined:
    """The texts of some fields, each behind its mark. What is absent may stand there too: no condition is met by it."""

    def __init__(self, fields: frozenset[str]) -> None:
        self._targets, self._paths = not fields.isdisjoint(_TARGETS), not fields.isdisjoint(_PATHS)
        self._query, self._record = "query" in fields, "record" in fields
        plain = sorted(fields & set(_PLAIN))
        self._plain = [(_MARKS[name], attrgetter(name)) for name in plain]

    def join(self, event: Event, record: bytes, case: Callable[[str], str] = str) -> bytes:
        """`case` is applied where there are letters outside ASCII; those of ASCII stay as they are."""
        joined = ""
        if self._targets:
            target = target_of(event)
            joined = f"{_MARKS['target']}{target}"
            if not target.isascii() or _HIDES.search(target) or len(target) > LONGEST_END:
                joined += f"{_MARKS['target']}{_decoded_target(event, record) or ''}"
        if self._query:
            joined += f"{_MARKS['query']}{target_of(event).partition('?')[2]}"
        if self._paths and event.path:
            path = event.path.partition("?")[0]
            joined += f"{_MARKS['path']}{path}"
            if not path.isascii() or _FOLDS.search(path) or len(path) > LONGEST_END:
                joined += f"{_MARKS['path']}{_decoded_path(event, record) or ''}"
        for mark, get in self._plain:
            value = get(event)
            joined += f"{mark}{value}" if value and value != "-" else mark
        texts = (joined if joined.isascii() else case(joined)).encode("utf-8", "replace")
        if self._record:
            whole = record[:LONGEST_RECORD_BYTES]
            if not whole.isascii():
                whole = case(whole.decode("utf-8", "replace")).encode("utf-8", "replace")
            texts += _MARKS["record"].encode() + whole
        return texts + b"\n"


def _in_texts(test: Test) -> Needs | None:
    """What the joined texts of an event must hold; None where nothing can be said."""
    if test.field not in _MARKS or not test.values:
        return None
    fields = frozenset({test.field})
    if test.op is Op.EXISTS and True not in test.values and test.field in _PLAIN:
        return Needs(literals=frozenset({f"{_MARKS[test.field]}\n"}), fields=fields)
    if test.op is Op.REGEX:
        return Needs(regexes=frozenset(str(value) for value in test.values), fields=fields)
    if test.op not in LITERAL_OPS or "" in test.values:
        return None
    return Needs(literals=frozenset(_bound(fold(str(value)), test) for value in test.values), fields=fields)


def _bound(text: str, test: Test) -> str:
    """A folded value as it stands in the joined texts."""
    if test.op is Op.CONTAINS:
        return text[:LONGEST_LITERAL]
    if test.op is Op.ENDS:
        return f"{text[-LONGEST_LITERAL:]}\n"
    end = "\n" if test.op is Op.EQUALS and len(text) <= LONGEST_LITERAL else ""
    return f"{_MARKS[test.field]}{text[:LONGEST_LITERAL]}{end}"


def _bounded(needs: list[Needs]) -> list[Needs]:
    literals: set[str] = set()
    regexes: set[str] = set()
    found = []
    for need in needs:
        literals |= need.literals
        regexes |= need.regexes
        within = len(literals) <= MOST_LITERALS and len(regexes) <= MOST_REGEXES
        found.append(need if within or not (need.literals or need.regexes) else ANYTHING)
    return found


def _database(needs: Sequence[Needs], numbers: list[list[int]]) -> Anything:
    """All literals as one database; `numbers`: which conditions need each."""
    rules: dict[str, list[int]] = {}
    for number, need in enumerate(needs):
        for literal in sorted(need.literals):
            rules.setdefault(literal, []).append(number)
    numbers += rules.values()
    if not rules:
        return None
    expressions = [
        "".join(f"\\x{byte:02x}" for byte in lit.encode("utf-8", "replace")).encode() for lit in rules
    ]
    return open_database(expressions, hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH)


def _filter(needs: Sequence[Needs], numbers: list[list[int]]) -> Anything:
    """What all regexes need as one filter of RE2; `numbers`: which conditions need each."""
    found = re2.Filter()
    rules: dict[str, list[int]] = {}
    for number, need in enumerate(needs):
        for regex in sorted(need.regexes):
            rules.setdefault(regex, []).append(number)
    numbers += rules.values()
    if not rules:
        return None
    options = re2.Options()
    options.log_errors = False
    for regex in rules:
        found.Add(regex.encode("utf-8", "replace"), options)
    found.Compile()
    return found
