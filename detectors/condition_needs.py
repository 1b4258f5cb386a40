"""What a condition needs: the little that must hold in every event that meets it.

With it the engine leaves most events alone: it looks at those with one of a few statuses, or whose record holds one
of a few literals, which the one scan for all patterns finds on the way.
"""

from collections.abc import Callable, Iterable
from functools import reduce

import msgspec

from detectors.condition_fields import DECODED, NUMBERS
from detectors.condition_matching import matcher_of
from detectors.conditions import All, Any, Condition, Not, Op, Test
from detectors.event import Event

STATUSES = range(100, 600)
"""Those that an event may have: ingest lets no other pass."""
SHORTEST_LITERAL = 4
"""Shorter ones stand in most records, and finding them often costs more than looking."""
EVERYTHING_COSTS = 1000
ANY_STATUS_COSTS = 800
COMMON_COSTS = 200
"""Of a literal that stands in ordinary lines: as many events as any ordinary status, and more to read."""
_ORDINARY_STATUSES = frozenset({200, 201, 204, 206, 301, 302, 304})
_ORDINARY = """
203.0.113.9 - - [23/nov/2026:10:00:00 +0000] "get /index.html?id=1&page=2&lang=en&q=a+b http/1.1" 200 512
"https://www.example.com/" "mozilla/5.0 (windows nt 10.0; win64; x64) applewebkit/537.36 (khtml, like gecko)
chrome/130.0.0.0 safari/537.36 edg/130.0.0.0" "http://www.example.org/" "mozilla/4.0 (compatible; msie 6.0;
windows nt 5.1)" "mozilla/5.0 (macintosh; intel mac os x 10_15_7) version/17.5" "mozilla/5.0 (x11; ubuntu; linux x86_64;
rv:130.0) gecko/20100101 firefox/130.0" "mozilla/5.0 (iphone; cpu iphone os 17_5 like mac os x) mobile/15e148"
"mozilla/5.0 (linux; android 10; k)" "mozilla/5.0 (compatible; googlebot/2.1; +http://www.google.com/bot.html)"
"post /index.php" "put " "delete " "head " "options " "patch " /images/logo.png /style.css /app.js /favicon.ico .jpg
/api/v1/users/1 /search /login /static/ /assets/ {"timestamp": "client_ip": "method": "path": "status": "user_agent":
"host": "request_id": "message": "referer": "duration_ms": "bytes": "user": "level": "info" "log": "request": "time":
"remote_addr": "body_bytes_sent": "http_user_agent": "http_referer": "x-forwarded-for" python-requests/2.32 curl/8.5.0
""".replace("\n", " ")
"""What ordinary traffic is full of: made-up lines. A literal in it selects so much that any other is better."""
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.:@")
"""Characters that stand in a record as they stand in the field. Others may be escaped there (quotes, slashes, `<`),
joined (commas), folded (slashes), or written with another case outside ASCII."""
_OF_NUMBERS = frozenset("0123456789.e+-")
LITERAL_OPS = frozenset({Op.EQUALS, Op.CONTAINS, Op.STARTS, Op.ENDS})
WITHOUT_LITERALS = NUMBERS | {"ip", "timestamp", "outcome", "category"}
"""Their values are brought to a form of ours, so the record need not hold them."""


class Needs(msgspec.Struct, frozen=True):
    """An event that meets the condition has at least one of these; where none is named, no event meets it."""

    statuses: frozenset[int] = frozenset()
    literals: frozenset[str] = frozenset()
    """In small letters. One stands in the record in any case, or the record has escapes that could hide it."""
    is_decoded: bool = False
    """A literal is one of a decoded field: disguises other than plain escapes could hide it too."""
    regexes: frozenset[str] = frozenset()
    """One is found in a field's text; where records are scanned there are none (event_texts.py has them)."""
    fields: frozenset[str] = frozenset()
    """Whose texts hold the literals and regexes, where not the record does."""
    outcome: bool = False
    """An outcome is present."""
    key: bool = False
    """An api_key_id is present."""
    everything: bool = False
    """Nothing can be said: every event must be looked at."""

    def cost(self) -> int:
        """How many events this selects, roughly, for a choice between several."""
        if self.everything:
            return EVERYTHING_COSTS
        cost = 100 if self.statuses & _ORDINARY_STATUSES else 3 if self.statuses else 0
        cost += ANY_STATUS_COSTS * (len(self.statuses) == len(STATUSES))
        if self.literals:
            shortest = min(map(len, self.literals))
            cost += (60 if shortest <= SHORTEST_LITERAL else 10 if shortest < 7 else 2) + len(
                self.literals
            ) // 8
            cost += COMMON_COSTS * any(map(is_common, self.literals))
        return cost + 40 * bool(self.regexes) + 20 * self.outcome + 50 * self.key

    @property
    def is_dear(self) -> bool:
        """Whether nearly every event has what is needed: it is as well to look at all of them."""
        return self.everything or any(map(is_common, self.literals))


ANYTHING = Needs(everything=True)
NOTHING = Needs()


FIELD_MARKS = "\n" + "".join(map(chr, range(0x0E, 0x20)))
"""A field's text begins with a line break and one of these control characters, which have no case."""


def is_common(literal: str) -> bool:
    """Whether a literal stands in ordinary lines, or a field of one begins with it."""
    return (literal.strip(FIELD_MARKS) if literal.startswith("\n") else literal) in _ORDINARY


def needs_of(condition: Condition, literals_of: Callable[[Test], Needs | None] | None = None) -> Needs:
    """What must hold for a match. Raises: ConfigError as matcher_of does.

    `literals_of`: what a comparison of texts needs; without it, what the record must hold.
    """
    match condition:
        case Test():
            return _of_test(condition, literals_of or _in_record)
        case All(parts):
            return _of_all([needs_of(part, literals_of) for part in parts])
        case Any(parts):
            return one_of(needs_of(part, literals_of) for part in parts)
        case Not(Not(part)):
            return needs_of(part, literals_of)
        case Not(Test(op=Op.EXISTS) as test):
            values = tuple(value for value in (True, False) if value not in test.values)
            return needs_of(Test(test.field, Op.EXISTS, values), literals_of) if values else NOTHING
        case Not():
            return ANYTHING


def _of_all(parts: list[Needs]) -> Needs:
    """Each part's needs hold, so the cheapest will do; those of nothing but statuses narrow each other."""
    only = [part.statuses for part in parts if part == Needs(part.statuses)]
    if len(only) > 1:
        parts = [*parts, Needs(reduce(frozenset.intersection, only))]
    return min(parts, key=lambda part: (part.cost(), len(part.statuses)), default=ANYTHING)


def one_of(parts: Iterable[Needs]) -> Needs:
    """What an event needs that meets any of several."""
    found = Needs()
    for part in parts:
        found = Needs(
            found.statuses | part.statuses,
            found.literals | part.literals,
            found.is_decoded or part.is_decoded,
            found.regexes | part.regexes,
            found.fields | part.fields,
            found.outcome or part.outcome,
            found.key or part.key,
            found.everything or part.everything,
        )
    return ANYTHING if found.everything else found


def _of_test(test: Test, literals_of: Callable[[Test], Needs | None]) -> Needs:
    if test.op is Op.EXISTS and False in test.values:
        absent = test.field not in WITHOUT_LITERALS and True not in test.values
        return (literals_of(test) if absent else None) or ANYTHING
    if test.field == "status":
        matches = matcher_of(test)
        return Needs(frozenset(status for status in STATUSES if matches(Event(status=status), b"")))
    if test.field == "outcome":
        return Needs(outcome=True)
    found = None if test.field in WITHOUT_LITERALS else literals_of(test)
    return found or (Needs(key=True) if test.field == "api_key_id" else ANYTHING)


def _in_record(test: Test) -> Needs | None:
    """What the record must hold; None where nothing can be said."""
    if test.op not in LITERAL_OPS:
        return None
    literals = {_literal(str(value), test.field) for value in test.values}
    if "" in literals:
        return None
    return Needs(literals=frozenset(literals), is_decoded=test.field in DECODED)


def _literal(text: str, field: str) -> str:
    """The longest part of a text that its record must hold, in small letters; empty where there is none.

    A text that could be a number is none: one that was logged as `1e3` is `1000.0` in its field.
    """
    plain = "".join(
        c if c in _SAFE else " " for c in (text.lower() if text.isascii() else _ascii_lower(text))
    )
    runs = [run for run in plain.split() if len(run) >= SHORTEST_LITERAL]
    if field not in ("client_ip", "forwarded_for"):
        runs = [run for run in runs if not _OF_NUMBERS.issuperset(run) and run != "-inf"]
    return max(runs, key=len, default="")


def _ascii_lower(text: str) -> str:
    """Small letters of ASCII only: any other character ends a part."""
    return "".join(c.lower() if c.isascii() else " " for c in text)
