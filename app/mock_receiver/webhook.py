"""The rules of our own signed webhook, as docs/channels.md states them to those who receive it."""

import hmac
from collections.abc import Mapping, Sequence

from actions.channels.webhook import DELIVERY, LONGEST_AGE_S, SIGNATURE, TIMESTAMP, signature
from app.mock_receiver.verdict import Verdict, decoded


class Webhook:
    """One endpoint that checks signatures and knows what it has had."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """`secrets`: those that are believed; none: signatures are not checked."""
        self._secrets = [secret.encode() for secret in secrets if secret]
        self._deliveries: set[str] = set()

    def take(self, body: bytes, headers: Mapping[str, str], now: int) -> Verdict:
        """One delivery: 401 where its signature is not right or too old. `now`: epoch ms."""
        verdict = Verdict(answer="")
        self._check_signature(body, headers, now, verdict)
        if verdict.violations:
            verdict.status, verdict.answer = 401, verdict.violations[0]
            return verdict
        found = decoded(body, verdict)
        delivery = headers.get(DELIVERY, "")
        if delivery != found.get("id"):
            verdict.violations.append(f"{DELIVERY}: must be the body's id")
        if not isinstance(found.get("messages"), list) or not found["messages"]:
            verdict.violations.append("messages: must be a list, and not empty")
        if delivery in self._deliveries:
            verdict.notes.append(f"delivery {delivery} has been here before")
        self._deliveries.add(delivery)
        verdict.summary = str(found.get("headline", ""))
        if verdict.violations:
            verdict.status, verdict.answer = 400, verdict.violations[0]
        return verdict

    def _check_signature(self, body: bytes, headers: Mapping[str, str], now: int, verdict: Verdict) -> None:
        timestamp = headers.get(TIMESTAMP, "")
        if not (timestamp.isascii() and timestamp.isdecimal()) or len(timestamp) > 12:
            verdict.violations.append(f"{TIMESTAMP}: must be epoch seconds")
            return
        if abs(now / 1000 - int(timestamp)) > LONGEST_AGE_S:
            verdict.violations.append(f"{TIMESTAMP}: more than {LONGEST_AGE_S} s away from now")
        if not self._secrets:
            verdict.notes.append("signature not checked: start with --secret")
            return
        given = headers.get(SIGNATURE, "").split(",")
        known = [signature(secret, timestamp, body) for secret in self._secrets]
        if not any(hmac.compare_digest(one.encode(), ours.encode()) for one in given for ours in known):
            verdict.violations.append(f"{SIGNATURE}: is not that of a known secret")
