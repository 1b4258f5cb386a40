"""suspicious_activity: requests that nobody makes by accident.

Looks at: the decoded target, the user agent and the referer, by the patterns of patterns/attacks/*.toml: probing for
secrets and administration pages, traversal, injection, known attack tools, what is no request at all. One request
counts once.
Why: scanners ask for what real clients never do, and ask for much of it in little time.
Default: 5 in a minute from one address; investigates.
Source: ATT&CK T1595.002, T1595.003 (active scanning), T1190; OWASP OAT-014 (vulnerability scanning); the operator's
document.
"""

from collections.abc import Callable, Iterable, Iterator

from detectors.decoding import decode_target, normal_path, values_of
from detectors.detector import Detector, Look, Verdict
from detectors.event import Event
from detectors.redact import compiled
from detectors.scanner import ENCODED, Pattern, Scanner, load_patterns
from detectors.sql_tokens import is_sql_injection

LONGEST_QUOTE = 80
"""Characters of the matched text that are shown."""
LONGEST_FIELD = 4_096
"""Characters of the user agent, the referer and an unreadable line that are read."""
LONGEST_TARGET = 16_384
VALUES_AT_EACH_END = 8
"""Of a query with more values that have an attack's characters in them, the first and the last are read singly."""

CONFIRMED_BY_VALUE: dict[str, Callable[[str], bool]] = {"sqli.tokens": is_sql_injection}
"""Patterns whose regex only says that it is worth looking; these functions say whether it is so, value by value."""


class SuspiciousActivity(Detector):
    """Confirms what the scan thinks it saw, field by field."""

    tags = frozenset({ENCODED, *(p.id for p in load_patterns("attacks"))})

    def judge(self, look: Look) -> Iterable[Verdict]:
        """One verdict where any pattern is confirmed, naming the first."""
        matched = next(attacks_in(look, self._site.scanner), None)
        return (Verdict(self._rule, f"{matched[1]} ({matched[0].id})"),) if matched else ()


def attacks_in(look: Look, scanner: Scanner) -> Iterator[tuple[Pattern, str]]:
    """The attack patterns confirmed in an event, each with `field: the matched text`."""
    event = look.event
    raw = target_of(event)
    target = decode_target(raw)
    agent = (event.user_agent or "")[:LONGEST_FIELD]
    texts = {"raw": raw[:LONGEST_TARGET], "target": target, "agent": agent, "method": event.method or ""}
    texts["path"] = normal_path(target)
    referer = (event.referer or "")[:LONGEST_FIELD]
    texts["text"] = f"{target}\n{decode_target(agent)}\n{decode_target(referer)}"
    hits: Iterable[Pattern | str] = look.hits
    if ENCODED in look.hits or target != raw or len(texts["path"]) != len(target.partition("?")[0]):
        folded = "" if target.startswith(texts["path"]) else texts["path"]
        decoded = scanner.scan_one(f"{folded}\n{texts['text']}".encode("utf-8", "replace"))
        hits = dict.fromkeys((*decoded, *look.hits))
    failed = event.status is None or event.status >= 400
    for pattern in hits:
        if not isinstance(pattern, Pattern) or pattern.field == "record" or (pattern.failed and not failed):
            continue
        if pattern.field == "line" and "line" not in texts:
            texts["line"] = _unreadable_line(look)
        match = compiled(pattern).search(texts[pattern.field])
        if not match:
            continue
        quote = match.group()
        if pattern.id in CONFIRMED_BY_VALUE:
            values = values_of(texts["raw"])
            values = values[:VALUES_AT_EACH_END] + values[VALUES_AT_EACH_END:][-VALUES_AT_EACH_END:]
            quote = next(filter(CONFIRMED_BY_VALUE[pattern.id], values), "")
        if quote:
            where = "request" if pattern.field == "text" else pattern.field
            yield pattern, f"{where}: {quote[:LONGEST_QUOTE]!r}"


def _unreadable_line(look: Look) -> str:
    """The record of an HTTP request without a readable target; empty where there is one, or no request at all."""
    event = look.event
    if event.status is None or (event.path or "").startswith(("/", "*", "http")):
        return ""
    return look.record[:LONGEST_FIELD].decode("utf-8", "replace")


def target_of(event: Event) -> str:
    """Path and query as logged."""
    path = event.path or ""
    return f"{path}?{event.query.removeprefix('?')}" if event.query and "?" not in path else path
