"""Addresses as numbers, and which address a request comes from when proxies stand in between.

Text from a header is attacker's text: everything here is short, bounded, and refuses what it cannot read.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence

LONGEST_ADDRESS = 64
"""39 characters of IPv6 and a zone fit; anything longer is no address."""
LONGEST_CHAIN = 32
"""Entries of X-Forwarded-For that are looked at, from the right."""
MOST_KNOWN = 4_096
"""Addresses that are remembered as trusted or not; forgotten all at once, whoever sends too many."""
BITS = {4: 32, 6: 128}
Network = tuple[int, int, int]
"""Version, number without host bits, prefix length."""
UNIX = "unix"
"""Among the trusted proxies: a peer without an address, as a Unix socket has it."""


def parse_address(text: str) -> tuple[int, int]:
    """Version and number of an address. `::ffff:203.0.113.9` is the IPv4 address, a zone is dropped.

    Raises: ValueError where it is no address, or a spelling readers disagree on (leading zeros, hex).
    Source: RFC 4291 2.5.5.2 (mapped addresses), RFC 4007 11 (zones).
    """
    try:
        if ":" not in text:
            return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
        if "%" in text:
            text = text[:LONGEST_ADDRESS].partition("%")[0]
        number = int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    except OSError:
        raise ValueError(f"{text[:LONGEST_ADDRESS]!r} is no IP address") from None
    if number >> 32 == 0xFFFF:
        return 4, number & 0xFFFF_FFFF
    return 6, number


def address_text(version: int, number: int) -> str:
    """The one spelling of an address, as sockets give it."""
    if version == 4:
        return socket.inet_ntop(socket.AF_INET, number.to_bytes(4, "big"))
    return socket.inet_ntop(socket.AF_INET6, number.to_bytes(16, "big"))


def parse_network(text: str) -> Network:
    """Version, number and prefix length of an address or CIDR; host bits are dropped.

    Raises: ValueError where it is neither.
    """
    address, slash, length = text.strip().partition("/")
    version, number = parse_address(address)
    bits = BITS[version]
    if not slash:
        return version, number, bits
    if not (length.isascii() and length.isdecimal() and len(length) <= 3):
        raise ValueError(f"{text[:LONGEST_ADDRESS]!r} is no network")
    prefix = int(length) - (96 if version == 4 and ":" in address else 0)
    if not 0 <= prefix <= bits:
        raise ValueError(f"{text[:LONGEST_ADDRESS]!r} is no network")
    return version, number >> (bits - prefix) << (bits - prefix), prefix


def strip_port(entry: str) -> str:
    """One X-Forwarded-For entry without quotes, brackets and port: `"[2001:db8::1]:443"`, `192.0.2.1:80`."""
    entry = entry.strip(' \t"')
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    if entry.count(":") == 1:
        return entry.partition(":")[0]
    return entry


class TrustedProxies:
    """Whose X-Forwarded-For is believed, and whose address a request has because of that."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raises: ValueError naming the entry that is neither an address, a CIDR nor `unix`."""
        if isinstance(networks, str):
            raise ValueError("trusted_proxies: a list of networks is needed, not one text")
        self._networks: list[tuple[int, int, int]] = []
        self._unix = False
        self._known: dict[str, bool] = {}
        """What `trusts` said lately: parsing an address costs more than all else that is asked about a request."""
        for text in networks:
            if text.strip() == UNIX:
                self._unix = True
                continue
            try:
                version, number, prefix = parse_network(text)
            except ValueError as error:
                raise ValueError(f"trusted_proxies: {error}") from None
            shift = BITS[version] - prefix
            self._networks.append((version, number >> shift, shift))

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    @property
    def trusts_unix(self) -> bool:
        """Whether a peer without an address is one of them."""
        return self._unix

    def trusts(self, address: str) -> bool:
        """Whether it is one of them. Raises: ValueError where it is no address."""
        known = self._known.get(address)
        if known is None:
            version, number = parse_address(address)
            known = any(v == version and number >> shift == top for v, top, shift in self._networks)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            if len(address) <= LONGEST_ADDRESS:  # a zone may be as long as its sender likes
                self._known[address] = known
        return known

    def client_address(self, peer: str | None, forwarded_for: Sequence[bytes]) -> str | None:
        """The address a request comes from, or None where nobody can say.

        `peer` is the other end of the connection, `forwarded_for` the X-Forwarded-For headers in order.
        Read right to left, because the left end is written by the client: the answer is the first entry
        that is no trusted proxy. Where that one is no address the answer is None, never its neighbour.
        """
        if not peer and not self._unix:
            return None
        try:
            if peer and not (self.trusts(peer) and forwarded_for):
                return peer
            if len(forwarded_for) == 1:
                answer = forwarded_for[0].decode("latin-1")
                if self._known.get(answer) is False:
                    return answer  # it is one plain address that was seen before
        except ValueError:
            return None
        answer = peer or ""
        for entry in reversed(b",".join(forwarded_for).rsplit(b",", LONGEST_CHAIN)[-LONGEST_CHAIN:]):
            answer = strip_port(entry.decode("latin-1"))
            try:
                if not self.trusts(answer):
                    return answer
            except ValueError:
                return None
        return answer or None
