"""What may be under way in one process, so that a burst is put off at once and neither died of nor waited for.

Two limits: bytes held in memory, and work that waits. The work is measured as it is done: how long a byte took
lately, times the bytes that are waiting, is how long the next one would wait for its answer.
"""

IN_FLIGHT_LIMIT_BYTES = 256 * 1024 * 1024
"""Wire and decompressed bytes together: three of the largest bodies. Decoded, they take four times that."""
WAIT_LIMIT_S = 1.5
"""The longest estimated wait at which a body is still taken. The answer is due within 2 s (taking.ANSWER_S)."""
REQUEST_BYTES = 4096
"""What a request costs beside its bytes, as so many of them: an empty one takes about 0.3 ms."""
FIRST_GUESS_S_PER_BYTE = 1 / 20e6
"""Of a process that has not worked yet: the slowest that was measured (every rule on) takes 12 MB a second."""
LATEST_WEIGHT = 0.1
"""Of the latest measurement in the running mean."""
TELLING_BYTES = 64 * 1024
"""With less ahead of it, a request's time says more of the network than of the work."""


class Overloaded(Exception):
    """More is under way than the limit; the sender may try again soon."""


class Gate:
    """Counts the bytes that this process holds and the work that waits, for requests that are not answered yet."""

    def __init__(self, limit: int = IN_FLIGHT_LIMIT_BYTES, wait_limit_s: float = WAIT_LIMIT_S) -> None:
        self.limit = limit
        self.wait_limit_s = wait_limit_s
        self.in_flight = 0
        self.waiting = 0
        """Bytes of work whose body is here."""
        self.s_per_byte = FIRST_GUESS_S_PER_BYTE

    @property
    def wait_s(self) -> float:
        """How long what is under way will take, as far as anybody can tell."""
        return self.waiting * self.s_per_byte


class Slot:
    """What one request holds; to be released at its end, however it ends."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.taken = 0
        self._work = 0
        self._ahead = 0

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
        gate, more = self._gate, REQUEST_BYTES + size - self._work
        if gate.waiting > self._work and (gate.waiting + more) * gate.s_per_byte > gate.wait_limit_s:
            raise Overloaded
        self._work += more
        gate.waiting += more
        self._ahead = gate.waiting

    def worked(self, seconds: float) -> None:
        """It is done, so many seconds after it began to wait: what went before it was done within them, too."""
        if self._ahead >= TELLING_BYTES:
            latest = seconds / self._ahead
            self._gate.s_per_byte += (latest - self._gate.s_per_byte) * LATEST_WEIGHT

    def release(self) -> None:
        """Let go of everything."""
        self._gate.in_flight -= self.taken
        self._gate.waiting -= self._work
        self.taken = self._work = 0
