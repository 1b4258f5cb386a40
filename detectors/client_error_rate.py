"""client_error_rate: nearly everything that one address asks for is refused or not there.

Looks at: the share of answers 400 to 499 among all of an address's, in buckets of a thirtieth of the window, judged
when a bucket is complete. Counted from an address's first error on: what it did before is not known.
Default: 80 per cent of at least 20 requests in a minute; investigates.
Source: OWASP OAT-014, OAT-018; ATT&CK T1595.003; Elastic's rule for error codes asks for more than 10 at once.
"""

from detectors.addresses import Networks, client_address, subject_of
from detectors.event import Batch
from detectors.guide import Guide
from detectors.high_error_rate import BUCKETS, SAMPLES
from detectors.rule import Rule
from detectors.timestamps import event_time_ms
from detectors.trusted_clients import TrustedClients

MOST_ADDRESSES = 10_000
"""Addresses with errors whose good answers are counted too; past that the oldest go first."""


class ClientErrorRate:
    """Adds up a batch, looking closely only at addresses that lately met errors."""

    guide = Guide(
        phrase="{subject} met errors with {percent} of {total} requests",
        what="Most requests of one address are refused or ask for what is not there: somebody goes through a list of "
        "paths, parameters or tokens.",
        needs="client_ip and status of all requests, the good ones as well.",
        check="Look at the paths asked for: a list of well-known names is a scanner; one path again and again is a "
        "broken client.",
        act="Block the address if it is a scanner; tell the owner if it is a client of yours.",
        wrong="A client with an expired token or an old version of your API, or a broken link in a page. Raise "
        "min_volume, or allowlist it.",
        references=("OAT-014", "OAT-018", "T1595.003"),
    )

    def __init__(self, rule: Rule, trusted: Networks, clients: TrustedClients | None = None) -> None:
        self.rule = rule
        self._trusted = trusted
        self._clients = clients or TrustedClients()
        self._bucket_ms = max(1000, rule.window_ms // BUCKETS)
        self._failing: dict[str, int] = {}
        """Subject -> when it last met an error, epoch ms; the longest ago first."""
        self._subjects: dict[tuple[str | None, str | None], str | None] = {}

    def tally(self, batch: Batch) -> dict[str, tuple[list[int], list[int]]]:
        """Per address: bucket starts in order, and total and bad of each, alternating."""
        bad = [e for e in batch.events if e.status is not None and 400 <= e.status < 500]
        bad = [e for e in bad if not self._clients.spare(self.rule, e)]
        if not bad and not self._failing:
            return {}
        for event in bad:
            subject = self._subject(event.client_ip, event.forwarded_for)
            if subject is not None:
                self._failing.pop(subject, None)
                self._failing[subject] = event_time_ms(event.timestamp, batch.received_ms)[0]
        counts: dict[str, dict[int, list[int]]] = {}
        for event in batch.events:
            status = event.status
            subject = None if status is None else self._subject(event.client_ip, event.forwarded_for)
            if status is None or subject is None or subject not in self._failing:
                continue
            at = event_time_ms(event.timestamp, batch.received_ms)[0]
            if at - self._failing[subject] >= self.rule.window_ms:
                continue
            count = counts.setdefault(subject, {}).setdefault(at - at % self._bucket_ms, [0, 0])
            count[0] += 1
            count[1] += 400 <= status < 500
        self._forget(batch.received_ms)
        return {
            subject: (sorted(buckets), [n for start in sorted(buckets) for n in buckets[start]])
            for subject, buckets in counts.items()
        }

    def samples(self, batch: Batch) -> dict[str, list[int]]:
        """Per address: where in the batch the last few of its errors stand, in order."""
        found: dict[str, list[int]] = {}
        for index in range(len(batch.events) - 1, -1, -1):
            event = batch.events[index]
            if event.status is not None and 400 <= event.status < 500:
                subject = self._subject(event.client_ip, event.forwarded_for)
                if subject is not None and len(indexes := found.setdefault(subject, [])) < SAMPLES:
                    indexes.append(index)
        return {subject: indexes[::-1] for subject, indexes in found.items()}

    def is_aside(self, values: list[int]) -> bool:
        """Whether an address is only counted because an earlier batch held its errors. See `Group.is_aside`."""
        return not any(values[1::2])

    def _forget(self, now: int) -> None:
        while self._failing:
            subject, at = next(iter(self._failing.items()))
            if len(self._failing) <= MOST_ADDRESSES and now - at < 2 * self.rule.window_ms:
                return
            del self._failing[subject]

    def _subject(self, client_ip: str | None, forwarded_for: str | None) -> str | None:
        key = (client_ip, forwarded_for)
        if key not in self._subjects:
            if len(self._subjects) >= 65_536:
                self._subjects.clear()
            address = client_address(client_ip, forwarded_for, self._trusted)
            self._subjects[key] = subject_of(address) if address else None
        return self._subjects[key]
