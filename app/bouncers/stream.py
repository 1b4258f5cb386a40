"""What a bouncer that follows the list is told: everything at its start, and then what came and went.

A decision that is gone is told as gone only where nothing else holds its value any more. Where something else does,
that is told as new instead, so that the value lives on with the end and the type of what remains.
Source: crowdsec, pkg/apiserver/controllers/v1/decisions.go; where we differ, docs/bouncers.md says why.
"""

import asyncio

from actions.blocks.subjects import Scope
from app.bouncers.cuts import spelled
from app.bouncers.ledger import CHUNK, Event, Ledger, Network
from app.bouncers.offers import Offer, Offering, deduplicated, is_in_force, keep_longest, strongest_last
from app.lookup.table import Decision, parse_network
from detectors.finding import DecisionType

Key = tuple[Scope, str]


async def everything(ledger: Ledger, offering: Offering, now: int, *, dedup: bool = True) -> list[Offer]:
    """All that is offered now, the strongest last. Other work gets its turn meanwhile."""
    weakest_first = sorted(DecisionType, key=lambda kind: kind.strength)
    best: dict[DecisionType, dict[str, Offer]] = {kind: {} for kind in weakest_first}
    every: dict[DecisionType, list[Offer]] = {kind: [] for kind in weakest_first}
    for number, decision in enumerate(ledger.all(), 1):
        if is_in_force(decision, now):
            for offer in offering.offers(decision):
                if dedup:
                    keep_longest(best[offer.type], offer)
                else:
                    every[offer.type].append(offer)
        if number % CHUNK == 0:
            await asyncio.sleep(0)
    return [offer for kind in weakest_first for offer in (*every[kind], *best[kind].values())]


class Delta:
    """The changes between two pulls of one bouncer."""

    def __init__(
        self, ledger: Ledger, now_offered: Offering, before: Offering, now: int, pulled_at: int
    ) -> None:
        """`before`: what it was offered by when it pulled last, at `pulled_at`."""
        self._pulled_at = pulled_at
        self._ledger = ledger
        self._offered = now_offered
        self._before = before
        self._now = now
        self._gone: dict[Key, Offer] = {}
        self._past: dict[Key, Offer] = {}
        """Told as gone before, and told once more: an answer may have been lost on its way."""
        self._new: dict[Key, None] = {}
        self._added: set[str] = set()
        """The decisions that are new, by id."""

    def take(self, event: Event, *, is_news: bool) -> None:
        """One event; `is_news`: it happened after the last pull, not within the overlap before it."""
        if not is_news:
            if event.gone is not None:
                self._past.update((offer.key, offer) for offer in self._before.offers(event.gone))
            return
        if event.gone is not None:
            self.lose(event.gone)
        if event.added is not None:
            self._added.add(event.added.id)
            self._gain(event.added)
        for value in (event.allowed, event.disallowed):
            if value is not None:
                self._look_around(parse_network(value))

    def take_fallback(self) -> None:
        """The policy says something else of a type than it did at the last pull."""
        for decision in self._ledger.all():
            if self._before.type_of(decision) is not self._offered.type_of(decision):
                self.lose(decision)
                self._gain(decision)

    def lose(self, decision: Decision) -> None:
        """A decision is gone, or looks different now: all that it was offered as may be gone."""
        self._gone.update((offer.key, offer) for offer in self._before.offers(decision))

    def _gain(self, decision: Decision) -> None:
        self._new.update((offer.key, None) for offer in self._offered.offers(decision))

    def _look_around(self, network: Network) -> None:
        """The allowlist has changed there: what it covers may be gone, what it covered may be back."""
        touched: list[Decision] = [*self._ledger.inside(network), *self._ledger.covering(network)]
        for decision in touched:
            self.lose(decision)
            self._gain(decision)

    def settle(self) -> tuple[list[Offer], list[Offer]]:
        """What is new, the strongest last, and what is gone."""
        new: list[Offer] = []
        deleted: list[Offer] = []
        for key in {**self._new, **self._gone}:
            lost = self._gone.get(key)
            current = self._offered.current(self._ledger, key, self._now)
            if not current:
                if lost is not None:
                    deleted.append(lost)
                    new.extend(self._stood_for(lost))
                continue
            is_same = lost is not None and lost.decision in [offer.decision for offer in current]
            if key not in self._new and is_same:
                continue
            new.extend(current)
            if self._offered.expands and not is_same and (lost is not None or self._had_some(current)):
                # It keeps an address for as long as it was told first, unless that is taken back.
                deleted.append(lost or current[0])
        for key, lost in self._past.items():
            if key not in self._gone and not self._offered.current(self._ledger, key, self._now):
                deleted.append(lost)
        return strongest_last(list(deduplicated(new))), deleted

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
        first = spelled((version, number >> shift << shift, 0))
        return self._offered.current(self._ledger, (Scope.IP, first), self._now)
