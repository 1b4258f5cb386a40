"""key_shared: one API key is in use in many networks at once.

Looks at: accepted requests (status below 400) with an `api_key_id`; counts different networks (/24, IPv6 /48) of
one key.
Why: a key that was leaked or passed on is used where its owner is not.
Default: 10 different networks in an hour; tells an administrator.
When it is wrong: a key built into a mobile app, or a fleet of serverless functions; set a higher threshold.
Source: ATT&CK T1528, T1550.001; Elastic's rules for a token seen in two countries.
"""

from collections.abc import Iterable
from ipaddress import ip_network

from detectors.addresses import client_address
from detectors.detector import Detector, Look, Verdict


class KeyShared(Detector):
    """Counts the networks of each key."""

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
        return (Verdict(self._rule, f"key used from {network}", value=str(network)),)
