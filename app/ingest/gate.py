"""How many bytes of bodies may be under way in one process, so that a burst is put off and not died of."""

from collections.abc import Iterator
from contextlib import contextmanager

IN_FLIGHT_LIMIT_BYTES = 256 * 1024 * 1024
"""Wire and decompressed bytes together: three of the largest bodies. Decoded, they take four times that."""


class Overloaded(Exception):
    """More is under way than the limit; the sender may try again soon."""


class Gate:
    """Counts the bytes that this process holds for requests that are not answered yet."""

    def __init__(self, limit: int = IN_FLIGHT_LIMIT_BYTES) -> None:
        self.limit = limit
        self.in_flight = 0

    @contextmanager
    def slot(self) -> Iterator["Slot"]:
        """A request's share; given back at the end, however it ends."""
        slot = Slot(self)
        try:
            yield slot
        finally:
            self.in_flight -= slot.taken


class Slot:
    """What one request holds."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.taken = 0

    def take(self, size: int) -> None:
        """Hold so many bytes more.

        Raises: Overloaded, unless this request is the only one: the largest body is always taken.
        """
        gate = self._gate
        if gate.in_flight + size > gate.limit and gate.in_flight > self.taken:
            raise Overloaded
        self.taken += size
        gate.in_flight += size
