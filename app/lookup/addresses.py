"""Addresses and networks as numbers, and back."""

import ipaddress
import socket
from functools import lru_cache

LONGEST_ADDRESS = 64
"""39 characters of IPv6 and a zone fit; anything longer is no address."""
CACHE_SIZE = 65_536
"""Spellings remembered."""
MAPPED_PREFIX = b"\0" * 10 + b"\xff\xff"
"""`::ffff:0:0/96`: an IPv4 address seen through an IPv6 socket. Source: RFC 4291, 2.5.5.2."""
WIDTH = {4: 32, 6: 128}
_AF_INET, _AF_INET6, _inet_pton = socket.AF_INET, socket.AF_INET6, socket.inet_pton


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
    return spelled(version, number)


def spelled(version: int, number: int, shift: int = 0) -> str:
    """An address, or with host bits to drop a network, in its one spelling."""
    if version == 4:
        text = socket.inet_ntop(_AF_INET, (number >> shift << shift).to_bytes(4))
    else:
        text = str(ipaddress.IPv6Address(number >> shift << shift))
    return f"{text}/{WIDTH[version] - shift}" if shift else text
