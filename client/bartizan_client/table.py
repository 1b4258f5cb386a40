"""What is decided in memory, and whether an address is blocked now, without touching the network.

One index per type of decision, the allowlist, which beats every decision, and the few decisions about
countries, autonomous systems and users. A decision takes the place of the earlier one about the same subject.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import count

from bartizan_client.addresses import BITS, Network, address_text, parse_network
from bartizan_client.decision import FOREVER, Allowed, Block, Clock, DecisionType, Scope
from bartizan_client.index import Index
from bartizan_client.rows import Facts

__all__ = ["FOREVER", "Allowed", "Block", "BlockTable", "Clock"]

DEFAULT_FALLBACK: Mapping[DecisionType, bool] = {DecisionType.CAPTCHA: True, DecisionType.THROTTLE: False}
"""Whether somebody who cannot act on a type refuses instead, where Bartizan does not say."""
TYPES = tuple(DecisionType)
_generations = count()
_BY_ADDRESS = (None, Scope.IP, Scope.RANGE)


class BlockTable:
    """All decisions and the allowlist."""

    def __init__(
        self, blocks: Iterable[Block] = (), allowlist: Iterable[Allowed] = (), now: Clock = time.time
    ) -> None:
        """Raises: ValueError where a value is no address or network."""
        self._now = now
        self.indexes: dict[DecisionType, Index] = {type: Index() for type in DecisionType}
        self.allowed = Index()
        self._allowed_ends_s = self.allowed.rows.until_s
        self.bans = self.indexes[DecisionType.BAN]
        self._subjects: dict[tuple[str, str], Block] = {}
        """By scope and value."""
        self.generation = next(_generations)
        """Another number after each decision that is added, and no other table's: what was not covered by any
        decision stays so while it stays the same."""
        self.fallback = dict(DEFAULT_FALLBACK)
        """By type: whether it is as good as a ban for who cannot act on it."""
        self.has_weaker = False
        """Whether there may be decisions that are no bans; False spares a look."""
        self.has_subjects = False
        """Whether anything may be decided about countries, autonomous systems or users."""
        for block in blocks:
            self.add(block)
        for allowed in allowlist:
            self.allow(allowed)

    # -- asking

    def is_blocked(self, address: str) -> bool:
        """Whether requests from this address are refused now. What is no address is not blocked."""
        if not self.bans.covers(address, self._now) and not (
            self.has_weaker and self._strongest(address, ()) is not None
        ):
            return False
        return not (self._allowed_ends_s and self.allowed.covers(address, self._now))

    def find(self, address: str, handled: Collection[DecisionType] = ()) -> Block | None:
        """The strongest decision in force about an address, of equals the most specific; None without any.

        A type that is neither `handled` nor, by Bartizan's fallback, as good as a ban is passed over.
        """
        if not self.has_weaker and not self.bans.covers(address, self._now):
            return None
        block = self._strongest(address, handled)
        return None if block is None or self.is_allowed(address) else block

    def find_subject(self, scope: Scope, value: str) -> Block | None:
        """The decision in force about a country, an autonomous system or a user."""
        block = self._subjects.get((scope.value, value))
        return block if block is not None and block.until_s > self._now() else None

    def is_allowed(self, address: str) -> bool:
        """Whether the allowlist holds this address."""
        return bool(self._allowed_ends_s) and self.allowed.covers(address, self._now)

    def is_covered(self, address: str) -> bool:
        """Whether a ban in force holds this address, allowlisted or not."""
        return self.bans.covers(address, self._now)

    def counts(self) -> Counter[str]:
        """How many decisions there are of each type and of each scope that is no address."""
        counts = Counter({type.value: len(index) for type, index in self.indexes.items()})
        for block in self._subjects.values():
            counts[block.type.value] += 1
            counts[(block.scope or Scope.IP).value] += 1
        return counts

    # -- changing

    def add(self, block: Block) -> None:
        """Decide, or change a decision. Raises: ValueError where the value is no address or network."""
        try:
            self._add(block)
        finally:
            # Afterwards: a thread that looked before it was there must not remember its answer under this number.
            self.generation = next(_generations)

    def _add(self, block: Block) -> None:
        if block.type is not DecisionType.BAN:
            self.has_weaker = True
        if block.scope is not None and block.scope not in _BY_ADDRESS:
            self.has_subjects = True
            self._subjects[block.scope.value, block.value] = block
            return
        network = parse_network(block.value)
        if self.has_weaker:
            for type, index in self.indexes.items():
                if type is not block.type:
                    index.drop(network)
        facts = Facts(block.reason, block.rule, block.origin)
        # The ids of a list's entries say nothing new, and there may be a million of them.
        is_derived = block.origin and block.id == f"{block.origin}:{_text(network)}"
        self.indexes[block.type].put(network, block.until_s, "" if is_derived else block.id, facts)

    def remove(self, value: str, scope: Scope | None = None) -> None:
        """Lift the decision about exactly this subject, where there is one. Raises: as `add`."""
        if scope is not None and scope not in _BY_ADDRESS:
            self._subjects.pop((scope.value, value), None)
            return
        network = parse_network(value)
        for index in self.indexes.values():
            index.drop(network)

    def allow(self, allowed: Allowed) -> None:
        """Raises: as `add`."""
        self.allowed.put(parse_network(allowed.value), allowed.until_s)

    def disallow(self, value: str) -> None:
        """Raises: as `add`."""
        self.allowed.drop(parse_network(value))

    def sweep(self) -> None:
        """Forget what is over; it blocks nobody, but takes memory."""
        for _ in self.sweeping():
            pass

    def sweeping(self) -> Iterator[None]:
        """The same in steps of about a millisecond; nobody else may change the table meanwhile."""
        now_s = self._now()
        for index in (*self.indexes.values(), self.allowed):
            yield from index.sweep(now_s)
        over = [subject for subject, block in self._subjects.items() if block.until_s <= now_s]
        for subject in over:
            del self._subjects[subject]

    # -- all of it

    def blocks(self) -> list[Block]:
        """All of them, those that are over included."""
        found = [
            _block(index, type, network, row)
            for type, index in self.indexes.items()
            for network, row in index.networks()
        ]
        return found + list(self._subjects.values())

    def subjects(self) -> list[Block]:
        """Those about countries, autonomous systems and users."""
        return list(self._subjects.values())

    def allowlist(self) -> list[Allowed]:
        """All of it, what is over included."""
        return [
            Allowed(_text(network), self.allowed.rows.until_s[row])
            for network, row in self.allowed.networks()
        ]

    def __len__(self) -> int:
        return sum(map(len, self.indexes.values())) + len(self._subjects)

    def _strongest(self, address: str, handled: Collection[DecisionType]) -> Block | None:
        for type, index in self.indexes.items():
            if index and (type is DecisionType.BAN or type in handled or self.fallback.get(type)):
                found = index.find(address, self._now)
                if found is not None:
                    return _block(index, type, *found)
        return None


def _block(index: Index, type: DecisionType, network: Network, row: int) -> Block:
    rows, value = index.rows, _text(network)
    reason, rule, origin = rows.facts_of(row)
    scope = Scope.IP if network[2] == BITS[network[0]] else Scope.RANGE
    id = rows.id_of(row) or f"{origin}:{value}"
    return Block(id, value, reason, rule, rows.until_s[row], scope, type, origin)


def _text(network: Network) -> str:
    version, number, prefix = network
    text = address_text(version, number)
    return text if prefix == BITS[version] else f"{text}/{prefix}"
