"""key_shared: one API key is in use in many networks at once.

Looks at: accepted requests (status below 400) with an `api_key_id`; counts different networks (/24, IPv6 /48) of
one key, and, where there is a city or country database, different countries.
Why: a key that was leaked or passed on is used where its owner is not.
Default: 10 different networks in an hour, or a third as many countries (at least 3); tells an administrator.
When it is wrong: a key built into a mobile app, or a fleet of serverless functions; set a higher threshold.
Source: ATT&CK T1528, T1550.001; Elastic's rules for a token seen in two countries.
"""

from collections.abc import Iterable

import msgspec

from detectors.addresses import client_address, network_around
from detectors.detector import Detector, Look, Surroundings, Verdict
from detectors.rule import Rule

FEWEST_COUNTRIES = 3
"""A person on a journey shows two."""


class KeyShared(Detector):
    """Counts the networks and the countries of each key."""

    keys = True

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        super().__init__(rule, site)
        fewest = max(FEWEST_COUNTRIES, rule.threshold // 3)
        self._by_country = msgspec.structs.replace(rule, threshold=fewest)

    def judge(self, look: Look) -> Iterable[Verdict]:
        """Two verdicts where a key was accepted and the address is known: its network, and its country if known."""
        event = look.event
        if event.api_key_id is None or event.status is None or event.status >= 400:
            return ()
        address = client_address(event.client_ip, event.forwarded_for, self._site.trusted)
        if address is None:
            return ()
        network = network_around(address)
        verdicts = [Verdict(self._rule, f"key used from {network}", value=network)]
        place = self._site.geo.look_up(address)
        if place and place.country:
            matched = f"key used from {network} in {place.country}"
            verdicts.append(Verdict(self._by_country, matched, value=place.country, narrow="country"))
        return verdicts
