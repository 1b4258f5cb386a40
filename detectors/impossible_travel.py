"""impossible_travel: two logins of one account too far apart for the time between them.

Looks at: successful logins that name a user, with the place of their address by the city database
(BARTIZAN_GEOIP_CITY_DB). Two that follow each other within 24 hours are compared: at least 500 km apart, after both
places' accuracy radius is taken off, and faster than 900 km/h. Two addresses of one provider's network (AS) are not.
Default: the first one; tells an administrator. No address is blocked: which of the two is wrong nobody can tell.
Source: Elastic (500 km and 800 km/h), Panther (900 km/h), CrowdSec (1,000 km within 3 hours); ATT&CK T1078.004.
"""

from collections.abc import Iterable

from detectors.addresses import client_address
from detectors.auth_failures import LOGIN, LOGIN_FORM, is_login_success
from detectors.detector import Detector, Look, Verdict
from detectors.guide import Guide
from detectors.scanner import ENCODED


class ImpossibleTravel(Detector):
    """Follows where each user logs in."""

    tags = frozenset({LOGIN, LOGIN_FORM, ENCODED})
    outcomes = True
    guide = Guide(
        phrase="{subject} logged in from two places too far apart",
        what="An account was entered from two places that nobody travels between in that time: one of the two is "
        "probably not its owner.",
        needs="user and client_ip of successful logins, and a city database; an ASN database spares carriers.",
        check="Compare the two logins in the evidence: is one a known VPN, office egress or phone network? Ask the "
        "owner.",
        act="End the sessions of the login that the owner does not know, force a new password and a second factor.",
        wrong="VPNs, corporate proxies and satellite networks move people within a minute. Allowlist their networks, "
        "or set mode: observe.",
        references=("T1078.004", "T1078", "API2:2023"),
    )

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each login whose place is known."""
        event = look.event
        if not event.user or not is_login_success(event, self._site):
            return ()
        address = client_address(event.client_ip, event.forwarded_for, self._site.trusted)
        spot = self._site.geo.locate(address) if address else None
        if spot is None:
            return ()
        return (Verdict(self._rule, f"login from {address}", good=True, spot=spot),)
