"""What may be under way in one process, so that a burst is put off at once and neither died of nor waited for.

Three limits: bytes held in memory; work that waits, at the rate at which large bodies went lately; and the age of the
oldest small body, which says that this process falls behind whatever the reason.
"""

import time
from collections.abc import Callable

IN_FLIGHT_LIMIT_BYTES = 256 * 1024 * 1024
"""Wire and decompressed bytes together: three of the largest bodies. Decoded, they take four times that."""
WAIT_LIMIT_S = 0.7
"""The longest wait at which a body is taken. The answer is due soon after (taking.ANSWER_S)."""
FIRST_GUESS_S_PER_BYTE = 1 / 20e6
"""Of a process that has not worked yet: the slowest that was measured (every rule on) takes 12 MB a second."""
LATEST_WEIGHT = 0.2
"""Of the latest measurement in the running mean."""
TELLING_BYTES = 256 * 1024
"""A smaller body's time says more of its surroundings than of itself."""


class Overloaded(Exception):
    """More is under way than the limit; the sender may try again soon."""


class Gate:
    """Counts the bytes that this process holds and the work that waits, for requests that are not answered yet."""

    def __init__(
        self,
        limit: int = IN_FLIGHT_LIMIT_BYTES,
        wait_limit_s: float = WAIT_LIMIT_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.limit = limit
        self.wait_limit_s = wait_limit_s
        self.clock = clock
        self.in_flight = 0
        self.waiting = 0
        """Bytes of work whose body is here."""
        self.s_per_byte = FIRST_GUESS_S_PER_BYTE
        self.small: dict[Slot, float] = {}
        """When each small body began to wait, the oldest first."""

    def is_behind(self) -> bool:
        """Whether the oldest small body has waited too long. A large one may be late all by itself."""
        oldest = next(iter(self.small.values()), None)
        return oldest is not None and self.clock() - oldest > self.wait_limit_s

    def learn(self, size: int, seconds: float) -> None:
        """So many bytes of one body were decoded and counted within this time."""
        if size >= TELLING_BYTES:
            self.s_per_byte += (seconds / size - self.s_per_byte) * LATEST_WEIGHT


class Slot:
    """What one request holds; to be released at its end, however it ends."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.taken = 0
        self._work = 0

    def take(self, size: int) -> None:
        """Hold so many bytes more.

        Raises: Overloaded, unless this request is the only one: the largest body is always taken.
        """
        gate = self._gate
        if gate.in_flight + size > gate.limit and gate.in_flight > self.taken:
            raise Overloaded
        self.taken += size
        gate.in_flight += size

    def queue(self, size: int, *, is_small: bool) -> None:
        """Wait to be worked on, with a body of so many bytes; again with more once it is decompressed.

        Raises: Overloaded where the answer would come too late, unless nobody else waits.
        """
        gate, more = self._gate, max(0, size - self._work)
        has_others = gate.waiting > self._work
        if has_others and (gate.waiting + more) * gate.s_per_byte > gate.wait_limit_s:
            raise Overloaded
        if is_small:
            if gate.is_behind():
                raise Overloaded
            gate.small[self] = gate.clock()
        else:
            gate.small.pop(self, None)
        self._work += more
        gate.waiting += more

    def release(self) -> None:
        """Let go of everything."""
        gate = self._gate
        gate.in_flight -= self.taken
        gate.waiting -= self._work
        gate.small.pop(self, None)
        self.taken = self._work = 0
