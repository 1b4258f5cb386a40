"""Which address a record speaks of, in one canonical spelling, and whom a rule counts it for."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from detectors.errors import ConfigError

LONGEST_ADDRESS = 64
"""`[` + 39 characters of IPv6 + zone + `]:65535` fits; anything longer is no address."""
SUBJECT_PREFIX_V6 = 64
"""An IPv6 customer holds a /64 at least, so one address means nothing. Source: RFC 6177, RIPE-690."""


@lru_cache(maxsize=65_536)
def _canonical(text: str) -> str | None:
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text = text.partition("%")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def parse_address(text: object) -> str | None:
    """The canonical spelling of one logged address, or None where it is none.

    Takes `198.51.100.7`, `198.51.100.7:443`, `[2001:db8::1]:443`, `fe80::1%eth0`, `::ffff:198.51.100.7`
    (which is the IPv4 address). Refuses names, `-`, `unknown` and spellings that readers disagree on
    (leading zeros, integers, hex), so that two programs never mean two addresses by one text.
    """
    if not isinstance(text, str) or len(text) > LONGEST_ADDRESS:
        return None
    return _canonical(text)


@lru_cache(maxsize=65_536)
def subject_of(address: str) -> str:
    """Whom to count for a canonical address: itself for IPv4, its /64 for IPv6."""
    if ":" not in address:
        return address
    return str(IPv6Network((address, SUBJECT_PREFIX_V6), strict=False))


@lru_cache(maxsize=65_536)
def network_around(address: str) -> str:
    """The /24 of a canonical IPv4 address, the /48 of an IPv6 one: one site's, as far as an address can tell."""
    return str(ip_network(f"{address}/{48 if ':' in address else 24}", strict=False))


class Networks:
    """A short list of networks: the trusted proxies, the shippers, an allowlist."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raises: ConfigError naming the entry that is no address or network."""
        self._networks: list[IPv4Network | IPv6Network] = []
        for text in networks:
            try:
                self._networks.append(ip_network(text.strip(), strict=False))
            except ValueError as error:
                raise ConfigError(f"{text!r} is not an address or network: {error}") from error
        self._seen: dict[str, str | None] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    def covering(self, address: str) -> str | None:
        """The first network that holds this canonical address, or None."""
        if not self._networks:
            return None
        if address in self._seen:
            return self._seen[address]
        parsed = ip_address(address)
        found = next((str(n) for n in self._networks if n.version == parsed.version and parsed in n), None)
        if len(self._seen) >= 65_536:
            self._seen.clear()
        self._seen[address] = found
        return found


def client_address(client_ip: str | None, forwarded_for: str | None, trusted: Networks) -> str | None:
    """The canonical address of the client, found right to left through the trusted proxies.

    `forwarded_for` is believed only where `client_ip` is a trusted proxy; a chain logged as `client_ip`
    itself (`203.0.113.9, 10.0.0.2`) is read the same way. An attacker writes the left end of a chain, so
    the answer is the first address from the right that is no trusted proxy; where that entry is no
    address the answer is None, never its neighbour.
    """
    if client_ip is None:
        return None
    if "," not in client_ip:
        peer = parse_address(client_ip)
        if peer is None or forwarded_for is None or trusted.covering(peer) is None:
            return peer
        chain = [*forwarded_for.split(","), client_ip]
    else:
        chain = client_ip.split(",")
    address = None
    for entry in reversed(chain[-32:]):
        address = parse_address(entry)
        if address is None or trusted.covering(address) is None:
            return address
    return address


def address_in_words(client_ip: str | None, forwarded_for: str | None, trusted: Networks) -> str:
    """Why `client_address` answers what it does, for people; empty where it is simply the address that was logged.

    Quotes canonical addresses only, never the log's own text.
    """
    found = client_address(client_ip, forwarded_for, trusted)
    if client_ip is None:
        return "the record names no client address"
    is_chain = "," in client_ip
    peer = None if is_chain else parse_address(client_ip)
    if found is None:
        if is_chain:
            return "client_ip is a chain, and the entry that counts is no address"
        if peer is None:
            return "what client_ip holds is no address"
        return f"{peer} is a trusted proxy, and the entry of X-Forwarded-For before it is no address"
    if trusted.covering(found) is not None:
        return (
            f"{found} is a trusted proxy itself (BARTIZAN_TRUSTED_PROXIES): the record names nobody behind it"
        )
    if is_chain:
        return "the first address from the right of the chain that is no trusted proxy"
    if peer != found:
        return f"from X-Forwarded-For, since {peer} is a trusted proxy"
    if forwarded_for:
        return f"X-Forwarded-For is not believed: {peer} is no trusted proxy (BARTIZAN_TRUSTED_PROXIES)"
    return ""
