"""The blocklist in memory: whether an address is blocked now, without touching the network.

An index knows networks and when each ends. A single address is found by its text in one dictionary lookup,
an IPv6 /64 by its bytes in a second one; other ranges by number: one dictionary per prefix length, keyed by
the bits of the prefix. IPv4 has one spelling per address; IPv6 has many, so its single addresses are found
by number too. Most addresses are in no range: 65,536 flags say so before any of those dictionaries is asked.
Two indexes make the table: the blocks, and the allowlist, which beats every block. Nothing has to tell the
table that a block is over: its end is compared with the clock whenever it is found.
Measured by benchmarks/client_lookup.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

from bartizan_client.addresses import BITS, Network, address_text, parse_address, parse_network

FOREVER = float("inf")
FLAGGED_PREFIX = {4: 16, 6: 48}
"""Flags are kept for the last 16 bits of a prefix this long: an IPv4 /16, an IPv6 /48."""
Clock = Callable[[], float]
"""Epoch seconds; not milliseconds as elsewhere, because time.time is what a lookup can afford."""


class Block(NamedTuple):
    """An address or network that is refused. `until_s` is epoch seconds, or FOREVER."""

    id: str
    value: str
    reason: str
    rule: str | None
    until_s: float


class Allowed(NamedTuple):
    """An address or network that is never refused."""

    value: str
    until_s: float


class Index:
    """Networks and when each ends, in epoch seconds."""

    def __init__(self) -> None:
        self._by_text: dict[str, float] = {}
        self._by_64: dict[bytes, float] = {}
        """IPv6 /64s, which are what Bartizan blocks, by their 8 bytes; ::/64 is among the levels."""
        self._levels: dict[int, tuple[tuple[int, dict[int, float]], ...]] = {4: (), 6: ()}
        """By version: (bits the prefix drops, ends by the bits that remain), fewest dropped first."""
        self._flags = {4: bytearray(65_536), 6: bytearray(65_536)}
        """Not zero where there may be a range, by the 16 bits that end FLAGGED_PREFIX."""

    def covers(self, address: str, now: Clock) -> bool:
        """Whether a network in force holds this address. No network holds what is no address."""
        until_s = self._by_text.get(address)
        if until_s is not None and until_s > now():
            return True
        try:
            if ":" not in address:
                number = int.from_bytes(inet_pton(AF_INET, address), "big")
                if not self._flags[4][number >> 16]:
                    return False
                levels = self._levels[4]
            else:
                if "%" in address:
                    address = address.partition("%")[0]
                packed = inet_pton(AF_INET6, address)
                until_s = self._by_64.get(packed[:8])
                if until_s is not None and until_s > now():
                    return True
                number = int.from_bytes(packed, "big")
                if number < 1 << 48 and number >> 32 == 0xFFFF:
                    return self.covers(address_text(4, number & 0xFFFF_FFFF), now)
                if not self._flags[6][number >> 80 & 0xFFFF]:
                    return False
                levels = self._levels[6]
        except (OSError, ValueError):
            return False
        for shift, networks in levels:
            until_s = networks.get(number >> shift)
            if until_s is not None and until_s > now():
                return True
        return False

    def put(self, network: Network, until_s: float) -> None:
        """Add a network, or give it another end."""
        version, number, prefix = network
        if prefix == BITS[version]:
            self._by_text[address_text(version, number)] = until_s
            if version == 4:
                return
        if version == 6 and prefix == 64 and number:
            self._by_64[number.to_bytes(16, "big")[:8]] = until_s
            return
        shift = BITS[version] - prefix
        levels = dict(self._levels[version])
        levels.setdefault(shift, {})[number >> shift] = until_s
        if len(levels) > len(self._levels[version]):
            self._levels[version] = tuple(sorted(levels.items(), key=lambda level: level[0]))
        first = number >> (BITS[version] - FLAGGED_PREFIX[version]) & 0xFFFF
        count = 1 << min(16, max(0, FLAGGED_PREFIX[version] - prefix))
        self._flags[version][first : first + count] = b"\1" * count

    def drop(self, network: Network) -> None:
        """Forget a network. Its flags stay: until the next whole list they cost a little time."""
        version, number, prefix = network
        if prefix == BITS[version]:
            self._by_text.pop(address_text(version, number), None)
        if version == 6 and prefix == 64:
            self._by_64.pop(number.to_bytes(16, "big")[:8], None)
        shift = BITS[version] - prefix
        dict(self._levels[version]).get(shift, {}).pop(number >> shift, None)
        self._levels[version] = tuple(level for level in self._levels[version] if level[1])


class BlockTable:
    """All blocks and the allowlist: one entry per network, a later one takes the place of the earlier."""

    def __init__(
        self, blocks: Iterable[Block] = (), allowlist: Iterable[Allowed] = (), now: Clock = time.time
    ) -> None:
        """Raises: ValueError where a value is no address or network."""
        self._now = now
        self._blocks: dict[Network, Block] = {}
        self._allowlist: dict[Network, Allowed] = {}
        self._blocked = Index()
        self._allowed = Index()
        for block in blocks:
            self.add(block)
        for allowed in allowlist:
            self.allow(allowed)

    def is_blocked(self, address: str) -> bool:
        """Whether requests from this address are refused now. What is no address is not blocked."""
        if not self._blocked.covers(address, self._now):
            return False
        return not (self._allowlist and self._allowed.covers(address, self._now))

    def find(self, address: str) -> Block | None:
        """Why an address is blocked: the most specific block in force; None where it is not."""
        if not self.is_blocked(address):
            return None
        version, number = parse_address(address)
        bits = BITS[version]
        for shift in range(bits + 1):
            block = self._blocks.get((version, number >> shift << shift, bits - shift))
            if block is not None and block.until_s > self._now():
                return block
        return None

    def add(self, block: Block) -> None:
        """Block, or change a block. Raises: ValueError where the value is no address or network."""
        network = parse_network(block.value)
        self._blocks[network] = block
        self._blocked.put(network, block.until_s)

    def remove(self, value: str) -> None:
        """Lift the block of exactly this network, where there is one. Raises: as `add`."""
        network = parse_network(value)
        self._blocks.pop(network, None)
        self._blocked.drop(network)

    def allow(self, allowed: Allowed) -> None:
        """Raises: as `add`."""
        network = parse_network(allowed.value)
        self._allowlist[network] = allowed
        self._allowed.put(network, allowed.until_s)

    def disallow(self, value: str) -> None:
        """Raises: as `add`."""
        network = parse_network(value)
        self._allowlist.pop(network, None)
        self._allowed.drop(network)

    def sweep(self) -> None:
        """Forget what is over; it blocks nobody, but takes memory. About 10 ms for 100,000 entries."""
        now_s = self._now()
        for network in [network for network, block in self._blocks.items() if block.until_s <= now_s]:
            del self._blocks[network]
            self._blocked.drop(network)
        for network in [network for network, entry in self._allowlist.items() if entry.until_s <= now_s]:
            del self._allowlist[network]
            self._allowed.drop(network)

    def blocks(self) -> list[Block]:
        """All of them, those that are over included."""
        return list(self._blocks.values())

    def allowlist(self) -> list[Allowed]:
        """All of it, what is over included."""
        return list(self._allowlist.values())

    def __len__(self) -> int:
        return len(self._blocks)
