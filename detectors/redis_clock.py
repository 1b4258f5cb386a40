"""Until when a script may still run, in the words of Redis' own clock.

A Redis that hung, or was paused, goes on with what waits in its sockets, also for callers that have given up long ago.
So a script that must not run after its caller has said "not counted" is told until when it may. The clocks of two
machines do not agree; therefore only Redis' own is asked, and what has passed since is measured here.
"""

import time
from collections.abc import Callable

NO_DEADLINE = 0


class RedisClock:
    """What this process knows of the time at Redis."""

    def __init__(self, passed_s: Callable[[], float] = time.monotonic) -> None:
        self._passed_s = passed_s
        self._ahead_ms: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether Redis has ever said what time it is."""
        return self._ahead_ms is not None

    def learn(self, redis_ms: float) -> None:
        """Redis says what time it is, or a moment ago was. The last word counts, as its clock may be set anew."""
        self._ahead_ms = redis_ms - 1000 * self._passed_s()

    def deadline(self, within_ms: int) -> int:
        """The time at Redis so far from now; `NO_DEADLINE` where nothing is known of it."""
        if self._ahead_ms is None:
            return NO_DEADLINE
        return int(self._ahead_ms + 1000 * self._passed_s()) + within_ms
