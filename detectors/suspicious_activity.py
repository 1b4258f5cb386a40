"""suspicious_activity: requests that nobody makes by accident.

Reads the decoded target, the user agent and the referer, by the patterns of patterns/attacks/*.toml, and what was
refused. One request counts once, by its heaviest sign.
Points: an attack 1, one that nobody makes by accident 2, a doubtful one 0.5; a page that is not there, forbidden or
refused 0.5, 0.2 where a link led there, nothing for pictures, scripts and what browsers ask for by themselves. Refused
pages count once in a window for each name at the root and each route of an API, and once for each folder and sort of
file below: a crawler meets many dead pages of one folder, a brute forcer's list holds names for the root. Points count
in full for a window, half in the next, a quarter in the third.
Default: 5 points in a minute from one address; investigates.
Source: ATT&CK T1595.002, T1595.003 (active scanning), T1190; OWASP OAT-014 (vulnerability scanning); the operator's
document.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import re2

from detectors.decoding import decode_target, normal_path, values_of
from detectors.detector import Detector, Look, Surroundings, Verdict, is_one_of
from detectors.event import Event
from detectors.finding import Severity
from detectors.guide import Guide
from detectors.object_enumeration import route_of
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


ATTACK_POINTS, CERTAIN_POINTS = 100, 200
"""Hundredths of a point of an attack, and of a critical one, whose pattern names none. Source: the graded anomaly
scores of OWASP CRS (5 for critical, 4 and 3 below)."""
REFUSED = frozenset({400, 403, 404, 405, 410, 414, 431, 501})
"""Answers to what no client of the site would ask for. Source: RFC 9110; CrowdSec's http-probing (400, 403, 404)."""
REFUSED_POINTS, FOLLOWED_POINTS = 50, 20
_BY_ITSELF = re.compile(
    r"\.(?:png|jpe?g|gif|ico|svg|webp|avif|css|m?js|map|woff2?|ttf|otf|eot|mp[34]|webm|pdf)$|"
    r"^/(?:robots|ads|app-ads|humans|security)\.txt$|^/\.well-known(?:/|$)|^/sitemap[\w-]{0,40}\.xml(?:\.gz)?$|"
    r"^/(?:site\.webmanifest|manifest\.json|browserconfig\.xml|crossdomain\.xml)$",
    re.IGNORECASE,
)
"""What pages and browsers ask for without a person's doing. Source: CrowdSec leaves out static files likewise."""
_API = re.compile(r"^/(?:api|rest|v[0-9]{1,3})/", re.IGNORECASE)
"""Nobody follows links there, so every refused route is a sign of its own."""
_SORT_OF_FILE = re.compile(r"\.[a-z][a-z0-9]{0,4}$", re.IGNORECASE)


class SuspiciousActivity(Detector):
    """Confirms what the scan thinks it saw, field by field, and weighs it."""

    guide = Guide(
        phrase="{subject} sent suspicious requests {times}",
        what=(
            "Requests that nobody makes by accident: probing for secrets and administration "
            "pages, path traversal, injection of SQL, script or commands, known attack tools, "
            "what is no request at all; and, as weak signs, many different pages that are refused or "
            "not there, of which those of one folder count as one. Each has its points, which fade; "
            "scanners collect them in little time. Who tries many names within one folder is found "
            "by not_found_churn."
        ),
        needs="`client_ip` and `path`; `query`, `user_agent` and `referer` add to what is seen.",
        check=(
            "`bartizan incidents show ID`: `matched` of each event names the field, the text and "
            "the pattern. Compare `status`: 404 and 403 mean that nothing was there, 200 or 500 "
            "that such a request may have reached something."
        ),
        act=(
            "All refused: nothing is lost, block the address with `bartizan blocks add ADDRESS "
            "--reason ...` if it goes on. Where one was answered 200 or 500, look at that route's "
            "code and its application log at that time, and rotate every secret that the answer "
            "can have held."
        ),
        wrong=(
            "Your own security scan: `bartizan allow add ADDRESS --note ... --for 1d`. A field in "
            "which people write code or markup (a search, an editor): `mode: observe` for the "
            "time it takes to look, then a higher threshold."
        ),
        references=("T1595.002", "T1595.003", "T1190", "OAT-014"),
    )

    statuses = REFUSED
    tags = frozenset({ENCODED, *(p.id for p in load_patterns("attacks"))})

    def judge(self, look: Look) -> Iterable[Verdict]:
        """One verdict, of the heaviest sign; none where there is no sign."""
        if look.hits:
            heaviest = next(attacks_in(look, self._site.scanner), None)
            if heaviest:
                pattern, matched = heaviest
                return (Verdict(self._rule, f"{matched} ({pattern.id})", points=points_of(pattern)),)
        sign = refused_route(look.event, self._site)
        return (Verdict(self._rule, sign[0], value=sign[1], points=sign[2]),) if sign else ()


def points_of(pattern: Pattern) -> int:
    """What an attack weighs, in hundredths of a point."""
    return pattern.points or (CERTAIN_POINTS if pattern.severity is Severity.CRITICAL else ATTACK_POINTS)


def refused_route(event: Event, site: Surroundings) -> tuple[str, str, int] | None:
    """A weak sign: what was refused, what counts once of it, its points. None where it says nothing."""
    if event.status not in REFUSED or not event.path:
        return None
    route = route_of(event.path)[0].rstrip("/ ")
    if _BY_ITSELF.search(route) or (event.status == 403 and is_one_of(route, site.login_paths)):
        return None
    points = FOLLOWED_POINTS if event.referer else REFUSED_POINTS
    return f"status {event.status} on {route[:LONGEST_QUOTE]!r}", _counted_once(route), points


def _counted_once(route: str) -> str:
    """The name at the root or the route of an API itself; of a page further down its folder and sort of file."""
    folder, _, name = route.rpartition("/")
    if not folder or _API.match(route):
        return route
    sort = _SORT_OF_FILE.search(name)
    return f"{folder}/*{sort.group().lower() if sort else ''}"


def attacks_in(look: Look, scanner: Scanner) -> Iterator[tuple[Pattern, str]]:
    """The attack patterns confirmed in an event, the heaviest first, each with `field: the matched text`."""
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
    written: dict[str, bytes] = {}
    attacks = [hit for hit in hits if isinstance(hit, Pattern) and hit.field != "record"]
    for pattern in sorted(attacks, key=points_of, reverse=True):
        if pattern.failed and not failed:
            continue
        if pattern.field == "line" and "line" not in texts:
            texts["line"] = _unreadable_line(look)
        if pattern.field not in written:
            written[pattern.field] = texts[pattern.field].encode("utf-8", "replace")
        match = attack_program(pattern).search(written[pattern.field])
        if not match:
            continue
        quote = match.group().decode("utf-8", "replace")
        if pattern.id in CONFIRMED_BY_VALUE:
            values = values_of(texts["raw"])
            values = values[:VALUES_AT_EACH_END] + values[VALUES_AT_EACH_END:][-VALUES_AT_EACH_END:]
            quote = next(filter(CONFIRMED_BY_VALUE[pattern.id], values), "")
        if quote:
            where = "request" if pattern.field == "text" else pattern.field
            yield pattern, f"{where}: {quote[:LONGEST_QUOTE]!r}"


@cache
def attack_program(pattern: Pattern) -> Any:
    """An attack pattern's RE2 program over UTF-8: handing it text would write that down for each pattern again."""
    return re2.compile(pattern.regex.encode())


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
