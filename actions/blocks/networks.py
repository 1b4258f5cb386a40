"""What may be blocked at all: one spelling for a value, and the networks that are never blocked.

Source: IANA special-purpose address registries (RFC 6890). The documentation networks are not special here:
nobody is hurt by blocking them, and tests and demonstrations live on them.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

WIDEST_V4 = 16
WIDEST_V6 = 32
"""Wider networks need force: a slip of the pen must not block a country. Source: docs/decisions.md."""
LONGEST_VALUE = 64

_NEVER: tuple[tuple[str, str], ...] = (
    ("unspecified", "0.0.0.0/8"),
    ("loopback", "127.0.0.0/8"),
    ("private network", "10.0.0.0/8"),
    ("private network", "172.16.0.0/12"),
    ("private network", "192.168.0.0/16"),
    ("link-local", "169.254.0.0/16"),
    ("carrier-grade NAT", "100.64.0.0/10"),
    ("multicast", "224.0.0.0/4"),
    ("broadcast", "255.255.255.255/32"),
    ("unspecified", "::/128"),
    ("loopback", "::1/128"),
    ("NAT64", "64:ff9b::/96"),
    ("private network", "fc00::/7"),
    ("link-local", "fe80::/10"),
    ("multicast", "ff00::/8"),
)
UNLESS_ASKED = frozenset({"private network", "link-local", "carrier-grade NAT"})
"""What an operator may choose to block all the same: some attacks come from inside."""


@lru_cache(maxsize=65_536)
def network_of(text: str) -> Network:
    """The network an address or CIDR text means; `::ffff:` forms are their IPv4 address.

    Raises: ValueError where it is none.
    """
    text = text.strip()
    if len(text) > LONGEST_VALUE or "%" in text:
        raise ValueError(f"{text[:LONGEST_VALUE]!r} is not an address or network")
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


@lru_cache(maxsize=65_536)
def canonical(text: str) -> str:
    """The one spelling of an address or network: a single address stands without its prefix length.

    Raises: ValueError where it is none.
    """
    return spelled(network_of(text))


def spelled(network: Network) -> str:
    """A network as text; a single address without its prefix length."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def around(network: Network) -> list[str]:
    """The spellings of every network that holds this one, itself first, the widest last."""
    return [spelled(network.supernet(new_prefix=n)) for n in range(network.prefixlen, -1, -1)]


def is_too_wide(network: Network) -> bool:
    """Whether blocking it needs force."""
    return network.prefixlen < (WIDEST_V4 if network.version == 4 else WIDEST_V6)


def holds(outer: Network, inner: Network) -> bool:
    """Whether `inner` lies wholly in `outer`."""
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]


class NeverBlock:
    """What is never blocked whatever a rule or a person says: special networks, and the operator's own."""

    def __init__(self, own: Iterable[tuple[str, str]] = (), *, even_private: bool = False) -> None:
        """`own`: pairs of a label (`trusted proxy`, `never_block`) and a network.

        `even_private` allows blocking private, link-local and carrier-grade NAT networks.
        Raises: ValueError naming an entry that is no network.
        """
        special = [(label, text) for label, text in _NEVER if not even_private or label not in UNLESS_ASKED]
        entries = [(label, network_of(text)) for label, text in (*special, *own)]
        self._entries = [(*_span(entry), f"{label} {spelled(entry)}") for label, entry in entries]

    @property
    def entries(self) -> list[str]:
        """Everything that is never blocked, such as `loopback 127.0.0.0/8`."""
        return [told for *_, told in self._entries]

    def __call__(self, network: Network) -> str | None:
        """What stops this network from being blocked, such as `loopback 127.0.0.0/8`, or None.

        A network is stopped when it shares one address with an entry: blocking it would block that one too.
        """
        version, first, last = _span(network)
        for entry_version, entry_first, entry_last, told in self._entries:
            if entry_version == version and entry_first <= last and first <= entry_last:
                return told
        return None


def _span(network: Network) -> tuple[int, int, int]:
    """Version, first and last number: an import asks about a hundred thousand networks."""
    return network.version, int(network.network_address), int(network.broadcast_address)


def vicinity(value: str) -> str:
    """The /24 of an IPv4 value, the /48 of an IPv6 one; a wider network is its own. Raises: ValueError."""
    network = network_of(value)
    prefix = 48 if isinstance(network, IPv6Network) else 24
    return spelled(network if network.prefixlen <= prefix else network.supernet(new_prefix=prefix))
