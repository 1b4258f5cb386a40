"""source_unreadable: all that a source has sent for a while says nothing.

Default: 100 records in a row, over a minute at least, that could not be read or give neither an address nor a status
nor an outcome. The first one that does ends it. Fewer may be a program that starts up, or an attacker's garbage; over
a minute, because a sender that is restarted sends what it has kept in one go.
Source: the numbers are ours. What goes dark is an attacker's aim too (ATT&CK T1562.006, CWE-778).
"""

from typing import ClassVar

from detectors.guide import Guide
from detectors.rule import Rule

SHORTEST_MS = 60_000
"""For how long it must have gone on."""


class SourceUnreadable:
    """Judges what is kept of one source."""

    guide: ClassVar[Guide] = Guide(
        phrase="{subject} sent {count} records in a row that say neither who nor what",
        what=(
            "All that a source of logs has sent lately could not be read, or gives neither a client address "
            "nor a status nor an outcome: its format has changed, or its fields have other names. "
            "Attacks in it are not seen. The threshold is the number of records in a row; the window is the "
            "time within which the last of them must have come. The first record that can be used says that "
            "it is over."
        ),
        needs="Nothing of the log; a source is a token of the role `ingest` and a protocol.",
        check=(
            "`bartizan sources list` shows what each source sends, and why records are rejected; `bartizan "
            "rejected list --source SOURCE` shows the records themselves. Compare with the sender's "
            "configuration and its last change."
        ),
        act=(
            "Mend the sender's format, or name the fields as docs/ingest.md has them. What was rejected in the "
            "last 24 hours can then be counted after all: `bartizan rejected reingest --source SOURCE`."
        ),
        wrong=(
            "A source that only ever sends messages of an application, for the sake of credentials in them: "
            "silence the rule for that subject, or give it `mode: observe`."
        ),
        references=("T1562.006", "CWE-778"),
    )

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def is_unreadable(self, records: int, since_ms: int, last_ms: int, now_ms: int) -> bool:
        """Whether so many useless records in a row, from the first to the last, are too many."""
        return (
            records >= self._rule.threshold
            and last_ms - since_ms >= SHORTEST_MS
            and now_ms - last_ms <= self._rule.window_ms
        )
