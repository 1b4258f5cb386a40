"""Whose requests do not count against their address: the operator's own monitors and scripts.

Neither the user agent alone, which anybody can send, nor the network alone, in which others live: both together.
Only rules whose subject is the address are spared. A key that such a client shows is exposed all the same, and what
looks like a breach is one: the rules of `ALWAYS` count whatever the client is.
"""

from collections.abc import Iterable

import msgspec

from detectors.addresses import Networks, client_address
from detectors.event import Event
from detectors.finding import SubjectKind
from detectors.rule import Rule

ALWAYS = frozenset({"api_key_exposure", "security_breach", "account_takeover", "leaked_key_in_use"})


class TrustedClient(msgspec.Struct, frozen=True):
    """One entry of the policy's `trusted_clients`."""

    user_agent: str
    """What its user agent contains, in any case."""
    networks: tuple[str, ...]
    note: str = ""


class TrustedClients:
    """Says which events of which rules do not count. Asked only about events that a detector has selected."""

    def __init__(
        self, clients: Iterable[TrustedClient] = (), trusted_proxies: Networks | None = None
    ) -> None:
        """Raises: ConfigError naming a network that is none."""
        self._clients = [(c.user_agent.lower(), Networks(c.networks)) for c in clients]
        self._proxies = trusted_proxies or Networks()

    def spare(self, rule: Rule, event: Event) -> bool:
        """Whether this event does not count for this rule."""
        if not self._clients or rule.group_by[0] is not SubjectKind.IP or rule.name in ALWAYS:
            return False
        agent = (event.user_agent or "").lower()
        networks = [networks for token, networks in self._clients if token in agent]
        if not networks:
            return False
        address = client_address(event.client_ip, event.forwarded_for, self._proxies)
        return address is not None and any(n.covering(address) is not None for n in networks)
