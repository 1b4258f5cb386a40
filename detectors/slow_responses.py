"""slow_responses: a host answers too slowly.

Looks at: the percentile of `duration_ms` among all of a host's answers, in buckets of a thirtieth of the window, judged
when a bucket is complete. Each batch is added up to one histogram per host and bucket (lua/count_batch/percentile.lua
says its bins), so that a window costs the same whatever the traffic, and its threshold is judged exactly.
Default: a 95th percentile above 2 s of at least 100 requests in five minutes opens an incident; it is over when, over a
whole window of as many, the percentile is at most four fifths of that.
Source: the operator's document (response time, p95 under 2 s).
"""

from bisect import bisect_left
from collections import Counter
from typing import Any

from detectors.detector import LONGEST_QUOTE
from detectors.event import Batch, Event
from detectors.guide import Guide
from detectors.high_error_rate import ANY_HOST, BUCKETS, MOST_HOSTS, SAMPLES, TENS
from detectors.rule import Rule
from detectors.sentence import duration
from detectors.timestamps import event_time_ms

LIMIT_BIN, LAST_BIN = 50, 150
"""The bin that ends at the threshold, and the one without an end. Source: lua/count_batch/percentile.lua."""
GROWTH = 1.25**0.2
"""Each bin ends so much higher than the one before it."""
SWITCHING = 101
"""Switching Protocols: a WebSocket, whose duration is how long somebody stayed."""
LONGEST_MS = 30 * 86_400_000
"""What claims to have taken longer is no duration."""


class SlowResponses:
    """Adds up a batch. Sees every event, so it is written for speed."""

    guide = Guide(
        phrase="{subject} took longer than {measured} for the slowest {rest} % of {total} requests",
        what=(
            "A host answers slowly: a percentile (the 95th) of what its requests took is above the threshold. "
            "Load, a slow database or a flood of expensive requests; slow answers come before an outage. Over "
            "when the percentile is at most four fifths of the threshold, over a whole window of the minimum volume."
        ),
        needs=(
            "`duration_ms` of every request (nginx `request_time`, ECS `event.duration`), `host` where there "
            "are several services. What carries none is not counted."
        ),
        check=(
            "`bartizan incidents show ID`: the evidence shows the slow requests with their path and how long "
            "they took. One path is a slow route, many are the machine or the database."
        ),
        act=(
            "Look at the database and at what was deployed before `first_seen`. Where few addresses send most "
            "of the slow requests, limit them at the proxy."
        ),
        wrong=(
            "Streams, long polls and uploads last as long as their client wants, and count like any other "
            "request (but for WebSockets, status 101): do not send their durations, give them a host of "
            "their own, or raise the threshold. A host with little traffic: raise `min_volume`."
        ),
        references=("T1499", "OAT-015"),
    )

    measures = "events with a duration_ms (but WebSockets: status 101)"
    """What it adds up, for people."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._bucket_ms = max(1000, rule.window_ms // BUCKETS)
        self._by_tens = self._bucket_ms % 10_000 == 0
        self._ends = [rule.threshold * 1.25 ** ((bin_ - LIMIT_BIN) / 5) for bin_ in range(LAST_BIN)]
        for limit in (LIMIT_BIN, LIMIT_BIN - 5):  # judged exactly, so they must be: 2000 and 1600
            self._ends[limit] = round(self._ends[limit], 6)
        self._hosts: set[str] = set()

    def tally(self, batch: Batch) -> dict[str, tuple[list[int], list[Any]]]:
        """Per host: bucket starts in order, and of each a histogram: bins and their counts, alternating."""
        ends, first_end = self._ends, self._ends[0]
        cut = TENS if self._by_tens else None
        # Written in one expression for speed, like high_error_rate; most requests fall into the first bin.
        alike = Counter(
            [
                (
                    t[:cut] if type(t := e.timestamp) is str and t[-1:] == "Z" else t,
                    e.host,
                    0 if d <= first_end else bisect_left(ends, d),
                )
                for e in batch.events
                if (d := e.duration_ms) is not None and 0 <= d < LONGEST_MS and e.status != SWITCHING
            ]
        )
        bins: dict[str, dict[int, dict[int, int]]] = {}
        starts: dict[object, int] = {}
        for (timestamp, host, bin_), number in alike.items():
            start = starts.get(timestamp)
            if start is None:
                start = starts[timestamp] = self._bucket_of(timestamp, batch.received_ms)
            counts = bins.setdefault(self._known(host), {}).setdefault(start, {})
            counts[bin_] = counts.get(bin_, 0) + number
        return {
            host: (sorted(buckets), [_flat(buckets[start]) for start in sorted(buckets)])
            for host, buckets in bins.items()
        }

    def is_news(self, values: list[Any]) -> bool:
        """Whether there are slow ones among what was added up: the bins come in order."""
        return any(bins[-2] > LIMIT_BIN for bins in values)

    def is_aside(self, _values: list[Any]) -> bool:
        """Never: what a batch adds up to depends on the batch alone. See `Group.is_aside`."""
        return False

    def said_of(self, event: Event) -> str:
        """What made an event count, for people."""
        path = (event.path or "").partition("?")[0][:LONGEST_QUOTE]
        took = f"took {duration(round(event.duration_ms or 0), exactly=True)}"
        return f"{took} on {path}" if path else took

    def samples(self, batch: Batch) -> dict[str, list[int]]:
        """Per host: where in the batch the last few of its slow answers stand, in order."""
        limit = self._ends[LIMIT_BIN]
        found: dict[str, list[int]] = {}
        for index in range(len(batch.events) - 1, -1, -1):
            event = batch.events[index]
            took = event.duration_ms
            if took is not None and limit < took < LONGEST_MS and event.status != SWITCHING:
                indexes = found.setdefault(self._known(event.host), [])
                if len(indexes) < SAMPLES:
                    indexes.append(index)
        return {host: indexes[::-1] for host, indexes in found.items()}

    def _bucket_of(self, timestamp: object, received_ms: int) -> int:
        if self._by_tens and type(timestamp) is str and len(timestamp) == TENS and timestamp[10] in "T ":
            timestamp += "0Z"
        at = event_time_ms(timestamp, received_ms)[0]
        return at - at % self._bucket_ms

    def _known(self, host: str | None) -> str:
        """As in high_error_rate: a client may send any Host header, and each would cost memory."""
        if host is None or (host not in self._hosts and len(self._hosts) >= MOST_HOSTS):
            return ANY_HOST
        self._hosts.add(host)
        return host


def _flat(counts: dict[int, int]) -> list[int]:
    return [number for bin_ in sorted(counts) for number in (bin_, counts[bin_])]
