"""security_breach: it looks as if somebody got in.

The second secret file of the same size on one host is taken for a page that answers every path and does not count any
more; the first cannot be told apart.
Default: the first one opens an incident of the highest priority.
Source: ATT&CK T1078 (valid accounts), T1110, T1552.001; the example of the Sigma correlation specification (ten
failures, then a success, within ten minutes); the operator's document.
"""

from collections.abc import Iterable

import msgspec

from detectors.auth_failures import LOGIN_FORM, attempt_of, failure_of, is_login_success
from detectors.detector import Detector, Look, Surroundings, Verdict
from detectors.event import Event
from detectors.finding import SubjectKind
from detectors.guide import Guide
from detectors.rule import Kind, Rule
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
LOGIN = "login"
"""Tag of records that name a login path."""


class SecurityBreach(Detector):
    """Watches logins that succeed at last, and secret files that are served."""

    guide = Guide(
        phrase="{subject} seems to have got in",
        what=(
            "A login succeeds after ten failures of the same address and user within 15 minutes, "
            "or a secret file (`/.env`, `/.git/config`, a private key, a dump) is served with "
            "content. Both need a person at once."
        ),
        needs=(
            "`client_ip` and `path`; `bytes` for a file that was served; `user` and `status` or "
            "`outcome` for a login."
        ),
        check=(
            "`bartizan incidents show ID`: `matched` of the last event says which it was. A file: "
            "fetch it yourself and see whether it holds secrets. A login: ask the user by another "
            "way than mail whether it was them, and compare address and user agent with their "
            "earlier logins."
        ),
        act=(
            "A file: take it off the server now and rotate every secret in it, beginning with the "
            "cloud and database keys. A login: end all sessions of the account, force a password "
            "reset, look what it did since, and block the address."
        ),
        wrong=(
            "A site that answers every path with one page serves no secret: answer unknown paths "
            "with 404. A person who remembered the password at last: resolve the incident as "
            "benign."
        ),
        references=("T1078", "T1110", "T1552.001", "CWE-552"),
    )

    statuses = frozenset({401, 403})
    tags = frozenset({LOGIN, LOGIN_FORM, ENCODED, *SERVED_SECRETS})
    outcomes = True

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        super().__init__(rule, site)
        self._served: dict[str, dict[int, str]] = {}
        self._takeover = msgspec.structs.replace(
            rule,
            kind=Kind.SEQUENCE,
            threshold=FAILURES_BEFORE_SUCCESS,
            window_ms=WINDOW_MS,
            group_by=(SubjectKind.IP, SubjectKind.USER),
        )

    def judge(self, look: Look) -> Iterable[Verdict]:
        """At most one verdict."""
        event = look.event
        reason = failure_of(event, self._site)
        if reason:
            return (Verdict(self._takeover, reason),)
        if is_login_success(event, self._site):
            return (Verdict(self._takeover, f"login succeeded{attempt_of(event)}", good=True),)
        if event.status in (200, 206) and event.method != "HEAD" and event.bytes:
            for pattern, matched in attacks_in(look, self._site.scanner):
                if pattern.id in SERVED_SECRETS and not self._is_one_page_for_all(event, pattern.id):
                    return (
                        Verdict(self._rule, f"{matched} was served with {event.bytes} bytes ({pattern.id})"),
                    )
        return ()

    def _is_one_page_for_all(self, event: Event, pattern_id: str) -> bool:
        """Whether another secret file of this host had the very same size."""
        host = event.host or ""
        if host not in self._served and len(self._served) >= MOST_HOSTS:
            self._served.clear()
        return self._served.setdefault(host, {}).setdefault(event.bytes or 0, pattern_id) != pattern_id
