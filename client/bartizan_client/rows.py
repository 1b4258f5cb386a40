"""What is known of each entry of an index, in columns: 20 bytes an entry instead of an object of 400.

A row is a number. Rows that are freed are used again, so that a list which changes all day does not grow.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from typing import NamedTuple

ID_DIGITS = 16
"""An id of Bartizan's own, in hex; such ids are kept as numbers."""
_PLAIN_ID = re.compile(r"[0-9a-f]{16}").fullmatch
NO_ID = 0
FREED = 1e300
"""The end of a row that is free: later than every real one, so that the earliest end is that of an entry."""


class Facts(NamedTuple):
    """What many entries share."""

    reason: str
    rule: str | None
    origin: str


NO_FACTS = Facts("", None, "")


class Columns(NamedTuple):
    """The columns, copied so that a thread can write them while the rows change."""

    until_s: array[float]
    ids: array[int]
    facts: array[int]
    known_facts: list[Facts]
    odd_ids: dict[int, str]


class Rows:
    """End, id and facts of each entry."""

    def __init__(self) -> None:
        self.until_s = array("d")
        """Epoch seconds by row; of a free row, FREED. It stays the same object."""
        self._ids = array("Q")
        self._facts = array("I")
        self._odd_ids: dict[int, str] = {}
        """By row: ids that are no sixteen hex digits."""
        self._free: list[int] = []
        self._known: list[Facts] = []
        self._uses: list[int] = []
        self._numbers: dict[Facts, int] = {}
        """Facts by number, how many rows have them, and the other way round."""
        self._free_numbers: list[int] = []

    def __len__(self) -> int:
        return len(self.until_s) - len(self._free)

    def put(self, until_s: float, id: str, facts: Facts) -> int:
        """A row for a new entry."""
        number = self._number(facts)
        if self._free:
            row = self._free.pop()
            self.until_s[row], self._facts[row] = until_s, number
        else:
            row = len(self.until_s)
            self.until_s.append(until_s)
            self._facts.append(number)
            self._ids.append(NO_ID)
        self._ids[row] = self._id_number(row, id)
        return row

    def change(self, row: int, until_s: float, id: str, facts: Facts) -> None:
        """Another decision about the same entry."""
        self.until_s[row] = until_s
        number = self._number(facts)
        self._release(self._facts[row])
        self._facts[row] = number
        self._ids[row] = self._id_number(row, id)

    def drop(self, row: int) -> None:
        """Free a row."""
        self.until_s[row] = FREED
        self._odd_ids.pop(row, None)
        self._release(self._facts[row])
        self._free.append(row)

    def id_of(self, row: int) -> str:
        """The id; "" where none was given."""
        number = self._ids[row]
        return format(number, f"0{ID_DIGITS}x") if number != NO_ID else self._odd_ids.get(row, "")

    def facts_of(self, row: int) -> Facts:
        return self._known[self._facts[row]]

    def columns(self) -> Columns:
        """A copy of everything."""
        known = list(self._known)
        return Columns(self.until_s[:], self._ids[:], self._facts[:], known, dict(self._odd_ids))

    def load(self, columns: Columns) -> None:
        """Take the columns of empty rows' place. Raises: ValueError where they do not fit each other."""
        until_s, ids, facts, known, odd_ids = columns
        if not len(until_s) == len(ids) == len(facts) or (facts and max(facts) >= len(known)):
            raise ValueError("the columns do not fit each other")
        self.until_s.extend(until_s)
        self._ids, self._facts, self._odd_ids = ids, facts, odd_ids
        self._known = known
        if until_s.count(FREED):
            self._free = [row for row, end_s in enumerate(until_s) if end_s == FREED]
        uses = Counter(facts)
        uses.subtract(facts[row] for row in self._free)
        self._uses = [uses[number] for number in range(len(known))]
        self._numbers = {facts: number for number, facts in enumerate(known) if uses[number]}
        self._free_numbers = [number for number in range(len(known)) if not uses[number]]

    def _id_number(self, row: int, id: str) -> int:
        number = int(id, 16) if _PLAIN_ID(id) else NO_ID
        if number == NO_ID and id:
            self._odd_ids[row] = id
        elif self._odd_ids:
            self._odd_ids.pop(row, None)
        return number

    def _number(self, facts: Facts) -> int:
        number = self._numbers.get(facts)
        if number is None:
            if self._free_numbers:
                number = self._free_numbers.pop()
                self._known[number], self._uses[number] = facts, 0
            else:
                number = len(self._known)
                self._known.append(facts)
                self._uses.append(0)
            self._numbers[facts] = number
        self._uses[number] += 1
        return number

    def _release(self, number: int) -> None:
        self._uses[number] -= 1
        if not self._uses[number]:
            self._numbers.pop(self._known[number], None)
            self._known[number] = NO_FACTS
            self._free_numbers.append(number)
