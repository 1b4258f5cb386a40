"""How this room reports numbers without knowing the metrics library; app/metrics.py implements it."""

from typing import Protocol


class Counters(Protocol):
    """Counts things that happened.

    Names and labels: `findings` (rule, mode), `blocks` (rule, outcome), `incidents` (rule, result: opened, joined,
    recovered or reopened), `action_failures` (action), `messages` (channel: the policy's name for it, or
    `none`; result: delivered, failed, retried, held, superseded, muted, digest, unrouted, doubled, unreadable), `blocks_expired`,
    `findings_dead`, `storage_errors` (where), `bot_checks` (result: yes, no, unanswered, not_asked). Labels are names
    of ours, never text from logs.
    """

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Adds `amount` to the counter `name` with these labels."""


class NoCounters:
    """Counts nothing."""

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Does nothing."""
