"""api_key_exposure: a credential stands in a log.

Reads the whole record, by the patterns of patterns/keys/. The subject is the key itself, as kind and keyed
fingerprint; the client is not to blame for it, so nobody is blocked.
Default: the first one; tells an administrator.
Source: CWE-532 (secrets in log files), CWE-598 (secrets in a query), ATT&CK T1552.001; OWASP API2:2023; the
operator's document.
"""

from collections.abc import Iterable

import msgspec

from detectors.detector import Detector, Look, Surroundings, Verdict
from detectors.event import Event
from detectors.finding import Severity
from detectors.guide import Guide
from detectors.redact import MASKED, Secret
from detectors.rule import Rule
from detectors.scanner import ENCODED

MOST_KEYS = 10
"""Findings that one record can cause; nobody leaks more at once, but anybody can make them up."""


class ApiKeyExposure(Detector):
    """Counts each credential of a record, once a record."""

    guide = Guide(
        phrase="The credential {subject} was written to a log {times}",
        what=(
            "A credential stands in a log record, in a URL, a referer, a message or anywhere "
            "else. Whoever reads the log, or any copy of it, holds the key. It is kept as its "
            "kind and a keyed fingerprint only, and masked everywhere."
        ),
        needs="Nothing but the record itself; fields only tell where in it the key stands.",
        check=(
            "`bartizan incidents show ID`: `matched` says what kind it is and where it stands, "
            "`path` and `host` which application writes it. Look in the provider's console for "
            "the last use of keys of this kind, and whether the address is yours."
        ),
        act=(
            "Rotate the key at its provider first and revoke the old one, then mend the "
            "application so that it sends the key in a header and logs no headers; delete the "
            "lines from the logs and their copies. Look for uses since `first_seen`."
        ),
        wrong=(
            "An example, a test key or a random text of the same shape: acknowledge and resolve "
            "the incident as false_positive. While it stays open, later finds of the same key in "
            "the same place join it."
        ),
        references=("T1552.001", "CWE-532", "CWE-598", "API2:2023"),
    )

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        super().__init__(rule, site)
        self.tags = site.scanner.key_ids | {ENCODED, MASKED}
        self._own = {p.id for p in site.scanner.own}
        self._by_severity = {s.value: msgspec.structs.replace(rule, severity=s) for s in Severity}

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each credential, its subject the key's fingerprint."""
        found = self._site.secrets.look(look.record, look.hits)
        return [self._verdict(secret, place_of(secret, look.event)) for secret in found.secrets[:MOST_KEYS]]

    def _verdict(self, secret: Secret, place: str) -> Verdict:
        # How bad it is says the key's own format, or the policy where it speaks of the whole rule.
        is_formats = secret.kind in self._own or not self._rule.severity_stated
        rule = self._by_severity[secret.severity] if is_formats else self._rule
        subject = f"{secret.kind}:{secret.fingerprint}"
        return Verdict(rule, f"{secret.kind} in the {place}", subject=subject, place=place)


def place_of(secret: Secret, event: Event) -> str:
    """Where in an event a credential stands."""
    places = (
        ("URL", (event.path or "") + (event.query or "")),
        ("referer", event.referer),
        ("user agent", event.user_agent),
        ("message", event.message),
    )
    return next((name for name, text in places if text and secret.text in text), "record")
