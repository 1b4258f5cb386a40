"""key_shared: one API key is in use in many networks at once.

Default: 10 different networks in an hour; tells an administrator.
Source: ATT&CK T1528, T1550.001; Elastic's rules for a token seen in two countries.
"""

from collections.abc import Iterable
from ipaddress import ip_network

from detectors.addresses import client_address
from detectors.detector import Detector, Look, Verdict, answer_of
from detectors.guide import Guide


class KeyShared(Detector):
    """Counts the networks of each key."""

    guide = Guide(
        phrase="The key {subject} was used from {count} different networks",
        what=(
            "A key that was leaked or passed on is used where its owner is not. Counted are the "
            "different networks (/24, IPv6 /48) from which one key is accepted (status below "
            "400)."
        ),
        needs="`api_key_id`, `client_ip` and `status` of accepted requests.",
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

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict where a key was accepted and the address is known."""
        event = look.event
        if event.api_key_id is None or event.status is None or event.status >= 400:
            return ()
        address = client_address(event.client_ip, event.forwarded_for, self._site.trusted)
        if address is None:
            return ()
        network = ip_network(f"{address}/{48 if ':' in address else 24}", strict=False)
        return (Verdict(self._rule, f"key used from {network}, {answer_of(event)}", value=str(network)),)
