"""A webhook of the operator's own: JSON, signed, for whatever we have no channel for.

The signature is HMAC-SHA256 over `timestamp.body`, as of Stripe and Slack: it says who sent it, and the timestamp in it
that nobody has kept it and sends it again.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actions.channels.plain import fitted
from actions.channels.wire import Wire
from actions.channels.wording import IncidentUrl, worded
from actions.delivery.message import Letter, Rate

TIMESTAMP, SIGNATURE, DELIVERY = "Bartizan-Timestamp", "Bartizan-Signature", "Bartizan-Delivery"
LONGEST_AGE_S = 300
"""Older deliveries are refused: clocks differ, and a retried delivery is signed anew."""
LONGEST_TEXT = 10_000
MOST_MESSAGES = 100
SHORTEST_SECRET = 16


class WebhookChannel:
    """Tells one endpoint."""

    type = "webhook"
    groups = True
    rate: Rate | None = None

    def __init__(
        self,
        name: str,
        wire: Wire,
        url: str,
        secrets: Sequence[str],
        incident_url: IncidentUrl,
        now: Callable[[], int],
    ) -> None:
        """`secrets`: one, or two while the receiver changes from one to the other. `now`: epoch ms."""
        self.name = name
        self._wire = wire
        self._url = url
        self._secrets = [secret.encode() for secret in secrets]
        self._incident_url = incident_url
        self._now = now

    async def send(self, letter: Letter) -> str:
        """One signed POST. Raises: DeliveryError."""
        body = msgspec.json.encode(webhook_body(letter, self._incident_url))
        timestamp = str(self._now() // 1000)
        headers = {
            TIMESTAMP: timestamp,
            SIGNATURE: ",".join(signature(secret, timestamp, body) for secret in self._secrets),
            DELIVERY: letter.id,
        }
        await self._wire.post(self._url, body, headers)
        return ""


INCIDENT_FIELDS = (
    *("id", "rule", "title", "why", "severity", "priority", "status", "subject", "entities"),
    *("event_count", "finding_count", "first_seen", "last_seen", "triggered_at", "acknowledged_at"),
    *("acknowledged_by", "mitigated_at", "resolved_at", "closed_at", "verdict", "members", "merged_into"),
    *("lead", "escalation_level", "ack_due_at", "escalate_at", "version"),
)
"""What a receiver is told of an incident; all of them are always there. Times are epoch milliseconds."""


def webhook_body(letter: Letter, incident_url: IncidentUrl) -> dict[str, Any]:
    """What is sent. Texts are as they were logged, not escaped: the receiver does that for where it shows them."""
    said = worded(letter, incident_url)
    messages = [msgspec.to_builtins(message) for message in letter.messages[-MOST_MESSAGES:]]
    for message in messages:
        message["text"] = fitted(message["text"], LONGEST_TEXT)
        for ours in ("channels", "also", "html", "immediate"):
            message.pop(ours)
        message["url"] = incident_url(message["incident_id"]) if message["incident_id"] else ""
    incident = None
    if letter.incident is not None:
        incident = {name: msgspec.to_builtins(getattr(letter.incident, name)) for name in INCIDENT_FIELDS}
    return {"id": letter.id, "headline": said.headline, "messages": messages, "incident": incident}


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """`v1=` and the hexadecimal HMAC-SHA256 of `timestamp.body`. `timestamp`: epoch seconds."""
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
