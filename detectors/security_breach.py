"""security_breach: it looks as if somebody got in.

A login after failures and a leaked key in use are left to account_takeover and leaked_key_in_use where the policy names
these. The second secret file of the same size on one host is taken for a page that answers every path and does not
count any more; the first cannot be told apart.
Default: the first one opens an incident of the highest priority.
Source: ATT&CK T1078 (valid accounts), T1110, T1552.001; the example of the Sigma correlation specification (ten
failures, then a success, within ten minutes); the operator's document.
"""

from collections.abc import Iterable

import msgspec

from detectors.account_takeover import takeover_rule, takeover_verdict
from detectors.auth_failures import LOGIN, LOGIN_FORM
from detectors.detector import Detector, Look, Surroundings, Verdict
from detectors.event import Event
from detectors.guide import Guide
from detectors.leaked_key_in_use import in_use_rule, keys_in_use
from detectors.redact import MASKED
from detectors.rule import Rule
from detectors.scanner import ENCODED
from detectors.suspicious_activity import attacks_in

FAILURES_BEFORE_SUCCESS = 10
WINDOW_MS = 15 * 60_000
SERVED_SECRETS = frozenset(
    {
        "probe.dotenv",
        "probe.git",
        "probe.cloud_credentials",
        "probe.ssh_key",
        "probe.package_credentials",
        "probe.wp_config_backup",
        "probe.secrets_file",
        "probe.terraform",
        "probe.sql_dump",
        "probe.spring_actuator",
    }
)
"""Patterns whose answer with content means that a secret has left the house."""
MOST_HOSTS = 1000
"""Hosts whose sizes are remembered; a client may send any Host header."""


class SecurityBreach(Detector):
    """Watches logins that succeed at last, and secret files that are served."""

    guide = Guide(
        phrase="{subject} seems to have got in",
        what=(
            "A login succeeds after ten failures of the same address and user within 15 minutes; a "
            "key that stands in a log is used from a second address; or a secret file (`/.env`, "
            "`/.git/config`, a private key, a dump) is served with content."
        ),
        needs=(
            "`client_ip` and `path`; `bytes` for a file that was served; `user` and `status` or "
            "`outcome` for a login; the key itself in the record of a request."
        ),
        check=(
            "`bartizan incidents show ID`: `matched` of the last event says which it was. A file: "
            "fetch it yourself and see whether it holds secrets. A login: ask the user by another "
            "way than mail whether it was them, and compare address and user agent with their "
            "earlier logins. A key: compare the two addresses, and ask its owner which is theirs."
        ),
        act=(
            "A file: take it off the server now and rotate every secret in it, beginning with the "
            "cloud and database keys. A login: end all sessions of the account, force a password "
            "reset, look what it did since, and block the address. A key: revoke it at its issuer."
        ),
        wrong=(
            "A site that answers every path with one page serves no secret: answer unknown paths "
            "with 404. A person who remembered the password at last, or a client with several "
            "addresses whose key stands in the URL: resolve the incident as benign. Anybody can send a made-up "
            "key to a public page from two addresses: ask your key store whether it exists before you page "
            "anyone else."
        ),
        references=("T1078", "T1110", "T1552.001", "CWE-552"),
    )

    statuses = frozenset({401, 403})
    tags = frozenset({LOGIN, LOGIN_FORM, ENCODED, *SERVED_SECRETS})
    outcomes = True

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        super().__init__(rule, site)
        self.tags = self.tags | site.scanner.key_ids | {MASKED}
        self._served: dict[str, dict[int, str]] = {}
        sequence = msgspec.structs.replace(rule, threshold=FAILURES_BEFORE_SUCCESS, window_ms=WINDOW_MS)
        self._takeover = None if "account_takeover" in site.named else takeover_rule(sequence)
        self._in_use = None if "leaked_key_in_use" in site.named else in_use_rule(rule)

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each sign of a breach."""
        verdict = takeover_verdict(look.event, self._site, self._takeover) if self._takeover else None
        if verdict is not None:
            return (verdict,)
        in_use = keys_in_use(look, self._site, self._in_use) if self._in_use and look.hits else ()
        return (*in_use, *self._served_secrets(look))

    def _served_secrets(self, look: Look) -> Iterable[Verdict]:
        event = look.event
        if event.status not in (200, 206) or event.method == "HEAD" or not event.bytes:
            return
        if not any(isinstance(hit, str) or hit.id in SERVED_SECRETS for hit in look.hits):
            return
        for pattern, matched in attacks_in(look, self._site.scanner):
            if pattern.id in SERVED_SECRETS and not self._is_one_page_for_all(event, pattern.id):
                yield Verdict(self._rule, f"{matched} was served with {event.bytes} bytes ({pattern.id})")
                return

    def _is_one_page_for_all(self, event: Event, pattern_id: str) -> bool:
        """Whether another secret file of this host had the very same size."""
        host = event.host or ""
        if host not in self._served and len(self._served) >= MOST_HOSTS:
            self._served.clear()
        return self._served.setdefault(host, {}).setdefault(event.bytes or 0, pattern_id) != pattern_id
