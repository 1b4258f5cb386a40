"""What a bouncer that follows the list is told: everything at its start, and then what came and went.

A decision that is gone is told as gone only where nothing else holds its value any more. Where something else does,
that is told as new instead, so that the value lives on with the end and the type of what remains.
Source: crowdsec, pkg/apiserver/controllers/v1/decisions.go; where we differ, docs/bouncers.md says why.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import chain

from actions.blocks.decision import Decision
from actions.blocks.subjects import Scope
from app.bouncers.offers import CHUNK, Offer, Offering, deduplicated, keep_longest, strongest_last
from app.lookup.addresses import parse_network, spelled
from app.lookup.history import Event
from app.lookup.packed import PackedList
from app.lookup.table import Table
from detectors.finding import DecisionType

Key = tuple[Scope, str]


async def everything(table: Table, offering: Offering, now: int, *, dedup: bool = True) -> list[Offer]:
    """All that is offered now, the strongest last. Other work gets its turn meanwhile."""
    weakest_first = sorted(DecisionType, key=lambda kind: kind.strength)
    best: dict[DecisionType, dict[str, Offer]] = {kind: {} for kind in weakest_first}
    every: dict[DecisionType, list[Offer]] = {kind: [] for kind in weakest_first}
    async for decision in unhurried(table.every(now)):
        for offer in offering.offers(decision):
            if dedup:
                keep_longest(best[offer.type], offer)
            else:
                every[offer.type].append(offer)
    return [offer for kind in weakest_first for offer in (*every[kind], *best[kind].values())]


async def unhurried(decisions: Iterable[Decision]) -> AsyncIterator[Decision]:
    """The same, and other work gets its turn now and then."""
    for number, decision in enumerate(decisions, 1):
        yield decision
        if number % CHUNK == 0:
            await asyncio.sleep(0)


class Delta:
    """The changes between two pulls of one bouncer."""

    def __init__(
        self, table: Table, now_offered: Offering, before: Offering, now: int, pulled_at: int
    ) -> None:
        """`before`: what it was offered by when it pulled last, at `pulled_at`."""
        self._pulled_at = pulled_at
        self._table = table
        self._offered = now_offered
        self._before = before
        self._now = now
        self._gone: dict[Key, Offer] = {}
        self._past: dict[Key, Offer] = {}
        """Told as gone before, and told once more: an answer may have been lost on its way."""
        self._new: dict[Key, None] = {}
        self._added: set[str] = set()
        """The decisions that are new, by id."""

    async def take(self, event: Event, *, is_news: bool) -> None:
        """One event; `is_news`: it happened after the last pull, not within the overlap before it."""
        gone = left(event.list_before, event.list_after)
        added = left(event.list_after, event.list_before)
        if event.gone is not None:
            gone = chain([event.gone], gone)
        if event.added is not None:
            added = chain([event.added], added)
        async for decision in unhurried(gone):
            if is_news:
                self.lose(decision)
            else:
                self._past.update((offer.key, offer) for offer in self._before.offers(decision))
        if not is_news:
            return
        async for decision in unhurried(added):
            self._added.add(decision.id)
            self._gain(decision)
        for value in (event.allowed, event.disallowed):
            if value is not None:
                await self._look_around(value)

    async def take_fallback(self) -> None:
        """The policy says something else of a type than it did at the last pull."""
        async for decision in unhurried(self._table.every(self._now)):
            if self._before.type_of(decision) is not self._offered.type_of(decision):
                self.lose(decision)
                self._gain(decision)

    def lose(self, decision: Decision) -> None:
        """A decision is gone, or looks different now: all that it was offered as may be gone."""
        self._gone.update((offer.key, offer) for offer in self._before.offers(decision))

    def _gain(self, decision: Decision) -> None:
        self._new.update((offer.key, None) for offer in self._offered.offers(decision))

    async def _look_around(self, value: str) -> None:
        """The allowlist has changed there: what it covers may be gone, what it covered may be back."""
        key, now = parse_network(value), self._now
        async for decision in unhurried(chain(self._table.inside(key, now), self._table.covering(key, now))):
            self.lose(decision)
            self._gain(decision)

    async def settle(self) -> tuple[list[Offer], list[Offer]]:
        """What is new, the strongest last, and what is gone."""
        new: list[Offer] = []
        deleted: list[Offer] = []
        for number, key in enumerate({**self._new, **self._gone}, 1):
            self._settle(key, new, deleted)
            if number % CHUNK == 0:
                await asyncio.sleep(0)
        for key, lost in self._past.items():
            if key not in self._gone and not self._current(key):
                deleted.append(lost)
        return strongest_last(list(deduplicated(new))), deleted

    def _settle(self, key: Key, new: list[Offer], deleted: list[Offer]) -> None:
        lost = self._gone.get(key)
        current = self._current(key)
        if not current:
            if lost is not None:
                deleted.append(lost)
                new.extend(self._stood_for(lost))
            return
        is_same = lost is not None and lost.decision in [offer.decision for offer in current]
        if key not in self._new and is_same:
            return
        new.extend(current)
        if self._offered.expands and not is_same and (lost is not None or self._had_some(current)):
            # It keeps an address for as long as it was told first, unless that is taken back.
            deleted.append(lost or current[0])

    def _current(self, key: Key) -> list[Offer]:
        return self._offered.current(self._table, key, self._now)

    def _had_some(self, current: list[Offer]) -> bool:
        """Whether one of these may have been there at the last pull: it is older, or only its end is new."""
        return any(
            offer.decision.id not in self._added or offer.decision.created_at <= self._pulled_at
            for offer in current
        )

    def _stood_for(self, lost: Offer) -> list[Offer]:
        """What is offered of the address under which a bouncer that drops ranges keeps a range."""
        if lost.scope is not Scope.RANGE or not self._offered.expands:
            return []
        version, number, shift = parse_network(lost.value)
        return self._current((Scope.IP, spelled(version, number >> shift << shift)))


def left(one: PackedList | None, other: PackedList | None) -> Iterator[Decision]:
    """What one version of a list says and the other does not."""
    if one is None:
        return
    is_renewed = other is None or one.until != other.until or one.type != other.type
    for key in one.entries():
        if is_renewed or other is None or not other.holds(key):
            yield one.decision(key)
