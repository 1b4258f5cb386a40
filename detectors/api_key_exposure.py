"""api_key_exposure: a credential stands in a log.

Looks at: the whole record, by the patterns of patterns/keys.toml. The subject is the key itself, as kind and keyed
fingerprint; the client is not to blame for it, so nobody is blocked.
Why: whoever reads the log, or any copy of it, holds the key.
Default: the first one; tells an administrator.
Source: CWE-532 (secrets in log files), CWE-598 (secrets in a query), ATT&CK T1552.001; OWASP API2:2023; the
operator's document.
"""

from collections.abc import Iterable

from detectors.detector import Look, Surroundings, Verdict
from detectors.event import Event
from detectors.redact import Secret
from detectors.rule import Rule
from detectors.scanner import ENCODED, load_patterns


class ApiKeyExposure:
    """Counts each credential of a record, once a record."""

    statuses: frozenset[int] = frozenset()
    tags = frozenset({ENCODED, *(p.id for p in load_patterns("keys"))})
    outcomes = False
    keys = False

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        self._rule = rule
        self._secrets = site.secrets

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each credential, its subject the key's fingerprint."""
        record = look.record.decode("utf-8", "replace")
        return [
            Verdict(
                self._rule, f"{s.kind} in the {place_of(s, look.event)}", subject=f"{s.kind}:{s.fingerprint}"
            )
            for s in self._secrets.find(record)
        ]


def place_of(secret: Secret, event: Event) -> str:
    """Where in an event a credential stands."""
    places = (
        ("URL", (event.path or "") + (event.query or "")),
        ("referer", event.referer),
        ("user agent", event.user_agent),
        ("message", event.message),
    )
    return next((name for name, text in places if text and secret.text in text), "record")
