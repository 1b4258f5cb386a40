"""Adds events up to what an analyst wants to know first. Takes them in any order; what it keeps is bounded.

An attacker writes most of these events. What he can make up without end (paths, users, methods) is folded together
past a bound; logins that succeeded are kept apart from those that failed, so that no flood of failures hides one.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import msgspec

from actions.investigations.investigation import (
    LISTED,
    MINUTES_LISTED,
    NOTABLE_LISTED,
    AttackSeen,
    EventSummary,
    MinuteRow,
    Notable,
    Tallied,
)
from detectors.auth_failures import failure_of, is_login_success
from detectors.detector import Look, Surroundings
from detectors.event import Event
from detectors.finding import Evidence
from detectors.security_breach import SERVED_SECRETS
from detectors.suspicious_activity import attacks_in

MOST_DISTINCT = 5_000
"""Different values of one sort that are told apart."""
MOST_FAILURES = 20_000
"""Failed logins whose order is kept; all are counted."""
MOST_ALIKE = 20
"""Different notable events of one sign."""
LONGEST_VALUE = 200
LONGEST_PATH = 120
MINUTE_MS = 60_000
FAILURE_WORDS = ("status 401", "outcome failure", "login form answered")
"""How the evidence of a failed login begins (detectors/auth_failures.py)."""
FOLDED = "(others)"
"""Stands for values past the bound."""
Row = TypeVar("Row", Notable, MinuteRow)


class Signs(NamedTuple):
    """What the detectors see in one event."""

    failed: bool = False
    let_in: bool = False
    pattern: str = ""
    served: bool = False
    """A file of secrets was answered with content."""


def signs_of(event: Event, record: bytes, site: Surroundings) -> Signs:
    """Reads one event as the rules do. Scans the record, so it is for a subject's own events only."""
    pattern, served = "", False
    hits = site.scanner.scan_one(record)
    if hits:
        found = [attack.id for attack, _ in attacks_in(Look(event, record, hits), site.scanner)]
        secret = next((name for name in found if name in SERVED_SECRETS), "")
        has_content = event.status in (200, 206) and event.method != "HEAD" and bool(event.bytes)
        served = bool(secret) and has_content
        pattern = secret if served else next(iter(found), "")
    return Signs(failure_of(event, site) is not None, is_login_success(event, site), pattern, served)


class _Sum:
    """The running sum of one value."""

    __slots__ = ("answers", "bytes", "events", "failures", "first", "last", "successes")

    def __init__(self, at: int) -> None:
        self.events = self.failures = self.successes = self.bytes = 0
        self.first = self.last = at
        self.answers: Counter[int | None] = Counter()


class _Sums:
    """Running sums by value, bounded; where something succeeded there is room for it beside what was made up."""

    def __init__(self) -> None:
        self.by_value: dict[str, _Sum] = {}

    def add(self, value: str, at: int, count: int, event: Event, *, failed: bool, good: bool) -> None:
        known = self.by_value.get(value)
        if known is None:
            if len(self.by_value) >= (2 * MOST_DISTINCT if good else MOST_DISTINCT):
                value = FOLDED
            known = self.by_value.setdefault(value, _Sum(at))
        known.events += count
        known.failures += count if failed else 0
        known.successes += count if good else 0
        known.bytes += _size(event)
        known.first, known.last = min(known.first, at), max(known.last, at)
        if len(known.answers) < 20 or event.status in known.answers:
            known.answers[event.status] += count


class Tally:
    """The sums of one subject."""

    def __init__(self, safe: Callable[[str], str] = lambda text: text) -> None:
        """`safe`: masks what may be a credential, once more, in every text that is shown."""
        self._safe = safe
        self._sums = {name: _Sums() for name in ("accounts", "keys", "addresses", "paths", "agents")}
        self._statuses: Counter[str] = Counter()
        self._minutes: dict[tuple[int, str, str, int | None], list[int]] = {}
        self._attacks: dict[str, list[int]] = {}
        self._notable: dict[tuple[str, ...], Notable] = {}
        self._by_sign: Counter[str] = Counter()
        self._left_out = 0
        self._failed: list[tuple[int, str, str]] = []
        self._let_in: list[tuple[int, str, str]] = []
        self._ends: tuple[Notable, Notable] | None = None
        self.events = self.bytes = self.login_failures = self.login_successes = 0

    def take(self, at: int, address: str, event: Event, signs: Signs, *, key: str = "") -> None:
        """One event, its time in epoch ms. `key`: the name of the credential in it, where it is not `api_key_id`."""
        count = max(1, event.repeat)
        self.events += count
        self.bytes += _size(event)
        if event.status is not None or event.outcome is not None:
            self._statuses[str(event.status) if event.status is not None else f"{event.outcome}"] += count
        user, path = _cut(event.user), _cut((event.path or "").partition("?")[0], LONGEST_PATH)
        self._take_values(at, address, event, signs, user, path, _cut(key or event.api_key_id), count)
        self._take_minute(at, event, path, count)
        self._take_login(at, address, user, signs, count)
        self._take_notable(at, address, event, signs, user, path, _cut(key or event.api_key_id))

    def _take_values(
        self, at: int, address: str, event: Event, signs: Signs, user: str, path: str, key: str, count: int
    ) -> None:
        failed, good = signs.failed, signs.let_in
        refused, served = event.status in (401, 403), 200 <= (event.status or 0) < 400
        for name, value in (("accounts", user), ("addresses", address), ("agents", _cut(event.user_agent))):
            if value:
                self._sums[name].add(value, at, count, event, failed=failed, good=good)
        if key:
            self._sums["keys"].add(key, at, count, event, failed=refused, good=served)
        if path:
            self._sums["paths"].add(path, at, count, event, failed=failed, good=good)

    def _take_minute(self, at: int, event: Event, path: str, count: int) -> None:
        minute = at - at % MINUTE_MS
        row = (minute, _cut(event.method, 16), path, event.status)
        if row not in self._minutes and len(self._minutes) >= MOST_DISTINCT:
            row = (minute, "", FOLDED, event.status)
            if row not in self._minutes and len(self._minutes) >= 2 * MOST_DISTINCT:
                row = (minute - minute % (60 * MINUTE_MS), "", FOLDED, None)
        sums = self._minutes.setdefault(row, [0, 0])
        sums[0] += count
        sums[1] += _size(event)

    def _take_login(self, at: int, address: str, user: str, signs: Signs, count: int) -> None:
        if signs.failed:
            self.login_failures += count
            if len(self._failed) < MOST_FAILURES:
                self._failed.extend([(at, user, address)] * min(count, MOST_FAILURES - len(self._failed)))
        elif signs.let_in:
            self.login_successes += count
            if len(self._let_in) < MOST_DISTINCT:
                self._let_in.append((at, user, address))

    def _take_notable(
        self, at: int, address: str, event: Event, signs: Signs, user: str, path: str, key: str
    ) -> None:
        shown = Notable(
            at, "first_event", _cut(event.method, 16), path, event.status, address, user, key,
            _cut(event.user_agent), event.bytes, signs.pattern,
        )  # fmt: skip
        first, last = self._ends or (shown, shown)
        self._ends = (shown if at < first.at else first, shown if at >= last.at else last)
        if signs.let_in:
            self._note(shown, "login_succeeded", user, address)
        if not signs.pattern:
            return
        is_answered = event.status is not None and (event.status < 400 or event.status >= 500)
        counted = self._attacks.setdefault(signs.pattern, [0, 0, 0])
        for place, holds in enumerate((True, is_answered, signs.served)):
            counted[place] += holds * max(1, event.repeat)
        sign = "secret_served" if signs.served else "attack_answered" if is_answered else "attack"
        self._note(shown, sign, signs.pattern, "" if sign == "attack" else path)

    def _note(self, shown: Notable, sign: str, *alike: str) -> None:
        """Keeps the first of those alike."""
        key = (sign, *alike)
        known = self._notable.get(key)
        if known is None and self._by_sign[sign] >= MOST_ALIKE:
            self._left_out += 1
        elif known is None or shown.at < known.at:
            self._by_sign[sign] += known is None
            self._notable[key] = msgspec.structs.replace(shown, sign=sign)

    def summary(self, *, source: str, since_at: int, until_at: int, complete_since_at: int) -> EventSummary:
        """What was taken, each list cut, the most telling entries first; texts masked once more."""
        entered = self._entered()
        minutes = [MinuteRow(*key, *sums) for key, sums in sorted(self._minutes.items(), key=_in_time)]
        notable = self._notables(entered)
        lists: dict[str, Any] = {name: self._list(name, entered) for name in self._sums}
        lists |= {f"{name}_count": len(sums.by_value) for name, sums in self._sums.items()}
        return EventSummary(
            source=source,
            since_at=since_at,
            until_at=until_at,
            complete_since_at=complete_since_at,
            events=self.events,
            first_at=self._ends[0].at if self._ends else None,
            last_at=self._ends[1].at if self._ends else None,
            bytes=self.bytes,
            statuses=tuple(self._statuses.most_common(20)),
            login_failures=self.login_failures,
            login_successes=self.login_successes,
            minutes=tuple(self._row(row) for row in _both_ends(minutes, MINUTES_LISTED)),
            minutes_left_out=max(0, len(minutes) - MINUTES_LISTED),
            notable=notable[:NOTABLE_LISTED],
            notable_left_out=self._left_out + max(0, len(notable) - NOTABLE_LISTED),
            accounts_let_in=len({user for _, user, _ in self._let_in if user}),
            attacks=tuple(
                sorted((AttackSeen(name, *n) for name, n in self._attacks.items()), key=_worst_first)[:LISTED]
            ),
            **lists,
        )

    def _entered(self) -> dict[tuple[int, str], tuple[int, int, int]]:
        """(1, account) or (2, address) -> (failures before a success, of all together, when): the worst of each."""
        logins = sorted([(*one, False) for one in self._failed] + [(*one, True) for one in self._let_in])
        found: dict[tuple[int, str], tuple[int, int, int]] = {}
        failed: Counter[tuple[int, str]] = Counter()
        in_all = 0
        for at, user, address, is_in in logins:
            in_all += not is_in
            for key in ((1, user), (2, address)):
                if not is_in:
                    failed[key] += 1
                    continue
                one = (failed.pop(key, 0), in_all, at)
                if key not in found or one[:2] > found[key][:2]:
                    found[key] = one
        return found

    def _list(self, name: str, entered: dict[tuple[int, str], tuple[int, int, int]]) -> tuple[Tallied, ...]:
        place = {"accounts": 1, "addresses": 2}.get(name, 0)
        rows = []
        for value, known in self._sums[name].by_value.items():
            before, beside, at = entered.get((place, value), (0, 0, None))
            answers = ", ".join(f"{status} x {n}" for status, n in known.answers.most_common(5))
            rows.append(
                Tallied(
                    value,
                    known.events,
                    known.first,
                    known.last,
                    known.failures,
                    known.successes,
                    before,
                    beside,
                    at,
                    known.bytes,
                    answers if name == "paths" else "",
                )
            )
        rows.sort(key=lambda r: (r.failures_before_success > 0, r.successes > 0, r.events), reverse=True)
        return tuple(msgspec.structs.replace(row, value=self._safe(row.value)) for row in rows[:LISTED])

    def _notables(self, entered: dict[tuple[int, str], tuple[int, int, int]]) -> tuple[Notable, ...]:
        found = [self._marked(one, entered) for one in self._notable.values()]
        if self._ends:
            first, last = self._ends
            found += [first] + ([msgspec.structs.replace(last, sign="last_event")] if self.events > 1 else [])
        found.sort(key=lambda one: (one.sign == "attack", one.at))
        kept = sorted(found[:NOTABLE_LISTED], key=lambda one: one.at) + found[NOTABLE_LISTED:]
        return tuple(self._row(one) for one in kept)

    def _marked(self, one: Notable, entered: dict[tuple[int, str], tuple[int, int, int]]) -> Notable:
        before, _, at = entered.get((1, one.user), (0, 0, None))
        if one.sign != "login_succeeded" or not before or not one.user:
            return one
        return msgspec.structs.replace(one, sign="login_after_failures", at=at)

    def _row(self, row: Row) -> Row:
        texts = {
            name: self._safe(text)
            for name in row.__struct_fields__
            if isinstance(text := getattr(row, name), str) and name not in ("sign", "pattern")
        }
        return msgspec.structs.replace(row, **texts)


def of_evidence(evidence: Iterable[Evidence]) -> Tally:
    """What copied evidence says, where there is no journal. It is redacted already, and holds what counted only."""
    tally = Tally()
    for one in dict.fromkeys(evidence):
        event = Event(
            client_ip=one.client_ip, method=one.method, path=one.path, status=one.status, user=one.user,
            user_agent=one.user_agent, host=one.host,
        )  # fmt: skip
        let_in = one.matched.startswith("login succeeded")
        failed = one.matched.startswith(FAILURE_WORDS)
        pattern = one.matched.rpartition("(")[2].rstrip(")") if one.matched.endswith(")") else ""
        signs = Signs(failed, let_in, pattern if "." in pattern else "", " was served with " in one.matched)
        tally.take(one.at, one.client_ip or "", event, signs)
    return tally


def _size(event: Event) -> int:
    size = event.bytes
    return size if isinstance(size, int) and 0 < size < 2**53 else 0


def _cut(text: str | None, most: int = LONGEST_VALUE) -> str:
    return (text or "")[:most]


def _in_time(item: tuple[tuple[int, str, str, int | None], list[int]]) -> tuple[int, int]:
    return item[0][0], -item[1][0]


def _worst_first(seen: AttackSeen) -> tuple[int, int, int]:
    return (-seen.served_secret, -seen.answered, -seen.events)


def _both_ends(rows: list[MinuteRow], most: int) -> list[MinuteRow]:
    return rows if len(rows) <= most else rows[: most // 2] + rows[-(most - most // 2) :]


__all__ = ["FOLDED", "Signs", "Tally", "of_evidence", "signs_of"]
