"""client_error_rate: nearly everything that one address asks for is refused or not there.

Looks at: the share of answers 400 to 499 among all of an address's, in buckets of a thirtieth of the window, judged
when a bucket is complete. Counted from an address's fifth error within a window on, in this process: what it did
before is not known.
Default: 80 per cent of at least 20 requests in a minute; investigates.
Source: OWASP OAT-014, OAT-018; ATT&CK T1595.003; Elastic's rule for error codes asks for more than 10 at once.
"""

from detectors.addresses import Networks, client_address, subject_of
from detectors.detector import answer_of
from detectors.event import Batch, Event
from detectors.guide import Guide
from detectors.high_error_rate import BUCKETS, SAMPLES
from detectors.rule import Rule
from detectors.timestamps import event_time_ms
from detectors.trusted_clients import TrustedClients

FEWEST_ERRORS = 5
"""Of one address within a window before it is counted at all: most addresses meet one now and then."""
MOST_ADDRESSES = 10_000
"""Addresses with errors that are remembered; past that those go first whose last error is longest ago."""
MOST_SPELLINGS = 64
"""Of one subject's `client_ip` as logged: the addresses of an IPv6 /64, ports."""
NOBODY = ""


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

    measures = "answers 400 to 499 of an address, and from its fifth on all its others"
    """What it adds up, for people."""

    def __init__(self, rule: Rule, trusted: Networks, clients: TrustedClients | None = None) -> None:
        self.rule = rule
        self._trusted = trusted
        self._clients = clients or TrustedClients()
        self._bucket_ms = max(1000, rule.window_ms // BUCKETS)
        self._errors: dict[str, tuple[int, int]] = {}
        """Subject -> how many errors, and when the last was, epoch ms; the longest ago first."""
        self._watched: dict[str, set[str | None]] = {}
        """Subjects with errors enough within the last window -> their `client_ip` as logged."""
        self._newest = 0
        """Time of the newest error seen: a replay's events are long past."""
        self._bad: list[int] = []
        """Where the errors stand in the batch at work."""

    def tally(self, batch: Batch) -> dict[str, tuple[list[int], list[int]]]:
        """Per address: bucket starts in order, and total and bad of each, alternating."""
        self._bad = [i for i, e in enumerate(batch.events) if e.status is not None and 400 <= e.status < 500]
        for event in map(batch.events.__getitem__, self._bad):
            if not self._clients.spare(self.rule, event):
                self._note(event, batch.received_ms)
        self._forget()
        if not self._watched:
            return {}
        logged = set().union(*self._watched.values())
        counts: dict[str, dict[int, list[int]]] = {}
        # One look at each event decides, since this sees all of them.
        for event in [e for e in batch.events if e.client_ip in logged]:
            subject = self._subject(event)
            if subject not in self._watched or event.status is None or self._clients.spare(self.rule, event):
                continue
            at = event_time_ms(event.timestamp, batch.received_ms)[0]
            count = counts.setdefault(subject, {}).setdefault(at - at % self._bucket_ms, [0, 0])
            count[0] += 1
            count[1] += 400 <= event.status < 500
        return {
            subject: (sorted(buckets), [n for start in sorted(buckets) for n in buckets[start]])
            for subject, buckets in counts.items()
        }

    def _note(self, event: Event, received_ms: int) -> None:
        subject = self._subject(event)
        if subject == NOBODY:
            return
        at = event_time_ms(event.timestamp, received_ms)[0]
        self._newest = max(self._newest, at)
        errors, last = self._errors.pop(subject, (0, at))
        errors = errors + 1 if at - last < self.rule.window_ms else 1
        self._errors[subject] = errors, max(at, last)
        if errors < FEWEST_ERRORS:
            self._watched.pop(subject, None)
        elif len(logged := self._watched.setdefault(subject, set())) < MOST_SPELLINGS:
            logged.add(event.client_ip)

    def _forget(self) -> None:
        while self._errors:
            subject, (_, at) = next(iter(self._errors.items()))
            if len(self._errors) <= MOST_ADDRESSES and self._newest - at < self.rule.window_ms:
                return
            del self._errors[subject]
            self._watched.pop(subject, None)

    def _subject(self, event: Event) -> str:
        address = client_address(event.client_ip, event.forwarded_for, self._trusted)
        return subject_of(address) if address else NOBODY

    def samples(self, batch: Batch) -> dict[str, list[int]]:
        """Per address: where in the batch just tallied the last few of its errors stand, in order."""
        found: dict[str, list[int]] = {}
        for index in reversed(self._bad):
            if (subject := self._subject(batch.events[index])) in self._watched:
                indexes = found.setdefault(subject, [])
                if len(indexes) < SAMPLES:
                    indexes.append(index)
        return {subject: indexes[::-1] for subject, indexes in found.items()}

    def is_news(self, values: list[int]) -> bool:
        """Whether there are errors among what was added up."""
        return any(values[1::2])

    def said_of(self, event: Event) -> str:
        """What made an event count, for people."""
        return answer_of(event)

    def is_aside(self, _values: list[int]) -> bool:
        """Always: which addresses are counted depends on what this process remembers. See `Group.is_aside`."""
        return True
