"""api_key_exposure: a credential stands in a log.

Looks at: the whole record, by the patterns of patterns/keys/. The subject is the key itself, as kind and keyed
fingerprint; the client is not to blame for it, so nobody is blocked.
Why: whoever reads the log, or any copy of it, holds the key.
Default: the first one; tells an administrator.
Source: CWE-532 (secrets in log files), CWE-598 (secrets in a query), ATT&CK T1552.001; OWASP API2:2023; the
operator's document.
"""

from collections.abc import Iterable

import msgspec

from detectors.detector import Detector, Look, Surroundings, Verdict
from detectors.event import Event
from detectors.redact import Secret
from detectors.rule import Rule
from detectors.scanner import ENCODED

MOST_KEYS = 10
"""Findings that one record can cause; nobody leaks more at once, but anybody can make them up."""


class ApiKeyExposure(Detector):
    """Counts each credential of a record, once a record."""

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        super().__init__(rule, site)
        self.tags = site.scanner.key_ids | {ENCODED}
        # How bad a key of one's own is, the policy says of each.
        self._own = {p.id: msgspec.structs.replace(rule, severity=p.severity) for p in site.scanner.own}

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each credential, its subject the key's fingerprint."""
        found = self._site.secrets.look(look.record, look.hits)
        return [self._verdict(secret, place_of(secret, look.event)) for secret in found.secrets[:MOST_KEYS]]

    def _verdict(self, secret: Secret, place: str) -> Verdict:
        subject = f"{secret.kind}:{secret.fingerprint}"
        return Verdict(
            self._own.get(secret.kind, self._rule),
            f"{secret.kind} in the {place}",
            subject=subject,
            place=place,
        )


def place_of(secret: Secret, event: Event) -> str:
    """Where in an event a credential stands."""
    places = (
        ("URL", (event.path or "") + (event.query or "")),
        ("referer", event.referer),
        ("user agent", event.user_agent),
        ("message", event.message),
    )
    return next((name for name, text in places if text and secret.text in text), "record")
