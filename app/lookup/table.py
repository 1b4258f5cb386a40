"""The blocklist in memory: whether an address is blocked now, without touching the network.

One dictionary per prefix length, the most specific first, keyed by the address shifted right. The allowlist
is asked first, so an allowed address inside a blocked range is let through without cutting the range.
"""

import ipaddress
import socket
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Generic, TypeVar

import msgspec

from actions.blocks.subjects import ADDRESSES, Scope
from detectors.finding import DecisionType

LONGEST_ADDRESS = 64
"""39 characters of IPv6 and a zone fit; anything longer is no address."""
CACHE_SIZE = 65_536
"""Spellings remembered."""
MAPPED_PREFIX = b"\0" * 10 + b"\xff\xff"
"""`::ffff:0:0/96`: an IPv4 address seen through an IPv6 socket. Source: RFC 4291, 2.5.5.2."""
_AF_INET, _AF_INET6, _inet_pton = socket.AF_INET, socket.AF_INET6, socket.inet_pton


class Decision(msgspec.Struct, frozen=True, gc=False):
    """A block in force. Times are epoch milliseconds; `until` None is for good."""

    id: str
    value: str
    until: int | None
    wire: msgspec.Raw
    """The decision as answers carry it, encoded once: a hundred thousand of them are one join."""
    scope: Scope = Scope.IP
    type: DecisionType = DecisionType.BAN
    origin: str = "rule"
    reason: str = ""
    rule: str | None = None
    created_at: int = 0


class Allowed(msgspec.Struct, frozen=True, gc=False):
    """A network that is never blocked. Until is epoch milliseconds; None is for good."""

    value: str
    until: int | None


T = TypeVar("T", Decision, Allowed)


def parse_address(text: str) -> tuple[int, int]:
    """Version and number of an address; `::ffff:203.0.113.9` is the IPv4 address, a zone is dropped.

    Raises: ValueError where it is no address.
    """
    try:
        if ":" not in text:
            return 4, int.from_bytes(_inet_pton(_AF_INET, text))
        if len(text) > LONGEST_ADDRESS:
            raise ValueError
        packed = _inet_pton(_AF_INET6, text.partition("%")[0])
    except (OSError, ValueError) as error:
        raise ValueError(f"{text[:LONGEST_ADDRESS]!r} is not an IP address") from error
    if packed.startswith(MAPPED_PREFIX):
        return 4, int.from_bytes(packed[12:])
    return 6, int.from_bytes(packed)


def parse_network(text: str) -> tuple[int, int, int]:
    """Version, number and shift (how many host bits) of an address or CIDR; host bits may be set.

    Raises: ValueError where it is neither.
    """
    address, slash, bits = text.partition("/")
    version, number = parse_address(address)
    if not slash:
        return version, number, 0
    prefix = int(bits) if bits.isascii() and bits.isdecimal() and len(bits) <= 3 else -1
    width = 128 if ":" in address else 32
    if not 0 <= prefix <= width:
        raise ValueError(f"{text[:LONGEST_ADDRESS]!r} is not an address or CIDR")
    shift = width - prefix
    if version == 4 and shift > 32:  # ::ffff:… with a prefix that reaches beyond its IPv4 part
        return 6, 0xFFFF << 32 | number, shift
    return version, number, shift


def canonical_address(text: str) -> str:
    """The one spelling of an address. Raises: ValueError where it is no address."""
    version, number = parse_address(text)
    return text if ":" not in text else _spell(version, number)


@lru_cache(maxsize=CACHE_SIZE)
def _spell(version: int, number: int) -> str:
    return str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))


class _Ranges(Generic[T]):
    """Networks of one IP version: (shift, {number >> shift: entry}), the most specific first."""

    __slots__ = ("levels",)

    def __init__(self) -> None:
        self.levels: list[tuple[int, dict[int, T]]] = []

    def level(self, shift: int) -> dict[int, T]:
        for known, entries in self.levels:
            if known == shift:
                return entries
        entries = {}
        self.levels.append((shift, entries))
        self.levels.sort(key=lambda level: level[0])
        return entries

    def put(self, number: int, shift: int, entry: T) -> None:
        self.level(shift)[number >> shift] = entry

    def get(self, number: int, shift: int) -> T | None:
        return self.level(shift).get(number >> shift)

    def drop(self, number: int, shift: int) -> None:
        entries = self.level(shift)
        entries.pop(number >> shift, None)
        if not entries:
            self.levels = [level for level in self.levels if level[1]]

    def covering(self, number: int, now: int, within: int = 0) -> T | None:
        """The most specific entry in force that holds this number (or, from `within` host bits, network)."""
        for shift, entries in self.levels:
            entry = entries.get(number >> shift)
            if entry is not None and shift >= within and (entry.until is None or now < entry.until):
                return entry
        return None

    def __iter__(self) -> Iterator[T]:
        for _, entries in self.levels:
            yield from entries.values()


class Table:
    """Every block and every allowed network, and whether an address is blocked."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Ranges[Decision]] = {4: _Ranges(), 6: _Ranges()}
        self._allowed: dict[int, _Ranges[Allowed]] = {4: _Ranges(), 6: _Ranges()}
        self._named: dict[tuple[Scope, str], Decision] = {}

    def add(self, decision: Decision) -> None:
        """Put a block in force; it takes the place of an older one of the same value.

        Raises: ValueError where its value is no address or CIDR.
        """
        if decision.scope not in ADDRESSES:
            self._named[decision.scope, decision.value] = decision
            return
        version, number, shift = parse_network(decision.value)
        self._blocks[version].put(number, shift, decision)

    def remove(self, decision_id: str, value: str, scope: Scope = Scope.IP) -> None:
        """Lift a block; a newer block of the same value stays. Raises: ValueError as `add`."""
        if scope not in ADDRESSES:
            named = self._named.get((scope, value))
            if named is not None and named.id == decision_id:
                del self._named[scope, value]
            return
        version, number, shift = parse_network(value)
        present = self._blocks[version].get(number, shift)
        if present is not None and present.id == decision_id:
            self._blocks[version].drop(number, shift)

    def allow(self, allowed: Allowed) -> None:
        """Put a network on the allowlist. Raises: ValueError as `add`."""
        version, number, shift = parse_network(allowed.value)
        self._allowed[version].put(number, shift, allowed)

    def disallow(self, value: str) -> None:
        """Take a network off the allowlist. Raises: ValueError as `add`."""
        version, number, shift = parse_network(value)
        self._allowed[version].drop(number, shift)

    def take_over(self, other: "Table") -> None:
        """Become the other table in one step: readers see the old whole or the new whole."""
        self._blocks, self._allowed, self._named = other._blocks, other._allowed, other._named

    def lookup(self, address: str, now: int) -> tuple[Decision | None, bool]:
        """The decision in force for an address at `now`, and whether it is allowlisted (then never blocked).

        Of several the strongest, of equally strong ones the most specific. Raises: ValueError where it is no address.
        """
        version, number = parse_address(address)
        allowed = self._allowed[version]
        if allowed.levels and allowed.covering(number, now) is not None:
            return None, True
        return _strongest(self._blocks[version], number, now), False

    def find(self, scope: Scope, value: str, now: int) -> Decision | None:
        """The decision in force of exactly this country, autonomous system or user."""
        found = self._named.get((scope, value))
        return None if found is None or (found.until is not None and found.until <= now) else found

    @property
    def has_named(self) -> bool:
        """Whether there are decisions about anything but addresses."""
        return bool(self._named)

    def blocks(self, now: int) -> list[Decision]:
        """Every block in force at `now`, those of allowlisted networks included."""
        every = chain(*self._blocks.values(), self._named.values())
        return [d for d in every if d.until is None or now < d.until]

    def allowlist(self, now: int) -> list[Allowed]:
        """Every allowed network in force at `now`."""
        return [a for ranges in self._allowed.values() for a in ranges if a.until is None or now < a.until]

    def is_allowed(self, value: str, now: int) -> bool:
        """Whether the whole of an address or CIDR lies in an allowed network. Raises: ValueError as `add`."""
        version, number, shift = parse_network(value)
        return self._allowed[version].covering(number, now, shift) is not None

    def __len__(self) -> int:
        return sum(len(entries) for ranges in self._blocks.values() for _, entries in ranges.levels) + len(
            self._named
        )


def _strongest(ranges: _Ranges[Decision], number: int, now: int) -> Decision | None:
    found: Decision | None = None
    for shift, entries in ranges.levels:
        entry = entries.get(number >> shift)
        if entry is None or (entry.until is not None and now >= entry.until):
            continue
        if entry.type is DecisionType.BAN:
            return entry
        if found is None or entry.type.strength > found.type.strength:
            found = entry
    return found
