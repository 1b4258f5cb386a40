"""What one bouncer is offered: decisions in its own terms, without what is allowlisted.

A decision is offered as one item as a rule: as two and more where the allowlist cuts a hole into a range, as its single
addresses where the bouncer drops ranges, as nothing where the bouncer cannot act on its type and the policy says so.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from actions.blocks.decision import Decision
from actions.blocks.subjects import ADDRESSES, Scope, key_of
from app.bouncers.bouncer import Bouncer
from app.bouncers.cuts import Cuts, overlaps
from app.bouncers.filters import Wanted
from app.lookup.addresses import parse_network, spelled
from app.lookup.layers import Layers
from app.lookup.packed import LISTS
from app.lookup.packed import Key as Network
from app.policies.enforcement import Fallback
from detectors.finding import DecisionType

LIST_ORIGIN = f"{LISTS}:"
EXPANDED_SHIFT = 8
"""Our own ranges of up to 256 addresses are expanded: a /24, of IPv6 a /120."""
EXPANDED_LIST_SHIFT = 4
"""Those of lists up to 16: a list may hold thousands of ranges."""
LONGEST_SCENARIO = 200
CHUNK = 500
"""Decisions worked on before other work gets its turn: about 4 ms."""
SAFE_BITS = 53
"""An id is a JSON number that JavaScript reads exactly. Source: ECMA-262, Number.MAX_SAFE_INTEGER."""
ORIGINS = {"rule": "crowdsec", "admin": "cscli", "api": "cscli", "import": "cscli-import"}
"""Our origins in upstream's words, so that a bouncer's own filter of origins means what it meant."""


class Offer(msgspec.Struct, frozen=True, gc=False):
    """One item of an answer. Of one key a bouncer that keeps addresses holds one state."""

    scope: Scope
    value: str
    type: DecisionType
    decision: Decision

    @property
    def key(self) -> tuple[Scope, str]:
        """What a bouncer stores it under."""
        return self.scope, self.value

    @property
    def id(self) -> int:
        """Stable and positive; of a part of a range another than of the range."""
        return id_of(self.decision, None if self.value == self.decision.value else self.value)


def id_of(decision: Decision, part: str | None = None) -> int:
    """The number by which upstream's clients know a decision, or a part of one."""
    digest = hashlib.blake2b(f"{decision.id} {part or ''}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> (64 - SAFE_BITS)) or 1


def origin_of(decision: Decision) -> str:
    """Where it comes from, in upstream's words."""
    if decision.origin.startswith(LIST_ORIGIN):
        return LISTS
    return ORIGINS.get(decision.origin, decision.origin)


def scenario_of(decision: Decision) -> str:
    """Why: the list's name, the rule, else what a person wrote. Never empty."""
    if decision.origin.startswith(LIST_ORIGIN):
        return decision.origin.removeprefix(LIST_ORIGIN)
    return (decision.rule or decision.reason or "manual")[:LONGEST_SCENARIO]


class Offering:
    """How decisions look to one bouncer under one allowlist and policy."""

    def __init__(
        self,
        bouncer: Bouncer,
        wanted: Wanted,
        fallback: Mapping[DecisionType, Fallback],
        cuts: Cuts,
        *,
        stream: bool = False,
    ) -> None:
        """`cuts`: of the allowlist. `stream`: whether ranges may come as single addresses."""
        self._wanted = wanted
        self._types = {
            kind: kind if kind in bouncer.can else _instead(kind, fallback) for kind in DecisionType
        }
        self._cuts = cuts
        drops_ranges = bouncer.drops_ranges if wanted.expand is None else wanted.expand
        self.expands = stream and drops_ranges
        """Whether small ranges, and addresses seen in wide ones, come as single addresses."""
        self._is_plain = cuts.is_empty and wanted.network is None and wanted.value is None

    def type_of(self, decision: Decision) -> DecisionType | None:
        """As which type it is offered; None where it is left out, or not asked for."""
        kind, wanted = self._types[decision.type], self._wanted
        if kind is None or (wanted.type is not None and kind.value != wanted.type.lower()):
            return None
        if wanted.scopes is not None and decision.scope.value not in wanted.scopes:
            return None
        origins = wanted.origins
        if origins is not None and origin_of(decision) not in origins and decision.origin not in origins:
            return None
        return kind if wanted.takes_scenario(scenario_of(decision)) else None

    def offers(self, decision: Decision) -> Iterator[Offer]:
        """What is offered of one decision, whether it is in force or not."""
        kind = self.type_of(decision)
        if kind is None:
            return
        if self._is_plain and (decision.scope is Scope.IP or not self.expands):
            yield Offer(decision.scope, decision.value, kind, decision)
            return
        if decision.scope not in ADDRESSES:
            if self._is_asked_for(decision.value, None):
                yield Offer(decision.scope, decision.value, kind, decision)
            return
        for piece in self._pieces(decision):
            value = spelled(*piece)
            if self._is_asked_for(value, piece):
                yield Offer(Scope.RANGE if piece[2] else Scope.IP, value, kind, decision)

    def holds(self, decision: Decision, key: tuple[Scope, str]) -> bool:
        """Whether a decision is offered under a key; told without expanding it."""
        scope, value = key
        if self.type_of(decision) is None:
            return False
        if decision.scope not in ADDRESSES or scope not in ADDRESSES:
            return decision.scope is scope and decision.value == value
        network = parse_network(value)
        if value in _seen(decision):
            return self.expands and not self._cuts.is_covered(network)
        whole = parse_network(decision.value)
        for piece in self._cuts.pieces(whole):
            if piece[2] == network[2] and overlaps(piece, network):
                return not self._is_expanded(decision, piece)
            if network[2] == 0 and self._is_expanded(decision, piece) and overlaps(piece, network):
                return True
        return False

    def current(self, layers: Layers, key: tuple[Scope, str], now: int) -> list[Offer]:
        """The offers in force under a key, the strongest and longest first."""
        scope, value = key
        offers = [
            Offer(scope, value, kind, d)
            for d in layers.of_value(value, now)
            if (kind := self.type_of(d)) is not None and self.holds(d, key)
        ]
        return sorted(offers, key=_rank, reverse=True)

    def _pieces(self, decision: Decision) -> Iterator[Network]:
        for piece in self._cuts.pieces(parse_network(decision.value)):
            if self._is_expanded(decision, piece):
                version, number, shift = piece
                first = number >> shift << shift
                yield from ((version, first + n, 0) for n in range(1 << shift))
            else:
                yield piece
        if self.expands:
            seen = (parse_network(address) for address in _seen(decision))
            yield from (address for address in seen if not self._cuts.is_covered(address))

    def _is_expanded(self, decision: Decision, piece: Network) -> bool:
        most = EXPANDED_LIST_SHIFT if decision.origin.startswith(LIST_ORIGIN) else EXPANDED_SHIFT
        return self.expands and 0 < piece[2] <= most

    def _is_asked_for(self, value: str, piece: Network | None) -> bool:
        wanted = self._wanted
        if wanted.value is not None and wanted.value != value:
            return False
        if wanted.network is None:
            return True
        if piece is None or not overlaps(piece, wanted.network):
            return False
        return piece[2] >= wanted.network[2] if wanted.contains else piece[2] <= wanted.network[2]


def strongest_first(offers: list[Offer]) -> list[Offer]:
    """For those that use only the first."""
    return sorted(offers, key=_rank, reverse=True)


def strongest_last(offers: list[Offer]) -> list[Offer]:
    """For those that keep the last written."""
    return sorted(offers, key=lambda offer: offer.type.strength)


def deduplicated(offers: Iterable[Offer]) -> Iterator[Offer]:
    """Of one key and type the one that lasts the longest."""
    found: dict[DecisionType, dict[str, Offer]] = {kind: {} for kind in DecisionType}
    for offer in offers:
        keep_longest(found[offer.type], offer)
    for kept in found.values():
        yield from kept.values()


def keep_longest(found: dict[str, Offer], offer: Offer) -> None:
    """Takes an offer among those of its type where no longer one of its key is there."""
    key = key_of(offer.scope, offer.value)
    other = found.get(key)
    if other is None or _end(offer) > _end(other):
        found[key] = offer


def _rank(offer: Offer) -> tuple[int, float]:
    return offer.type.strength, _end(offer)


def _end(offer: Offer) -> float:
    return float("inf") if offer.decision.until is None else offer.decision.until


def _instead(kind: DecisionType, fallback: Mapping[DecisionType, Fallback]) -> DecisionType | None:
    return DecisionType.BAN if fallback.get(kind, Fallback.BAN) is Fallback.BAN else None


def _seen(decision: Decision) -> tuple[str, ...]:
    return tuple(decision.seen.split()) if decision.seen else ()
