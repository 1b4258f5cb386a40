"""leaked_key_in_use: an API key that stands in a log is used by a second address.

Looks at: accepted requests (status below 400, or outcome success) whose record holds a credential; counts different
addresses (IPv6 /64) of one key. Left out are credentials that are made to be passed on or that move with a person:
session cookies, JSON web tokens, signed URLs, webhooks, passwords, and keys that browsers hold.
Default: a second address within 7 days; an incident at once.
Source: ATT&CK T1552.001 (credentials in files), T1550.001 (use of access tokens); CWE-532, CWE-598; OWASP API2:2023.
"""

import re
from collections.abc import Iterable

import msgspec

from detectors.addresses import client_address, subject_of
from detectors.detector import Detector, Look, Surroundings, Verdict
from detectors.finding import Severity, SubjectKind
from detectors.guide import Guide
from detectors.redact import MASKED, Secret
from detectors.rule import Kind, Rule
from detectors.scanner import ENCODED

ADDRESSES = 2
"""Different ones that use a key before it counts as leaked, where the rule is part of security_breach."""
WINDOW_MS = 7 * 86_400_000
PASSED_ON = re.compile(
    r"session|signed|webhook|cookie|jwt|paseto|saml|oauth_code|password|basic_credentials|bearer_token|"
    r"authorization_header|otpauth|curl_credentials|google_api_key|google_oauth|private_key|seed"
)
"""Parts of the ids of credentials that more than one address may well show."""
_KEY_PARAMETER = re.compile(rb"(?i)(?:key|api[_-]?(?:token|secret))=\Z")
QUERY_SECRET = "query_secret"  # noqa: S105 - the id of a pattern
LONGEST_NAME = 32
MOST_KEYS = 10


class LeakedKeyInUse(Detector):
    """Counts the addresses of each exposed key."""

    guide = Guide(
        phrase="The key {subject} stands in a log and is in use from {count} different addresses",
        what="A key that stood in a log was then used from another address: whoever read the log, a referer or a "
        "shared link, is using it.",
        needs="client_ip and status, and the key itself in the record (URL, header or message).",
        check="Compare the two addresses in the evidence: country, provider, user agent, what they asked for. Ask "
        "the key's owner which one is theirs.",
        act="Revoke the key at its issuer at once and give the owner a new one; then look for what the other address "
        "did with it, and stop logging the place where the key stood.",
        wrong="One client with several addresses: a fleet behind a changing egress, a phone on the move. Put their "
        "networks on the allowlist, or keep keys out of URLs. Anybody can send a made-up key to a public page, which "
        "answers 200 whatever it is sent, from two addresses: a key that your key store does not know is nobody's.",
        references=("T1552.001", "T1550.001", "API2:2023", "CWE-532", "CWE-598"),
    )

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        super().__init__(rule, site)
        self.tags = site.scanner.key_ids | {ENCODED, MASKED}
        self._in_use = in_use_rule(rule, max(ADDRESSES, rule.threshold), rule.window_ms)

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each key that an accepted request shows."""
        return keys_in_use(look, self._site, self._in_use)


def in_use_rule(rule: Rule, addresses: int = ADDRESSES, window_ms: int = WINDOW_MS) -> Rule:
    """The rule that counts addresses of a key, with the actions and the severity of another."""
    return msgspec.structs.replace(
        rule,
        kind=Kind.DISTINCT,
        threshold=addresses,
        window_ms=window_ms,
        group_by=(SubjectKind.KEY,),
        shared_from=0,
    )


def keys_in_use(look: Look, site: Surroundings, rule: Rule) -> Iterable[Verdict]:
    """A verdict for each key in the record of an accepted request, its value the address."""
    event = look.event
    accepted = event.status < 400 if event.status is not None else event.outcome == "success"
    address = client_address(event.client_ip, event.forwarded_for, site.trusted) if accepted else None
    if address is None:
        return
    for secret in site.secrets.look(look.record, look.hits).secrets[:MOST_KEYS]:
        if is_kept_secret(secret, look.record):
            subject = f"{secret.kind}:{secret.fingerprint}"
            yield Verdict(
                rule, f"{secret.kind} in use from {address}", subject=subject, value=subject_of(address)
            )


def is_kept_secret(secret: Secret, record: bytes) -> bool:
    """Whether a credential is one that its owner would never share, so that a second address is news."""
    if secret.severity not in (Severity.CRITICAL, Severity.HIGH) or PASSED_ON.search(secret.kind):
        return False
    if secret.kind != QUERY_SECRET:
        return True
    before = record.partition(secret.text.encode("utf-8", "replace"))[0][-LONGEST_NAME:]
    return bool(_KEY_PARAMETER.search(before))
