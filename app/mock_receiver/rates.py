"""How many requests a service takes, counted as it counts them."""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence


class Windows:
    """Sliding windows of one service, one set for each address or key."""

    def __init__(self, now: Callable[[], int], limits: Sequence[tuple[int, int]]) -> None:
        """`limits`: (how many, within how many ms); all of them hold. `now`: epoch ms."""
        self._now = now
        self._limits = limits
        self._taken: dict[str, deque[int]] = defaultdict(deque)

    def wait_ms(self, key: str) -> int:
        """0 where one more is taken, which is then counted; else how long to wait."""
        now, taken = self._now(), self._taken[key]
        while taken and taken[0] <= now - max((window for _, window in self._limits), default=0):
            taken.popleft()
        waits = [
            taken[-most] + window - now
            for most, window in self._limits
            if len(taken) >= most and taken[-most] > now - window
        ]
        if waits:
            return max(waits)
        taken.append(now)
        return 0
