"""Rejected records once more: decoded by the present version, and counted where they are events now.

Each counts on its own time, and once: a record is removed when it was counted, and for 15 minutes its id is known as a
batch that was applied, so that two who do it at once, or one who is stopped half way, count nothing twice. A credential
that was masked stays masked, so that a rule about credentials does not find it any more. What is no record, or was
cut, is refused with the reason.
"""

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from app.ingest.decode import BODY, ELEMENT, HEC_EVENT, Decoded, Rejected, decode_lines, decode_record
from app.ingest.shippers.splunk_events import read_envelopes
from app.metrics import Metrics
from app.sources.rejected import LONGEST_BYTES, Kept, RejectedRecords
from app.sources.store import SourceStore
from detectors.engine import Processed
from detectors.errors import DecodeError
from detectors.event import Batch

REMOVED_AT_ONCE = 50
ERRORS_SHOWN = 20
CUT = f"only its first {LONGEST_BYTES} bytes were kept: its sender must send it again"
NO_EVENT = "there is no event in it"
_LOOK_ONLY = {
    ELEMENT: "it is a broken part of its protocol's envelope and no record: mend the sender",
    BODY: "it is the beginning of a body that was refused as a whole: its sender must send that again",
}

Process = Callable[[Batch], Awaitable[Processed]]


@dataclass(frozen=True, slots=True)
class Reingested:
    """What became of the records that were looked at."""

    accepted: int
    """They are events now, and counted."""
    rejected: int
    """They are still not decoded, or cannot be; they stay."""
    duplicates: int
    """They had been counted already, by a call that was stopped before it removed them."""
    errors: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """(id, why it was not decoded) of the first ERRORS_SHOWN."""


class Reingest:
    """Decodes kept records once more."""

    def __init__(
        self,
        store: SourceStore,
        rejected: RejectedRecords,
        process: Process,
        now: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._rejected = rejected
        self._process = process
        self._now = now
        self._metrics = metrics

    async def run(self, records: Sequence[Kept]) -> Reingested:
        """Counts those of the records that decode now. Raises: StorageError; doing it again completes the work."""
        results: Counter[str] = Counter()
        errors: list[tuple[str, str]] = []
        for start in range(0, len(records), REMOVED_AT_ONCE):
            results += await self._some(records[start : start + REMOVED_AT_ONCE], errors)
        shown = tuple(errors[:ERRORS_SHOWN])
        return Reingested(results["accepted"], results["rejected"], results["duplicate"], shown)

    async def _some(self, records: Sequence[Kept], errors: list[tuple[str, str]]) -> Counter[str]:
        done: list[str] = []
        results: Counter[str] = Counter()
        accepted: Counter[str] = Counter()
        try:
            for one in records:
                result = await self._one(one, errors)
                results[result] += 1
                if result != "rejected":
                    done.append(one.id)
                if result == "accepted":
                    accepted[one.source] += 1
        finally:
            await self._rejected.remove(done)
        for source, number in accepted.items():
            await self._store.add(source, "reingested", number)
        for result, number in results.items():
            self._metrics.records_reingested.labels(result).inc(number)
        return results

    async def _one(self, kept: Kept, errors: list[tuple[str, str]]) -> str:
        decoded = decode_again(kept)
        if decoded.rejected or not decoded.events:
            errors.append((kept.id, decoded.rejected[0].reason if decoded.rejected else NO_EVENT))
            return "rejected"
        batch = Batch(
            decoded.events,
            decoded.records,
            self._now(),
            kept.source.partition("/")[0],
            hashlib.sha256(f"rejected {kept.id}".encode()).hexdigest(),
        )
        processed = await self._process(batch)
        return "duplicate" if processed.duplicate else "accepted"


def decode_again(kept: Kept) -> Decoded:
    """The record's events, in the time in which it came; one of several objects is taken whole or not at all.

    Where it cannot be decoded whatever the version, the one rejection says why.
    """
    reason = _LOOK_ONLY.get(kept.form) or (CUT if kept.is_cut else None)
    if reason is not None:
        return _refused(reason)
    record = kept.record.encode("utf-8", "replace")
    try:
        if kept.format_name is not None:
            decoded = decode_lines(record, kept.format_name, kept.received_at)
        elif kept.form == HEC_EVENT:
            decoded = read_envelopes(record, kept.received_at)
        else:
            decoded = decode_record(record, kept.received_at)
    except DecodeError as error:
        return _refused(str(error))
    for event in decoded.events:
        if event.timestamp is None:
            event.timestamp = kept.received_at
    return decoded


def _refused(reason: str) -> Decoded:
    return Decoded(rejected=[Rejected(0, reason, b"")])
