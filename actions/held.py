"""Which findings are handled at once, and which are held for a moment and merged.

A continuing attack says the same thing over and over, and each saying costs the responder a dozen round trips.
So the first finding about somebody is handled at once, and those that follow within a second as one. What is held
is in memory only and not acknowledged: after a crash the stream delivers it again.
"""

from collections.abc import Hashable, Iterable
from operator import attrgetter

import msgspec

from detectors.finding import Evidence, Finding, Mode
from detectors.sentence import why

HOLD_MS = 1_000
"""How long a subject is left alone after it was dealt with. A person does not notice; a flood becomes one a second."""
MERGED = 256
"""Findings that are merged at most: each takes a key of the one MULTI that counts them."""
HELD = 4_096
"""Findings held at most, per shard. When there are more, the oldest do not wait for their second to end."""
KNOWN = 10_000
"""Subjects remembered at most, per shard. One that is forgotten counts as new, and is handled at once."""
EVIDENCE = 10
"""As many as one finding carries. Source: detectors/lua/count_batch/."""


class Row(msgspec.Struct, frozen=True):
    """A finding and its entry in the stream."""

    entry_id: bytes
    finding: Finding


def merged_of(finding: Finding, *others: Finding) -> Finding:
    """Several findings of one rule and subject as one, under the id of the first."""
    if not others:
        return finding
    findings = (finding, *others)
    count = sum(f.count for f in findings)
    first_at, at = min(f.first_at for f in findings), max(f.at for f in findings)
    evidence = _newest(e for f in findings for e in f.evidence)
    total, measured = sum(f.total for f in findings), max(f.measured for f in findings)
    merged = msgspec.structs.replace(
        finding, count=count, total=total, measured=measured, first_at=first_at, at=at, evidence=evidence
    )
    return msgspec.structs.replace(merged, why=why(merged))


def _newest(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    return tuple(sorted(evidence, key=attrgetter("at"))[-EVIDENCE:])


class Held:
    """One shard's memory of whom it has dealt with lately, and of the findings that wait meanwhile."""

    def __init__(self) -> None:
        self._handled_at: dict[Hashable, int] = {}
        """Epoch ms, the longest ago first."""
        self._rows: dict[Hashable, list[Row]] = {}
        self._count = 0

    @property
    def is_full(self) -> bool:
        """Whether more is held than may be."""
        return self._count > HELD

    def must_wait(self, finding: Finding, now: int) -> bool:
        """Whether one like it was handled within HOLD_MS, or waits already. In mode observe nothing waits."""
        if finding.mode == Mode.OBSERVE or finding.recovered:
            return False
        key = _key_of(finding)
        return key in self._rows or not self._is_over(key, now)

    def note_handled(self, finding: Finding, now: int) -> None:
        """From now on findings like this one wait for HOLD_MS. Forgets whom that was said of longer ago."""
        if finding.mode == Mode.OBSERVE or finding.recovered:
            return
        key = _key_of(finding)
        self._handled_at.pop(key, None)
        self._handled_at[key] = now
        while (oldest := next(iter(self._handled_at))) != key:
            if not self._is_over(oldest, now) and len(self._handled_at) <= KNOWN:
                return
            del self._handled_at[oldest]

    def hold(self, row: Row) -> None:
        """Keeps a finding until `take` gives it out."""
        rows = self._rows.setdefault(_key_of(row.finding), [])
        if (
            rows
        ):  # the newest row carries what evidence will be needed of all, so that the others weigh little
            before = rows[-1]
            evidence = _newest((*before.finding.evidence, *row.finding.evidence))
            rows[-1] = Row(before.entry_id, msgspec.structs.replace(before.finding, evidence=()))
            row = Row(row.entry_id, msgspec.structs.replace(row.finding, evidence=evidence))
        rows.append(row)
        self._count += 1

    def take(self, now: int, most: int) -> list[list[Row]]:
        """Gives out the findings whose second is over, each list to be handled as one; at most so many lists.

        Where too much is held, the oldest although their second is not over.
        """
        keys = [key for key in self._rows if self._is_due(key, now)] or (self._rows if self.is_full else [])
        return [self._give_out(key) for key in list(keys)[:most]]

    def take_all(self) -> list[list[Row]]:
        """Gives out everything."""
        return [self._give_out(key) for key in list(self._rows)]

    def take_before(self, finding: Finding) -> list[Row]:
        """Gives out what is held about a subject that has recovered: it happened before, so it is handled before."""
        key = _key_of(msgspec.structs.replace(finding, recovered=False))
        return self._give_out(key) if key in self._rows else []

    def clear(self) -> None:
        """Drops what is held, because the stream is about to deliver it again."""
        self._rows.clear()
        self._count = 0

    def entries(self) -> set[bytes]:
        """The stream's entries that are held."""
        return {row.entry_id for rows in self._rows.values() for row in rows}

    def wait_ms(self, now: int, longest_ms: int) -> int:
        """How long nothing that is held will be due: 0 to `longest_ms`."""
        wait_ms = longest_ms
        for key in self._rows:
            if self._is_due(key, now):
                return 0
            wait_ms = min(wait_ms, self._handled_at[key] + HOLD_MS - now)
        return wait_ms

    def _give_out(self, key: Hashable) -> list[Row]:
        rows = self._rows.pop(key)
        self._count -= len(rows)
        return rows

    def _is_due(self, key: Hashable, now: int) -> bool:
        return len(self._rows[key]) >= MERGED or self._is_over(key, now)

    def _is_over(self, key: Hashable, now: int) -> bool:
        """Whether nothing like it was handled within HOLD_MS. A clock that was set back ends the wait."""
        at = self._handled_at.get(key)
        return at is None or not 0 <= now - at < HOLD_MS


def _key_of(finding: Finding) -> Hashable:
    """All that does not change from one finding about a subject to the next, unless the policy was changed."""
    return (
        finding.rule,
        finding.subject,
        finding.subject_kind,
        finding.place,
        finding.shared_users,
        finding.recovered,
        finding.references,
        finding.mode,
        finding.actions,
        finding.severity,
        finding.threshold,
        finding.window_ms,
        finding.duration_ms,
        finding.max_duration_ms,
        finding.block_type,
    )
