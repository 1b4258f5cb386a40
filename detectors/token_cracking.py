"""token_cracking: one address tries many API keys that are refused.

Looks at: 401 and 403 with an `api_key_id`; counts different keys of one address.
Why: a client has one key, or a few; who guesses has many.
Default: 10 different refused keys in 5 minutes from one address, which is then blocked.
When it is wrong: a gateway in front of many clients, whose own address is logged; name it in TRUSTED_PROXIES.
Source: OWASP OAT-002 (token cracking), API2:2023.
"""

from collections.abc import Iterable

from detectors.detector import Detector, Look, Verdict


class TokenCracking(Detector):
    """Counts refused keys; what differs is the key."""

    statuses = frozenset({401, 403})

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each refused key."""
        key = look.event.api_key_id
        if key is None or look.event.status not in self.statuses:
            return ()
        return (Verdict(self._rule, f"a key refused with status {look.event.status}", value=key),)
