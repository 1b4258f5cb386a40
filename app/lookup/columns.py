"""Many decisions in little memory: a column for each of their fields, and a slot in all columns for each decision.

A decision as an object of its own takes 400 bytes and more; a million of them must fit beside a service. Here it
takes 36, and its reason is kept once however many share it.
"""

import re
from array import array

import msgspec

from actions.blocks.decision import Decision
from actions.blocks.subjects import scope_of
from detectors.finding import DecisionType

FOR_GOOD = 2**63 - 1
"""`until` of a decision without an end."""
FREE = 2**32 - 1
"""Instead of the number of a meta: nothing stands in this slot."""
METAS_REMEMBERED = 10_000
"""Reasons of rules name numbers, so that their kinds grow without end; those that are forgotten are only not shared."""
_HEX_ID = re.compile(r"[0-9a-f]{16}")


class Meta(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What many decisions have in common."""

    type: DecisionType
    origin: str
    reason: str
    rule: str | None
    incident_id: str | None


class Columns:
    """Decisions about addresses and networks by slot. Whoever asks knows the value; it is not kept here."""

    def __init__(self) -> None:
        self.untils = array("q")
        """Epoch ms, or FOR_GOOD."""
        self._ids = array("Q")
        self._created = array("q")
        self._metas: list[Meta | None] = []
        self._odd_ids: dict[int, str] = {}
        """Ids that are not ours, by slot."""
        self._seen: dict[int, str] = {}
        """Addresses that attacked from inside a network, by slot."""
        self._free: list[int] = []
        self._shared: dict[tuple[str | None, ...], Meta] = {}
        self.weaker = 0
        """How many are not bans."""

    def put(self, decision: Decision, slot: int | None = None) -> int:
        """Its slot: the one given, which it takes over, or another one."""
        until = FOR_GOOD if decision.until is None else decision.until
        number = int(decision.id, 16) if _HEX_ID.fullmatch(decision.id) else None
        if slot is not None:
            self._leave(slot)
        elif self._free:
            slot = self._free.pop()
        if slot is None:
            slot = len(self._metas)
            self._metas.append(self._share(decision))
            self.untils.append(until)
            self._ids.append(number or 0)
            self._created.append(decision.created_at)
        else:
            self._metas[slot] = self._share(decision)
            self.untils[slot], self._ids[slot], self._created[slot] = until, number or 0, decision.created_at
        if number is None:
            self._odd_ids[slot] = decision.id
        if decision.seen:
            self._seen[slot] = decision.seen
        self.weaker += decision.type is not DecisionType.BAN
        return slot

    def _share(self, decision: Decision) -> Meta:
        kind = decision.type._value_
        said = (decision.reason, decision.rule, decision.incident_id, kind, decision.origin)
        meta = self._shared.get(said)
        if meta is None:
            if len(self._shared) >= METAS_REMEMBERED:
                self._shared.clear()
            meta = Meta(decision.type, decision.origin, decision.reason, decision.rule, decision.incident_id)
            self._shared[said] = meta
        return meta

    def _leave(self, slot: int) -> None:
        meta = self._metas[slot]
        if meta is not None and meta.type is not DecisionType.BAN:
            self.weaker -= 1
        self._odd_ids.pop(slot, None)
        self._seen.pop(slot, None)
        self._metas[slot] = None

    def drop(self, slot: int) -> None:
        """Forget what stands there."""
        self._leave(slot)
        self._free.append(slot)

    def id(self, slot: int) -> str:
        """The id of the decision there."""
        return self._odd_ids.get(slot) or f"{self._ids[slot]:016x}"

    def type(self, slot: int) -> DecisionType:
        """Its type."""
        meta = self._metas[slot]
        return DecisionType.BAN if meta is None else meta.type

    def decision(self, slot: int, value: str) -> Decision:
        """The decision there as an object. Raises: KeyError where none is."""
        meta, until = self._metas[slot], self.untils[slot]
        if meta is None:
            raise KeyError(slot)
        return Decision(
            id=self.id(slot),
            value=value,
            until=None if until == FOR_GOOD else until,
            scope=scope_of(value),
            type=meta.type,
            origin=meta.origin,
            reason=meta.reason,
            rule=meta.rule,
            incident_id=meta.incident_id,
            created_at=self._created[slot],
            seen=self._seen.get(slot, ""),
        )

    def is_same(self, slot: int, other: "Columns", other_slot: int) -> bool:
        """Whether both slots say the same."""
        return (
            self.untils[slot] == other.untils[other_slot]
            and self._created[slot] == other._created[other_slot]
            and self._metas[slot] == other._metas[other_slot]
            and self.id(slot) == other.id(other_slot)
            and self._seen.get(slot) == other._seen.get(other_slot)
        )

    def __len__(self) -> int:
        return len(self._metas) - len(self._free)

    def packed(self) -> "PackedColumns":
        """All slots as bytes, for a file."""
        numbers: dict[Meta, int] = {}
        metas = [FREE if meta is None else numbers.setdefault(meta, len(numbers)) for meta in self._metas]
        return PackedColumns(
            *(self.untils.tobytes(), self._ids.tobytes(), self._created.tobytes()),
            *(array("I", metas).tobytes(), list(numbers), self._odd_ids.copy()),
            seen=self._seen.copy(),
        )

    @classmethod
    def unpacked(cls, packed: "PackedColumns") -> "Columns":
        """The columns that were packed. Raises: ValueError where they do not belong together."""
        columns, which = cls(), array("I")
        which.frombytes(packed.which)
        columns.untils.frombytes(packed.untils)
        columns._ids.frombytes(packed.ids)
        columns._created.frombytes(packed.created)
        if not len(which) == len(columns.untils) == len(columns._ids) == len(columns._created):
            raise ValueError("columns of different lengths")
        metas: dict[int, Meta | None] = {FREE: None, **dict(enumerate(packed.metas))}
        try:
            columns._metas = list(map(metas.__getitem__, which))
        except KeyError as error:
            raise ValueError("a kind of decision is missing") from error
        columns._odd_ids, columns._seen = packed.odd_ids, packed.seen
        if None in columns._metas:
            columns._free = [slot for slot, meta in enumerate(columns._metas) if meta is None]
        weaker = {number for number, meta in metas.items() if meta and meta.type is not DecisionType.BAN}
        columns.weaker = sum(number in weaker for number in which) if weaker else 0
        return columns


class PackedColumns(msgspec.Struct, frozen=True, gc=False):
    """Columns as they stand in a file, in this machine's byte order."""

    untils: bytes
    ids: bytes
    created: bytes
    which: bytes
    """The number of each slot's meta, or FREE."""
    metas: list[Meta]
    odd_ids: dict[int, str]
    seen: dict[int, str] = {}
