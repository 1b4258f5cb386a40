"""high_error_rate: too many of a host's answers are server errors.

Counted per host in buckets of a thirtieth of the window, judged when a bucket is complete.
Default: 10 per cent of at least 100 requests in five minutes open an incident; it is over when, over a whole window of
as many, less than four fifths of that are.
Source: the operator's document (error rate under 5 per cent, incident at 10 per cent).
"""

from collections import Counter
from collections.abc import Sequence
from operator import attrgetter

from detectors.detector import answer_of
from detectors.event import Batch, Event
from detectors.guide import Guide
from detectors.rule import Rule
from detectors.timestamps import FUTURE_LIMIT_MS, event_time_ms

BUCKETS = 30
"""Buckets of one window."""
TENS = len("2026-11-23T10:00:0")
"""Characters of an RFC 3339 timestamp that name its ten seconds."""
MOST_HOSTS = 1000
"""Hosts that a process tells apart; events of any further one are added up under ANY_HOST."""
SAMPLES = 10
"""Errors of one host and batch that are kept as evidence; as many as one finding carries."""
ANY_HOST = "*"
"""The subject of events that name no host."""

_UNITS = ((10**11, 10**14, 1), (10**14, 10**17, 1_000), (10**17, 10**20, 1_000_000))
"""Milliseconds, microseconds, nanoseconds: from which number, to which, how many to the millisecond (`parse_time`)."""
_ALIKE = attrgetter("timestamp", "host", "status")


class HighErrorRate:
    """Adds up a batch. The only detector that sees every event, so it is written for speed."""

    guide = Guide(
        phrase="{subject} answered {percent} of {total} requests with errors",
        what=(
            "Too many answers of a host are server errors (500 and above), among all events with "
            "a status. Something broke, or somebody found requests that break it; both look the "
            "same from outside. It says nothing below a minimum volume."
        ),
        needs=(
            "`status` of every request, not only of the failed ones; `host` tells several services apart."
        ),
        check=(
            "`bartizan incidents show ID`: compare `path` and `client_ip` of the failing events. "
            "One path for many addresses is a fault of the service, many paths for one address is "
            "somebody trying things. Compare `first_seen` with your deployments."
        ),
        act=(
            "A fault: roll back or mend the route that the evidence names. One address: `bartizan "
            "blocks add ADDRESS --reason ...`, and mend what its requests broke, since the next "
            "one will find it too."
        ),
        wrong=(
            "A log that holds the failed requests only makes every rate high: send all of them, "
            "or raise the percentage or `min_volume`. A planned outage: resolve it as benign."
        ),
        references=("T1499", "OAT-015"),
    )

    measures = "events with a status"
    """What it adds up, for people."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._bucket_ms = max(1000, rule.window_ms // BUCKETS)
        self._by_tens = self._bucket_ms % 10_000 == 0
        self._hosts: set[str] = set()

    def tally(self, batch: Batch) -> dict[str, tuple[list[int], list[int]]]:
        """Per host: bucket starts in order, and total and bad of each, alternating."""
        if self._by_tens and batch.events and _is_finer_than_seconds(batch.events[0].timestamp):
            # Written in one expression for speed: the first 18 characters of `2026-11-23T10:00:03.123Z` decide.
            alike = Counter(
                [
                    (t[:TENS] if type(t := e.timestamp) is str and t[-1:] == "Z" else t, e.host, e.status)
                    for e in batch.events
                ]
            )
        elif self._by_tens and batch.events and (span := _span_of(batch)) is not None:
            low, high, tens = span
            alike = Counter(
                [
                    (
                        t - t % tens if type(t := e.timestamp) is int and low <= t < high else t,
                        e.host,
                        e.status,
                    )
                    for e in batch.events
                ]
            )
        else:
            alike = Counter(map(_ALIKE, batch.events))
        counts: dict[tuple[str | None, int], list[int]] = {}
        for (timestamp, host, status), number in alike.items():
            if status is not None:
                count = counts.setdefault((host, self._bucket_of(timestamp, batch.received_ms)), [0, 0])
                count[0] += number
                count[1] += number if status >= 500 else 0
        return self._by_host(counts)

    def is_news(self, values: list[int]) -> bool:
        """Whether there are errors among what was added up."""
        return any(values[1::2])

    def said_of(self, event: Event) -> str:
        """What made an event count, for people."""
        return answer_of(event)

    def is_aside(self, _values: list[int]) -> bool:
        """Never: what a batch adds up to depends on the batch alone. See `Group.is_aside`."""
        return False

    def samples(self, batch: Batch) -> dict[str, list[int]]:
        """Per host: where in the batch the last few of its errors stand, in order."""
        failed = [i for i, e in enumerate(batch.events) if e.status is not None and e.status >= 500]
        found: dict[str, list[int]] = {}
        for index in reversed(failed):
            indexes = found.setdefault(self._known(batch.events[index].host), [])
            if len(indexes) < SAMPLES:
                indexes.append(index)
        return {host: indexes[::-1] for host, indexes in found.items()}

    def _bucket_of(self, timestamp: object, received_ms: int) -> int:
        if self._by_tens and type(timestamp) is str and len(timestamp) == TENS and timestamp[10] in "T ":
            timestamp += "0Z"
        at = event_time_ms(timestamp, received_ms)[0]
        return at - at % self._bucket_ms

    def _by_host(
        self, counts: dict[tuple[str | None, int], list[int]]
    ) -> dict[str, tuple[list[int], list[int]]]:
        found: dict[str, tuple[list[int], list[int]]] = {}
        for (host, bucket), count in sorted(counts.items(), key=_bucket_start):
            times, values = found.setdefault(self._known(host), ([], []))
            if times and times[-1] == bucket:
                values[-2] += count[0]
                values[-1] += count[1]
            else:
                times.append(bucket)
                values.extend(count)
        return found

    def _known(self, host: str | None) -> str:
        """The host itself while there are few; a client may send any Host header, and each would cost memory."""
        if host is None or (host not in self._hosts and len(self._hosts) >= MOST_HOSTS):
            return ANY_HOST
        self._hosts.add(host)
        return host


def _is_finer_than_seconds(timestamp: object) -> bool:
    """Whether there are so many different times that it pays to cut them; said of the first event, true of most."""
    return type(timestamp) is str and timestamp[-1:] == "Z" and len(timestamp) > len("2026-11-23T10:00:03Z")


def _span_of(batch: Batch) -> tuple[int, int, int] | None:
    """Where the first time is a whole number: which ones are like it and not of the future, and ten seconds of it."""
    timestamp = batch.events[0].timestamp
    if type(timestamp) is not int:
        return None
    for low, high, per_ms in _UNITS:
        if low <= timestamp < high:
            return low, min(high, (batch.received_ms + FUTURE_LIMIT_MS + 1) * per_ms), 10_000 * per_ms
    return None


def _bucket_start(item: tuple[tuple[str | None, int], Sequence[int]]) -> int:
    return item[0][1]
