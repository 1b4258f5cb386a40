"""Where each object of a MessagePack body ends, however deep it is nested. Nothing is built, and nothing recurses.

msgpack passes over an object quickly, but only over 1,024 levels of it. What is deeper is passed over here by its type
bytes: each says how many bytes follow it, and how many objects.
Source: https://github.com/msgpack/msgpack/blob/master/spec.md, "Formats".
"""

from collections.abc import Callable

import msgpack

WINDOW_BYTES = 64 * 1024
"""What is handed to msgpack at first after an object that was too deep for it: handing over copies, and a body may hold
a hundred thousand such objects."""
GROWTH = 8
"""By how much the window grows where an object does not fit."""

_FAILURES = (msgpack.exceptions.UnpackException, ValueError, TypeError)
_Type = tuple[int, int, int, int]
"""Bytes that follow the type byte for certain; objects that do; bytes of a length in between; what the length counts
(0: bytes; 1 and 2: so many objects for each)."""


def _types() -> list[_Type | None]:
    """What each byte means that can begin an object; None for the one that never does (0xc1)."""
    found: list[_Type | None] = [(0, 0, 0, 0)] * 256  # small integers, nil, booleans
    found[0x80:0x90] = [(0, 2 * number, 0, 0) for number in range(16)]
    found[0x90:0xA0] = [(0, number, 0, 0) for number in range(16)]
    found[0xA0:0xC0] = [(number, 0, 0, 0) for number in range(32)]
    found[0xC1] = None
    for first, extra in ((0xC4, 0), (0xC7, 1)):  # binary; extensions, which have a type as well
        found[first : first + 3] = [(extra, 0, width, 0) for width in (1, 2, 4)]
    for first, sizes in (
        (0xCA, (4, 8)),
        (0xCC, (1, 2, 4, 8)),
        (0xD0, (1, 2, 4, 8)),
        (0xD4, (2, 3, 5, 9, 17)),
    ):
        found[first : first + len(sizes)] = [(size, 0, 0, 0) for size in sizes]
    found[0xD9:0xDC] = [(0, 0, width, 0) for width in (1, 2, 4)]
    found[0xDC:0xDE] = [(0, 0, width, 1) for width in (2, 4)]
    found[0xDE:0xE0] = [(0, 0, width, 2) for width in (2, 4)]
    return found


_TYPES = _types()


class Damaged(Exception):
    """No object begins here, or it has no end."""


class TooDeep(Exception):
    """The object is nested too deep to be built."""

    def __init__(self, end: int) -> None:
        """`end`: where it ends."""
        super().__init__(end)
        self.end = end


class Objects:
    """The objects of one body, asked for in their order."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._look_from(0, len(body))

    def pass_over(self, start: int) -> int:
        """Where the object that starts here ends. Raises: Damaged, TooDeep."""
        try:
            self._scout.skip()
        except _FAILURES as error:
            self._mend(error, start, msgpack.Unpacker.skip)
        return self._begin + int(self._scout.tell())

    def enter_array(self, start: int) -> int:
        """Where the first element of the array that starts here begins. Raises: Damaged."""
        try:
            self._scout.read_array_header()
        except _FAILURES as error:
            self._mend(error, start, msgpack.Unpacker.read_array_header)
        return self._begin + int(self._scout.tell())

    def _mend(self, error: Exception, start: int, step: Callable[[msgpack.Unpacker], object]) -> None:
        """Do what has failed with as large a window as it takes. Raises: as `pass_over`."""
        window = WINDOW_BYTES
        while True:
            if isinstance(error, msgpack.exceptions.StackError):
                end = end_of(self._body, start)
                self._look_from(end, WINDOW_BYTES)
                raise TooDeep(end) from error
            if not isinstance(error, msgpack.exceptions.OutOfData) or self._end == len(self._body):
                raise Damaged from error
            self._look_from(start, window)
            window *= GROWTH
            try:
                step(self._scout)
            except _FAILURES as again:
                error = again
            else:
                return

    def _look_from(self, begin: int, size: int) -> None:
        """From here on a scout of its own, which knows so many bytes."""
        self._begin, self._end = begin, min(begin + size, len(self._body))
        self._scout = msgpack.Unpacker(max_buffer_size=max(self._end - begin, 1), strict_map_key=False)
        self._scout.feed(memoryview(self._body)[begin : self._end])


def end_of(body: bytes, start: int) -> int:
    """Where the object that starts here ends, told by its type bytes alone. Raises: Damaged."""
    at, size, wanted = start, len(body), 1
    while wanted:
        found = _TYPES[body[at]] if at < size else None
        if found is None:
            raise Damaged
        following, objects, width, per_length = found
        at += 1
        if width:
            length = int.from_bytes(body[at : at + width], "big")
            at += width
            if per_length:
                objects = length * per_length
            else:
                following += length
        at += following
        wanted += objects - 1
        if at > size:
            raise Damaged
    return at
