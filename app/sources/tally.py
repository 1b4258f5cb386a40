"""What one process has seen of one source since it last told Redis: sums, nothing of a record."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from app.ingest.decode import Decoded, Rejected
from detectors.event import Event
from detectors.timestamps import parse_time

REASONS = 20
"""Different reasons that are told apart; a further one is OTHER."""
OTHER = "other"
LONGEST_REASON = 120
_REASON = attrgetter("reason")
_NUMBER = re.compile(r"[0-9]++")


def reason_of(text: str) -> str:
    """A reason as it is counted: its numbers (places, lengths) are no part of it, and its length is bounded."""
    return _NUMBER.sub("N", text[:LONGEST_REASON])


@dataclass(slots=True)
class Tally:
    """Sums over the requests of one source. Times are epoch ms of receipt, but for `last_event_ms`."""

    first_ms: int
    last_ms: int
    pause_ms: int = 0
    """The longest time between two requests."""
    counts: Counter[str] = field(default_factory=Counter)
    """By the name of the field that docs/sources.md explains."""
    reasons: Counter[str] = field(default_factory=Counter)
    last_event_ms: int | None = None
    """The time of the newest batch's last event, by the sender's clock."""
    skew_ms: int | None = None
    """Receipt minus that time."""
    ahead_ms: int = 0
    """How far an event's time lay in the future, at most."""
    is_useful: bool = False
    """Whether a record said who or what."""
    useless: int = 0
    """Records that did not, since the last request with one that did."""
    useless_since_ms: int | None = None

    def note_time(self, received_ms: int) -> None:
        """A request came."""
        self.pause_ms = max(self.pause_ms, received_ms - self.last_ms)
        self.last_ms = max(self.last_ms, received_ms)

    def note_events(self, decoded: Decoded, received_ms: int) -> None:
        """A batch was counted, or nothing in it could be decoded."""
        events, rejected = decoded.events, decoded.rejected
        no_client_ip, no_status, neither = _gaps(events)
        counts = self.counts
        counts["accepted"] += len(events)
        counts["no_client_ip"] += no_client_ip
        counts["no_status"] += no_status
        if rejected:
            counts["rejected"] += len(rejected)
            self._note_reasons(rejected)
        self._note_use(len(events) - neither, neither + len(rejected), received_ms)
        if events:
            self._note_clock(events[-1], received_ms)

    def note_refused(self, reason: str, received_ms: int, *, is_ours: bool) -> None:
        """A whole body was refused; its records are not known, so it counts as one."""
        self.counts["refused"] += 1
        self._add_reason(reason, 1)
        if not is_ours:
            self._note_use(0, 1, received_ms)

    def add(self, later: "Tally") -> None:
        """Takes in what was seen after this."""
        self.pause_ms = max(self.pause_ms, later.pause_ms, later.first_ms - self.last_ms)
        self.last_ms = max(self.last_ms, later.last_ms)
        self.counts.update(later.counts)
        for reason, number in later.reasons.items():
            self._add_reason(reason, number)
        if later.last_event_ms is not None:
            self.last_event_ms, self.skew_ms = later.last_event_ms, later.skew_ms
        self.ahead_ms = max(self.ahead_ms, later.ahead_ms)
        if later.is_useful:
            self.is_useful, self.useless, self.useless_since_ms = True, 0, None
        if later.useless:
            self.useless += later.useless
            self.useless_since_ms = self.useless_since_ms or later.useless_since_ms

    def _note_use(self, useful: int, useless: int, received_ms: int) -> None:
        if useful:
            self.is_useful, self.useless, self.useless_since_ms = True, 0, None
        elif useless:
            self.useless += useless
            self.useless_since_ms = self.useless_since_ms or received_ms

    def _note_clock(self, event: Event, received_ms: int) -> None:
        at = parse_time(event.timestamp)
        if at is not None:
            self.last_event_ms, self.skew_ms = at, received_ms - at
            self.ahead_ms = max(self.ahead_ms, at - received_ms)

    def _note_reasons(self, rejected: Sequence[Rejected]) -> None:
        for reason, number in Counter(map(_REASON, rejected)).items():
            self._add_reason(reason, number)

    def _add_reason(self, reason: str, number: int) -> None:
        reason = reason_of(reason)
        if reason not in self.reasons and len(self.reasons) >= REASONS:
            reason = OTHER
        self.reasons[reason] += number


def _gaps(events: Sequence[Event]) -> tuple[int, int, int]:
    """How many have no client address; neither a status nor an outcome; and none of the three.

    Every event of every batch comes by here, so each pass is one comprehension.
    """
    no_client_ip = [event for event in events if event.client_ip is None]
    no_status = [event for event in events if event.status is None and event.outcome is None]
    fewer = min(no_client_ip, no_status, key=len)
    neither = [e for e in fewer if e.client_ip is None and e.status is None and e.outcome is None]
    return len(no_client_ip), len(no_status), len(neither)
