"""Tells people of an external list that could not be had for too long, and when that is over.

It goes the way of a source of logs that falls silent (app/sources/watch.py): a finding whose incident is resolved by
the one that says it is over. It is told before it is written down that it was, by the process whose turn the list is:
after a crash in between it is told again, and joins the incident that is open.
"""

from collections.abc import Callable

import msgspec

from actions.blocks.lists import ListInfo
from app.lookup.packed import LISTS
from app.policies.policy import Policy
from detectors.defaults import DEFAULTS
from detectors.finding import Evidence
from detectors.rule import Rule
from detectors.windows import Told, Windows

RULE = "blocklist_stale"


class StaleLists:
    """One per process."""

    def __init__(self, windows: Windows, policy: Callable[[], Policy], now: Callable[[], int]) -> None:
        self._windows, self._policy, self._now = windows, policy, now

    async def begin(self, info: ListInfo) -> int:
        """Tell of a list; since when it could not be had, epoch ms, for `end`. Raises: StorageError."""
        now = self._now()
        since = info.good_at or info.asked_at or now
        left = (
            f"{info.entries:,} entries are no longer in force" if info.entries else "none of it is in force"
        )
        evidence = Evidence(now, now, f"{info.error}; {left}")
        told = Told(first_at=since, at=now, evidence=(evidence,))
        await self._windows.report(self._rule(), _subject(info), told=told)
        return since

    async def end(self, info: ListInfo, why: str = "") -> None:
        """Tell that it is over, where people were told that it began; `why`: unless it is because it can be had.

        Raises: StorageError.
        """
        if info.stale_since is None:
            return
        now = self._now()
        evidence = (Evidence(now, now, why),) if why else ()
        told = Told(first_at=info.stale_since, at=now, evidence=evidence, recovered=True)
        await self._windows.report(self._rule(), _subject(info), told=told)

    def _rule(self) -> Rule:
        """The policy's rule, which is on where the policy does not name it: it names a list."""
        # It is one list that is stale; how long it may be stands beside the list.
        return msgspec.structs.replace(self._policy().rule(RULE) or DEFAULTS[RULE], threshold=1)


def _subject(info: ListInfo) -> str:
    return f"{LISTS}:{info.name}"
