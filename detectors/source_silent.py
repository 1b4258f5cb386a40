"""source_silent: a source has sent nothing for longer than its own habit.

Default: for three times its longest pause of its last seven days, and for ten minutes at least. A pause that was called
silent counts for itself and a quarter only: an outage of five hours must not hide the next one of ten.
Source: the numbers are ours; the floor is twice the buffer interval that Amazon Data Firehose has by default (300 s).
"""

from typing import ClassVar, NamedTuple

from detectors.guide import Guide
from detectors.rule import Rule

HISTORY_MS = 86_400_000
"""From its first batch to its last: less tells no habit, nights included."""
BATCHES = 10
"""So many seconds with batches, at least: somebody who tries a token out by hand twice has no habit."""


class Habit(NamedTuple):
    """How a source has sent so far. Times are ms."""

    first_at: int
    last_at: int
    batches: int
    pause_ms: int
    """The longest pause of its last seven days."""
    silence_ms: int
    """The longest of those that were called silent."""


class SourceSilent:
    """Judges what is kept of one source."""

    guide: ClassVar[Guide] = Guide(
        phrase="{subject} has sent nothing",
        what=(
            "A source of logs has fallen silent for longer than is its own habit: the shipper has stopped, its "
            "token has expired, or somebody who got in has turned logging off. The threshold says how many times "
            "its longest pause of the last seven days, the window how long at least. It says nothing of a source "
            "that is less than a day old, and nothing of a time in which Bartizan itself did not listen. The first "
            "request that comes says that it is over."
        ),
        needs="Nothing of the log; a source is a token of the role `ingest` and a protocol.",
        check=(
            "`bartizan sources list` shows when each source sent last. Several at once: look at the network and at "
            "Bartizan's own address; one: look at its machine, its shipper's own log and the disk."
        ),
        act=(
            "Start the shipper again: those that keep a place in their file send what is missing. Where nobody has "
            "stopped it, look at who was on that machine before."
        ),
        wrong=(
            "A machine that was taken out of service: revoke its token. A source that sends only now and then: raise "
            "the window, or silence the rule for that subject."
        ),
        references=("T1562.001", "T1562.006", "CWE-778"),
    )

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def limit_ms(self, habit: Habit) -> int | None:
        """For how long this source may be quiet; None where it has no habit yet."""
        if habit.last_at - habit.first_at < HISTORY_MS or habit.batches < BATCHES:
            return None
        rule = self._rule
        return max(rule.window_ms, rule.threshold * habit.pause_ms, habit.silence_ms * 5 // 4)

    def is_silent(self, habit: Habit, quiet_ms: int) -> bool:
        """Whether nothing for so long, in which somebody listened, is too long."""
        limit_ms = self.limit_ms(habit)
        return limit_ms is not None and quiet_ms > limit_ms
