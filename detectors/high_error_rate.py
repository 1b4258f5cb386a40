"""high_error_rate: too many of a host's answers are server errors.

Looks at: every event with a status; 500 and above is an error. Counted per host in buckets of a thirtieth of the
window, judged when a bucket is complete, and only where the window holds a minimum volume.
Default: 10 per cent of at least 100 requests in five minutes open an incident.
Source: the operator's document (error rate under 5 per cent, incident at 10 per cent).
"""

from collections.abc import Sequence

from detectors.event import Batch
from detectors.rule import Rule
from detectors.timestamps import event_time_ms

BUCKETS = 30
"""Buckets of one window."""
ANY_HOST = "*"
"""The subject of events that name no host."""


class HighErrorRate:
    """Adds up a batch. The only detector that sees every event, so it is written for speed."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._bucket_ms = max(1000, rule.window_ms // BUCKETS)
        # Where a bucket is a whole number of ten seconds, all timestamps that share their first 18 characters
        # (`2026-11-23T10:00:0`) and end in Z fall into one bucket, and one of them needs parsing.
        self._prefix = 18 if self._bucket_ms % 10_000 == 0 else None

    def tally(self, batch: Batch) -> dict[str, tuple[list[int], list[int]]]:
        """Per host: bucket starts in order, and total and bad of each, alternating."""
        counts: dict[tuple[str | None, int], list[int]] = {}
        buckets: dict[str, int] = {}
        prefix, received_ms = self._prefix, batch.received_ms
        for event in batch.events:
            status = event.status
            if status is None:
                continue
            timestamp = event.timestamp
            if prefix and isinstance(timestamp, str) and timestamp[-1:] == "Z":
                key = timestamp[:prefix]
                bucket = buckets.get(key)
                if bucket is None:
                    bucket = buckets[key] = self._bucket_of(timestamp, received_ms)
            else:
                bucket = self._bucket_of(timestamp, received_ms)
            count = counts.get((event.host, bucket))
            if count is None:
                count = counts[(event.host, bucket)] = [0, 0]
            count[0] += 1
            if status >= 500:
                count[1] += 1
        return self._by_host(counts)

    def _bucket_of(self, timestamp: object, received_ms: int) -> int:
        at = event_time_ms(timestamp, received_ms)[0]
        return at - at % self._bucket_ms

    @staticmethod
    def _by_host(
        counts: dict[tuple[str | None, int], list[int]],
    ) -> dict[str, tuple[list[int], list[int]]]:
        found: dict[str, tuple[list[int], list[int]]] = {}
        for (host, bucket), count in sorted(counts.items(), key=_bucket_start):
            times, values = found.setdefault(host or ANY_HOST, ([], []))
            if times and times[-1] == bucket:
                values[-2] += count[0]
                values[-1] += count[1]
            else:
                times.append(bucket)
                values.extend(count)
        return found


def _bucket_start(item: tuple[tuple[str | None, int], Sequence[int]]) -> int:
    return item[0][1]
