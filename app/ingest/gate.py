"""What may be under way in one process, so that a burst is put off at once and neither died of nor waited for.

Two limits: bytes held in memory, and work that waits. How long a byte of work takes is measured while there is any;
times the bytes that are waiting, it is how long the next one would wait for its answer.
"""

import time
from collections.abc import Callable

IN_FLIGHT_LIMIT_BYTES = 256 * 1024 * 1024
"""Wire and decompressed bytes together: three of the largest bodies. Decoded, they take four times that."""
WAIT_LIMIT_S = 1.0
"""The longest estimated wait at which a body is taken. The answer is due half a second later (taking.ANSWER_S)."""
REQUEST_BYTES = 32 * 1024
"""What a request costs beside its bytes, as so many of them: one event by itself takes about as long as a hundred."""
FIRST_GUESS_S_PER_BYTE = 1 / 20e6
"""Of a process that has not worked yet: the slowest that was measured (every rule on) takes 12 MB a second."""
LATEST_WEIGHT = 0.2
"""Of the latest measurement in the running mean."""
TELLING_S = 0.05
"""A measurement over less than this says little."""


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
        self.in_flight = 0
        self.waiting = 0
        """Bytes of work whose body is here."""
        self.s_per_byte = FIRST_GUESS_S_PER_BYTE
        self._clock = clock
        self._measured_from = 0.0
        self._done = 0
        """Bytes of work done since then."""

    @property
    def wait_s(self) -> float:
        """How long what is under way will take, as far as anybody can tell."""
        return self.waiting * self.s_per_byte

    def begin(self, work: int) -> None:
        """So many bytes of work wait. Time in which nothing waits is not measured."""
        if not self.waiting:
            self._measured_from, self._done = self._clock(), 0
        self.waiting += work

    def end(self, work: int, *, is_done: bool) -> None:
        """So many bytes of work wait no longer; what was given up says nothing of how long work takes."""
        self.waiting -= work
        if not is_done:
            return
        self._done += work
        took = self._clock() - self._measured_from
        if took >= TELLING_S:
            self.s_per_byte += (took / self._done - self.s_per_byte) * LATEST_WEIGHT
            self._measured_from += took
            self._done = 0


class Slot:
    """What one request holds; to be released at its end, however it ends."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.taken = 0
        self._work = 0
        self._is_done = False

    def take(self, size: int) -> None:
        """Hold so many bytes more.

        Raises: Overloaded, unless this request is the only one: the largest body is always taken.
        """
        gate = self._gate
        if gate.in_flight + size > gate.limit and gate.in_flight > self.taken:
            raise Overloaded
        self.taken += size
        gate.in_flight += size

    def queue(self, size: int) -> None:
        """Wait to be worked on, with a body of so many bytes; again with more once it is decompressed.

        Raises: Overloaded where the answer would come too late, unless nobody else waits.
        """
        gate, more = self._gate, max(0, REQUEST_BYTES + size - self._work)
        if gate.waiting > self._work and (gate.waiting + more) * gate.s_per_byte > gate.wait_limit_s:
            raise Overloaded
        self._work += more
        gate.begin(more)

    def done(self) -> None:
        """The work is done."""
        self._is_done = True

    def release(self) -> None:
        """Let go of everything."""
        self._gate.in_flight -= self.taken
        self._gate.end(self._work, is_done=self._is_done)
        self.taken = self._work = 0
