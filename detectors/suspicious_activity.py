"""suspicious_activity: requests that nobody makes by accident.

Looks at: the decoded target, the user agent and the referer, by the patterns of patterns/attacks.toml: probing for
secrets and administration pages, traversal, injection, known attack tools. One request counts once.
Why: scanners ask for what real clients never do, and ask for much of it in little time.
Default: 5 in a minute from one address; investigates.
Source: ATT&CK T1595.002, T1595.003 (active scanning), T1190; OWASP OAT-014 (vulnerability scanning); the operator's
document.
"""

from collections.abc import Iterable, Iterator

from detectors.decoding import decode_target, normal_path
from detectors.detector import Look, Surroundings, Verdict
from detectors.event import Event
from detectors.redact import compiled
from detectors.rule import Rule
from detectors.scanner import ENCODED, Pattern, Scanner, load_patterns

LONGEST_QUOTE = 80
"""Characters of the matched text that are shown."""


class SuspiciousActivity:
    """Confirms what the scan thinks it saw, field by field."""

    statuses: frozenset[int] = frozenset()
    tags = frozenset({ENCODED, *(p.id for p in load_patterns("attacks"))})
    outcomes = False
    keys = False

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        self._rule = rule
        self._scanner = site.scanner

    def judge(self, look: Look) -> Iterable[Verdict]:
        """One verdict where any pattern is confirmed, naming the first."""
        matched = next(attacks_in(look, self._scanner), None)
        return (Verdict(self._rule, f"{matched[1]} ({matched[0].id})"),) if matched else ()


def attacks_in(look: Look, scanner: Scanner) -> Iterator[tuple[Pattern, str]]:
    """The attack patterns confirmed in an event, each with `field: the matched text`."""
    event = look.event
    raw = target_of(event)
    target = decode_target(raw)
    texts = {"target": target, "path": normal_path(target), "agent": event.user_agent or ""}
    texts["text"] = "\n".join((target, decode_target(texts["agent"]), decode_target(event.referer or "")))
    hits = look.hits
    if ENCODED in hits or target != raw or len(texts["path"]) != len(target.partition("?")[0]):
        hits = scanner.scan_one("\n".join((texts["path"], texts["text"])))
    failed = event.status is None or event.status >= 400
    for pattern in hits:
        if not isinstance(pattern, Pattern) or pattern.field == "record" or (pattern.failed and not failed):
            continue
        match = compiled(pattern).search(texts[pattern.field])
        if match:
            where = "request" if pattern.field == "text" else pattern.field
            yield pattern, f"{where}: {match.group()[:LONGEST_QUOTE]!r}"


def target_of(event: Event) -> str:
    """Path and query as logged."""
    path = event.path or ""
    return f"{path}?{event.query.removeprefix('?')}" if event.query and "?" not in path else path
