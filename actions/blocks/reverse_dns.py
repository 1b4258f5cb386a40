"""What name the DNS confirms for an address: its PTR record, and back again.

A PTR record alone proves nothing: the owner of an address writes whatever name he likes there. The name's own
A or AAAA record is written by the name's owner, so both together say that the name's owner owns the address.
"""

import asyncio
import enum
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver
import dns.reversename
import msgspec

BUDGET_S = 2.0
"""For all questions about one address together. A working resolver needs a tenth of that."""
NAMES_TRIED = 4
"""Of one address's PTR names; a bot's machine has one, and its owner could write thousands."""
PORT = 53


class Confirmed(enum.StrEnum):
    """What the DNS says."""

    YES = "yes"
    NO = "no"
    UNANSWERED = "unanswered"
    """It did not answer in time, or could not."""


class DnsAnswer(msgspec.Struct, frozen=True):
    """What is known of an address. `host` is set where it is confirmed: lower case, without its last dot."""

    confirmed: Confirmed
    host: str = ""


class ReverseDns:
    """Asks the system's name servers, or those it is told. Asks each question anew: the caller remembers."""

    def __init__(self, servers: tuple[str, ...] = (), *, budget_s: float = BUDGET_S) -> None:
        """`servers`: `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:5353`; none: those of /etc/resolv.conf."""
        self._servers = tuple(parse_server(server) for server in servers)
        self._budget_s = budget_s
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def confirm(self, address: str, is_wanted: Callable[[str], bool]) -> DnsAnswer:
        """The confirmed name of a canonical address, of those that are wanted; never waits longer than its budget."""
        try:
            async with asyncio.timeout(self._budget_s):
                return await self._confirm(address, is_wanted)
        except (TimeoutError, OSError, dns.exception.DNSException):
            return DnsAnswer(Confirmed.UNANSWERED)

    async def _confirm(self, address: str, is_wanted: Callable[[str], bool]) -> DnsAnswer:
        names = await self._ask(dns.reversename.from_address(address).to_text(), "PTR")
        wanted = [name for name in map(_host, names) if is_wanted(name)]
        kind = "AAAA" if ":" in address else "A"
        for host in wanted[:NAMES_TRIED]:
            found = await self._ask(f"{host}.", kind)
            if any(ip_address(text) == ip_address(address) for text in found):
                return DnsAnswer(Confirmed.YES, host)
        return DnsAnswer(Confirmed.NO)

    async def _ask(self, name: str, kind: str) -> list[str]:
        """The records of a name, or none. Raises: DNSException where nobody could say."""
        if self._resolver is None:
            self._resolver = self._make_resolver()
        try:
            answer = await self._resolver.resolve(name, kind, lifetime=self._budget_s)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        return [record.to_text() for record in answer]

    def _make_resolver(self) -> dns.asyncresolver.Resolver:
        if not self._servers:
            return dns.asyncresolver.Resolver()
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in self._servers]
        return resolver


def parse_server(text: str) -> tuple[str, int]:
    """Address and port of a name server. Raises: ValueError where it is no address."""
    if text.count(":") > 1 and not text.startswith("["):
        return str(ip_address(text)), PORT
    parts = urlsplit(f"//{text}")
    if parts.path or parts.query or parts.username:
        raise ValueError(f"{text!r} is not an address with or without a port")
    return str(ip_address(parts.hostname or "")), parts.port or PORT


def _host(name: str) -> str:
    """A name as the table of crawlers has it; one with an escape in it is nobody's we know."""
    return "" if "\\" in name else name.rstrip(".").lower()
