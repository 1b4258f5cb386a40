"""What came and went lately, each decision by itself: for bouncers, who are told of deletions in its own words.

The feed's ring says what is in force of a value after a change, which is what our own clients want; it says nothing of
what was there before, and of several decisions of one value only the strongest.
"""

from collections import deque

import msgspec

from actions.blocks.decision import Decision
from app.lookup.packed import PackedList

HISTORY_SIZE = 10_000
"""Events kept, as many as the feed's ring has changes."""
Position = tuple[int, int]
"""A cursor of the changes stream as numbers that compare."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """What happened at one place of the changes stream."""

    position: Position
    added: Decision | None = None
    gone: Decision | None = None
    """What was there before, or in the place of what was added; in force or not."""
    allowed: str | None = None
    """A network that came onto the allowlist."""
    disallowed: str | None = None
    list_before: PackedList | None = None
    """An external list that was exchanged: its entries are not events of their own."""
    list_after: PackedList | None = None


class History:
    """The newest events of this process."""

    def __init__(self, size: int = HISTORY_SIZE) -> None:
        self._events: deque[Event] = deque()
        self._size = size
        self.floor: Position = (0, 0)
        """From where on everything that happened is known."""

    def start_over(self, position: Position) -> None:
        """What happened before is not known any more."""
        self._events.clear()
        self.floor = position

    def note(self, event: Event) -> None:
        """One more."""
        self._events.append(event)
        while len(self._events) > self._size:
            self.floor = self._events.popleft().position

    def since(self, position: Position) -> list[Event] | None:
        """The events after a position, oldest first; None where they are not known."""
        if position < self.floor:
            return None
        found = []
        for event in reversed(self._events):
            if event.position <= position:
                break
            found.append(event)
        return found[::-1]
