"""Who asks: a bouncer, told apart by its token, its address and the type it names in its User-Agent.

Source: crowdsec, pkg/apiserver/middlewares/v1/api_key.go (the key and the address), pkg/apiserver/controllers
(`TYPE/VERSION`); what each can act on: the bouncers' own sources, see docs/bouncers.md.
"""

import hashlib
from dataclasses import dataclass

from app.auth import Caller
from detectors.finding import DecisionType

LONGEST_TYPE = 64
LONGEST_VERSION = 64
UNKNOWN_TYPE, UNKNOWN_VERSION = "unknown", "N/A"
_BAN = frozenset({DecisionType.BAN})
_CHALLENGES = frozenset({DecisionType.BAN, DecisionType.CAPTCHA})
_EVERY = frozenset(DecisionType)
CAN: dict[str, frozenset[DecisionType]] = {
    "crowdsec-firewall-bouncer": _BAN,
    "crowdsec-custom-bouncer": _BAN,
    "crowdsec-blocklist-mirror": _BAN,
    "crowdsec-nginx-bouncer": _CHALLENGES,
    "crowdsec-openresty-bouncer": _CHALLENGES,
    "crowdsec-ingress-nginx-bouncer": _CHALLENGES,
    "crowdsec-haproxy-bouncer": _CHALLENGES,
    "crowdsec-haproxy-spoa-bouncer": _CHALLENGES,
    "crowdsec-spoa-bouncer": _CHALLENGES,
    "crowdsec-traefik-bouncer": _CHALLENGES,
    "crowdsec-bouncer-traefik-plugin": _CHALLENGES,
    "crowdsec-cloudflare-bouncer": _CHALLENGES,
    "crowdsec-cloudflare-worker-bouncer": _CHALLENGES,
    "caddy-cs-bouncer": frozenset({DecisionType.BAN, DecisionType.THROTTLE}),
}
"""The types of decision that a type of bouncer acts on. One that is not here gets everything, as it is stored."""
PHP = "csphplapi_"
"""How the types of all bouncers in PHP begin (WordPress, Magento, standalone); they show captchas."""
DROPS_RANGES = frozenset({"crowdsec-firewall-bouncer"})
"""In nftables mode it puts a range's first address into its set and drops the rest.
Source: cs-firewall-bouncer, pkg/nftables."""


@dataclass(frozen=True, slots=True)
class Bouncer:
    """One bouncer. `type` and `version` are its own words, cut and printable."""

    token_id: str
    token_name: str
    address: str
    """Of the connection, through the trusted proxies; empty where it cannot be told."""
    type: str
    version: str

    @property
    def id(self) -> str:
        """The same in every process: 16 hex digits."""
        text = "\n".join((self.token_id, self.address, self.type))
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]

    @property
    def can(self) -> frozenset[DecisionType]:
        """The types of decision that it acts on."""
        kind = self.type.lower()
        return _CHALLENGES if kind.startswith(PHP) else CAN.get(kind, _EVERY)

    @property
    def drops_ranges(self) -> bool:
        """Whether it is better served with single addresses."""
        return self.type.lower() in DROPS_RANGES


def bouncer_of(caller: Caller, address: str | None, user_agent: str) -> Bouncer:
    """Who asks, by its token, address and User-Agent: `TYPE/VERSION`, exactly two parts, as upstream reads it."""
    kind, slash, version = user_agent.strip().partition("/")
    if "/" in version or not slash:
        kind, version = user_agent.partition("/")[0], UNKNOWN_VERSION
    return Bouncer(
        token_id=caller.token_id,
        token_name=caller.name,
        address=address or "",
        type=_printable(kind, LONGEST_TYPE) or UNKNOWN_TYPE,
        version=_printable(version, LONGEST_VERSION) or UNKNOWN_VERSION,
    )


def _printable(text: str, most: int) -> str:
    return "".join(c for c in text.strip()[:most] if c.isprintable())
