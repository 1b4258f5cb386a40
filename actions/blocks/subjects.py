"""What a decision is about: an address or network, or a country, an autonomous system, a user.

The scopes' names are those of CrowdSec's decisions, so that its bouncers understand them.
"""

import enum
import re

from actions.blocks.networks import Network, canonical, read_network, spelled

LONGEST_USER = 256
"""Characters; event fields are longer, but a decision stands in the memory of every process."""
LARGEST_AS = 2**32 - 1
"""Source: RFC 6793."""
_COUNTRY = re.compile(r"[A-Z]{2}")


class Scope(enum.StrEnum):
    """What kind of value a decision has. Source: CrowdSec, decision object."""

    IP = "Ip"
    RANGE = "Range"
    COUNTRY = "Country"
    AS = "AS"
    USER = "User"


ADDRESSES = (Scope.IP, Scope.RANGE)
"""The scopes whose value is an address or network."""
NAMED = (Scope.COUNTRY, Scope.AS, Scope.USER)
"""The others: only who knows more of a client than its address can act on them."""
_SPELLINGS = {scope.value.lower(): scope for scope in Scope}


def scope_named(text: str) -> Scope:
    """The scope of this name, in any case. Raises: ValueError."""
    scope = _SPELLINGS.get(text.strip().lower())
    if scope is None:
        raise ValueError(f"{text[:64]!r} is not a scope; known are {', '.join(Scope)}")
    return scope


def scope_of(value: str) -> Scope:
    """Ip or Range, of a canonical address or network."""
    return Scope.RANGE if "/" in value else Scope.IP


def canonical_subject(scope: Scope | None, text: str) -> tuple[Scope, str]:
    """The scope and the one spelling of a value. Without a scope it is an address or network, or `Country:FR`.

    Raises: ValueError where the text is no value of that scope.
    """
    scope, text = _scoped(scope, text)
    if scope in ADDRESSES:
        value = canonical(text)
        return scope_of(value), value
    return scope, _spelled(scope, text.strip())


def read_subject(scope: Scope | None, text: str) -> tuple[Scope, str, Network | None]:
    """The same and, of an address or network, that; not remembered: for very many values. Raises: ValueError."""
    scope, text = _scoped(scope, text)
    if scope in ADDRESSES:
        network = read_network(text)
        value = spelled(network)
        return scope_of(value), value, network
    return scope, _spelled(scope, text.strip()), None


def _scoped(scope: Scope | None, text: str) -> tuple[Scope, str]:
    if scope is not None:
        return scope, text
    name, colon, rest = text.strip().partition(":")
    named = _SPELLINGS.get(name.lower()) if colon else None
    return (named, rest) if named in NAMED else (Scope.IP, text)


def _spelled(scope: Scope, text: str) -> str:
    if scope is Scope.COUNTRY:
        country = text.upper()
        if not _COUNTRY.fullmatch(country):
            raise ValueError(
                f"{text[:64]!r} is not a country; two letters of ISO 3166 are needed, such as FR"
            )
        return country
    if scope is Scope.AS:
        number = text.upper().removeprefix("AS")
        if not (number.isascii() and number.isdecimal() and len(number) <= 10 and int(number) <= LARGEST_AS):
            raise ValueError(f"{text[:64]!r} is not an autonomous system; write AS64500 or 64500")
        return str(int(number))
    if not text or len(text) > LONGEST_USER or not text.isprintable():
        raise ValueError(f"a user has 1 to {LONGEST_USER} printable characters")
    return text


def key_of(scope: Scope, value: str) -> str:
    """A canonical value as the key of all that is kept about it: `203.0.113.9`, `Country:FR`, `User:alice`."""
    return value if scope in ADDRESSES else f"{scope.value}:{value}"


def is_address_key(key: str) -> bool:
    """Whether this key is of an address or network."""
    return not key.startswith(("Country:", "AS:", "User:"))
