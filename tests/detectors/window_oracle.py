"""What the windows should say, written slowly and obviously: every event is kept, every window is tried."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def count_findings(arrivals: list[int], n: int, window: int) -> list[tuple[int, int, int]]:
    """(first_at, at, count) of each finding of a counting rule, events given in order of arrival."""
    kept: list[int] = []
    found = []
    for t in arrivals:
        kept = sorted([*kept, t])
        for start in range(len(kept) - n + 1):
            inside = kept[start : start + n]
            if t in inside and inside[-1] - inside[0] < window:
                found.append((inside[0], inside[-1], n))
                kept = kept[:start] + kept[start + n :]
                break
    return found


def first_distinct_fire(arrivals: list[tuple[int, str]], n: int, window: int) -> int | None:
    """After how many arrivals n different values lie within a window for the first time; None if never."""
    for size in range(1, len(arrivals) + 1):
        seen = arrivals[:size]
        for start, _ in seen:
            values = {v for t, v in seen if start <= t < start + window}
            if len(values) >= n:
                return size
    return None


def distinct_findings_in_order(
    arrivals: list[tuple[int, str]], n: int, window: int
) -> list[tuple[int, int, int]]:
    """Findings of a distinct rule over events in order of time; a finding consumes all that came before.

    It begins where the shortest window with n different values begins.
    """
    kept: list[tuple[int, str]] = []
    found = []
    for t, value in arrivals:
        kept = [(a, v) for a, v in kept if a > t - window] + [(t, value)]
        newest = {v: a for a, v in kept}
        if len(newest) >= n:
            found.append((min(newest.values()), t, n))
            kept = []
    return found


def sequence_findings(arrivals: list[tuple[int, bool]], n: int, window: int) -> list[tuple[int, int, int]]:
    """n bad events within a window before a good one, in order of time."""
    bad: list[int] = []
    found = []
    for t, good in arrivals:
        if not good:
            bad.append(t)
            continue
        if len(bad) >= n and t - bad[-n] < window:
            found.append((bad[-n], t, n))
            bad = []
    return found


def streak_findings(arrivals: list[tuple[int, bool]], n: int, window: int) -> list[tuple[int, int, int]]:
    """n bad events in a row within a window."""
    row: list[int] = []
    found = []
    for t, good in arrivals:
        row = [] if good else [*(a for a in row if t - a < window), t]
        if len(row) == n:
            found.append((row[0], t, n))
            row = []
    return found


def recovering_streak_findings(
    arrivals: list[tuple[int, bool]], n: int, window: int, goods: int
) -> list[tuple[int, int, int, bool]]:
    """n bad events in a row, and after them so many good ones in a row (True), in order of time."""
    found: list[tuple[int, int, int, bool]] = []
    row: list[int] = []
    fine: list[int] = []
    for t, good in arrivals:
        fine = [*fine, t] if good else []
        row = [] if good else [*(a for a in row if t - a < window), t]
        if len(row) == n:
            found.append((row[0], t, n, False))
            row = []
        fired = bool(found) and not found[-1][3]
        if good and not fired:
            fine = []
        if fired and len(fine) == goods:
            found.append((fine[0], t, goods, True))
            fine = []
    return found


def bucket_findings(
    arrivals: list[tuple[int, T]], window: int, judge: Callable[[list[T]], tuple[bool, bool, int]]
) -> list[tuple[int, int, int, bool]]:
    """Findings of a rule that judges what a window's buckets hold, each arrival (bucket's start, what it brought).

    `judge` answers whether it is too much, whether it is well again, and how many are bad. A bucket is judged when
    a later one begins; a finding consumes all that came before, and what comes later than a window before the oldest
    is dropped. It is over (True) once what is well lies a window behind the last finding.
    """
    kept: list[tuple[int, T]] = []
    found: list[tuple[int, int, int, bool]] = []
    fired_at = None
    for t, brought in arrivals:
        newest = max((start for start, _ in kept), default=None)
        if newest is not None and t > newest:
            inside = [(start, b) for start, b in kept if start > newest - window]
            too_much, is_well, bad = judge([b for _, b in inside])
            first = min(start for start, _ in inside)
            if too_much:
                found.append((first, newest, bad, False))
                kept, fired_at = [], newest
            elif is_well and fired_at is not None and newest - fired_at >= window:
                found.append((first, newest, bad, True))
                fired_at = None
        oldest = min((start for start, _ in kept), default=None)
        if oldest is None or t > oldest - window or t in {start for start, _ in kept}:
            kept.append((t, brought))
        newest = max((start for start, _ in kept), default=t)
        kept = [(start, b) for start, b in kept if start > newest - 2 * window]
    return found


def spared_streak_findings(
    arrivals: list[tuple[int, str]], entered: list[tuple[int, str]], n: int, window: int, memory: int
) -> list[tuple[int, int, int]]:
    """n bad events in a row within a window, by user ('' for nobody known, 'good' for a success), in order of time.

    What users failed who got in before, last within the memory, is left out.
    """
    counted = []
    for t, user in arrivals:
        times = [at for at, who in entered if who == user]
        if not (times and min(times) <= t and t - max(times) <= memory):
            counted.append((t, user == "good"))
    return streak_findings(counted, n, window)


def remembering_sequence_findings(
    arrivals: list[tuple[int, bool]], n: int, window: int, memory: int
) -> list[tuple[int, int, int]]:
    """n bad events within a window before a good one, in order of time; 2n where another good one came before it."""
    bad: list[int] = []
    entered: list[int] = []
    found = []
    for t, good in arrivals:
        if not good:
            bad.append(t)
            continue
        need = 2 * n if any(t - at <= memory for at in entered) else n
        entered.append(t)
        if len(bad) >= need and t - bad[-need] < window:
            found.append((bad[-need], t, need))
            bad = []
    return found


def score_findings(arrivals: list[tuple[int, int, str]], n: int, window: int) -> list[tuple[int, int, int]]:
    """Findings of a score over (time, hundredths of a point, hash) in order of time.

    Points count in full within a window, half in the one before and a quarter in the one before that.
    """
    kept: list[tuple[int, int, str]] = []
    found = []
    for t, points, mark in arrivals:
        if mark and any(m == mark and t - a < window for a, _, m in kept):
            continue
        kept.append((t, points, mark))
        alive = [(a, p, m) for a, p, m in kept if t - a < 3 * window]
        total = sum(p * (1.0, 0.5, 0.25)[(t - a) // window] for a, p, _ in alive)
        if total >= 100 * n:
            found.append((alive[0][0], t, len(alive)))
            kept = []
    return found


def newcomer_findings(
    arrivals: list[tuple[int, str]], n: int, window: int, memory: int
) -> list[tuple[int, int, int]]:
    """n bad events ('') within a window before a good one from a place not known yet, in order of time."""
    bad: list[int] = []
    known: dict[str, int] = {}
    found = []
    for t, place in arrivals:
        if place == "":
            bad.append(t)
            continue
        known = {p: at for p, at in known.items() if t - at <= memory}
        if known and place not in known and len(bad) >= n and t - bad[-n] < window:
            found.append((bad[-n], t, n))
            bad = []
        known[place] = t
    return found
