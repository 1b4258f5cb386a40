"""key_shared: one API key is in use in many networks at once.

Default: 10 different networks in an hour, or a third as many countries (at least 3) where a database of places is set;
tells an administrator.
Source: ATT&CK T1528, T1550.001; Elastic's rules for a token seen in two countries.
"""

from collections.abc import Iterable

import msgspec

from detectors.addresses import client_address, network_around
from detectors.detector import Detector, Look, Surroundings, Verdict, answer_of
from detectors.guide import Guide
from detectors.rule import Rule

FEWEST_COUNTRIES = 3
"""A person on a journey shows two."""


class KeyShared(Detector):
    """Counts the networks and the countries of each key."""

    guide = Guide(
        phrase="The key {subject} was used from {count} different networks or countries",
        what=(
            "A key that was leaked or passed on is used where its owner is not. Counted are the "
            "different networks (/24, IPv6 /48), and the different countries, from which one key is "
            "accepted (status below 400)."
        ),
        needs="`api_key_id`, `client_ip` and `status` of accepted requests; a database of places for countries.",
        check=(
            "`bartizan incidents show ID`: compare `client_ip` with where the owner runs, and "
            "`user_agent` with what they use. One user agent everywhere is one program in many "
            "places; many different ones are many holders."
        ),
        act=(
            "Ask the owner. If they cannot explain it, revoke the key and give them a new one; "
            "look what it read and changed from the foreign networks, and whether it stands in an "
            "api_key_exposure incident."
        ),
        wrong=(
            "A key built into a mobile app, or a fleet of serverless functions: many networks are "
            "its nature. Raise the threshold, and give such uses a key of their own that may do "
            "little."
        ),
        references=("T1528", "T1550.001", "API2:2023"),
    )

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
        used = f"key used from {network}"
        verdicts = [Verdict(self._rule, f"{used}, {answer_of(event)}", value=network)]
        place = self._site.geo.look_up(address)
        if place and place.country:
            matched = f"{used} in {place.country}, {answer_of(event)}"
            verdicts.append(Verdict(self._by_country, matched, value=place.country, narrow="country"))
        return verdicts
