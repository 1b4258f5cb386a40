"""What the attack patterns find and what they cost: the figures of docs/detection.md.

`python -m benchmarks detection` measures; `--reading` beside it also prints what was wrong in the first half, which
may be looked at, and every hit in the access log.
The corpora are read from ../shared/corpora beside the checkout.
"""

import csv
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from app.ingest.formats import combined
from benchmarks.traffic import as_combined, requests
from detectors.detector import Look
from detectors.event import Event
from detectors.scanner import Scanner, load_patterns
from detectors.suspicious_activity import SuspiciousActivity, attacks_in

CORPORA = Path(__file__).resolve().parent.parent.parent / "shared" / "corpora"
SEED = 7
"""Of the halves: the patterns were written looking at the first only."""
LINES = 20_000
HOSTILE = (
    "a", ".", "/", "%", "%25", "%41a", "%c0%ae", "..%2f", "'", "' or ", "1 and ", "(", "/*", "#", "<", "<a ", "&a='",
    "&#x27;", "\\x41", "%u0027", "+or+", "union ", "select ", "${", "{{", "{%", "`", ";id", "onx=", "sleep(", "0x",
    "../", "eval(", "=http://x", "::", "é", "\uff07", "&a='((((((((((((((((((((((((((((((((", "&a=\"'1'\" or 2",
    "&a=1' or not x and y like z;" * 3, "&a=" + "1 and not " * 40, "&a=" + "x or ('y z " * 12,
)  # fmt: skip

Row = dict[str, str]


def scanner() -> Scanner:
    return Scanner(load_patterns("keys") + load_patterns("attacks"))


def halves() -> tuple[list[Row], list[Row]]:
    """The labelled values in two random halves: the one the patterns were written with, and the other."""
    with (CORPORA / "httpparams-train.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    order = list(range(len(rows)))
    random.Random(SEED).shuffle(order)
    first = set(order[: len(order) // 2])
    return [r for i, r in enumerate(rows) if i in first], [r for i, r in enumerate(rows) if i not in first]


def hits_of(event: Event, record: bytes, scan: Scanner) -> list[tuple[str, str]]:
    """(pattern, what matched), on the way of an event through the engine."""
    hits = scan.scan([record]).get(0, [])
    if SuspiciousActivity.tags.isdisjoint(hit if isinstance(hit, str) else hit.id for hit in hits):
        return []
    return [(pattern.id, matched) for pattern, matched in attacks_in(Look(event, record, hits), scan)]


def is_found(value: str, scan: Scanner) -> bool:
    """Whether a value is found as the query of a request that the site answered with 200."""
    path = f"/search?q={quote(value)}"
    event = Event(path=path, method="GET", status=200)
    record = f'198.51.100.7 - - [23/Nov/2026:10:00:03 +0000] "GET {path} HTTP/1.1" 200 9 "-" "Mozilla/5.0"'
    return bool(hits_of(event, record.encode(), scan))


def access_log_hits(scan: Scanner) -> Iterator[tuple[str, str, int | None, str, str]]:
    """(address, time, status, target, pattern) of every hit in the access log."""
    for record in (CORPORA / "elastic-apache-10k.log").read_bytes().splitlines():
        event = combined.parse(record.decode("utf-8", "replace"), 0)
        for pattern, _ in hits_of(event, record, scan)[:1] if event else ():
            yield event.client_ip or "", str(event.timestamp), event.status, event.path or "", pattern


def measure() -> dict[str, float]:
    """All figures of this file."""
    scan = scanner()
    figures: dict[str, float] = {}
    for name, rows in zip(("seen half", "unseen half"), halves(), strict=True):
        total, found = Counter[str](), Counter[str]()
        for row in rows:
            kinds = [row["attack_type"], *(["attacks together"] if row["label"] != "norm" else ())]
            hit = is_found(row["payload"], scan)
            total.update(kinds)
            found.update(kinds if hit else ())
            if "--reading" in sys.argv and name == "seen half" and hit == (row["label"] == "norm"):
                print(f"  {name}, {row['attack_type']}: {row['payload'][:100]!r}")
        for kind in sorted(total):
            figures[f"{name}, {kind}: per cent found of {total[kind]}"] = 100 * found[kind] / total[kind]
    hits = list(access_log_hits(scan))
    if "--reading" in sys.argv:
        print(*hits, sep="\n")
    figures["hits in 10,000 lines of a real access log"] = len(hits)
    figures["longest of 64 KB hostile targets, ms, the best of 5 each (bar 5)"] = max(
        _hostile_ms(unit, scan) for unit in HOSTILE
    )
    lines = as_combined(requests(LINES, 1, datetime.now(UTC))).splitlines()
    figures["scan of ordinary lines for all patterns, microseconds a line"] = (
        1e6 * _best(lambda: scan.scan(lines)) / LINES
    )
    return figures


def _hostile_ms(unit: str, scan: Scanner) -> float:
    path = ("/?q=" + unit * 65_536)[:65_536]
    event, record = Event(path=path, status=404), path.encode("utf-8", "replace")
    return 1e3 * _best(lambda: hits_of(event, record, scan))


def _best(work: Callable[[], object], times: int = 5) -> float:
    best = float("inf")
    for _ in range(times):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best
