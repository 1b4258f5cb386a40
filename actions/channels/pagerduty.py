"""PagerDuty: the Events API v2. One alert an incident, acknowledged and resolved with it.

Source: https://developer.pagerduty.com/docs/events-api-v2-overview
"""

import hashlib
from collections.abc import Mapping

import msgspec

from actions.channels.plain import one_line
from actions.channels.settings import PagerDutySeverity
from actions.channels.wire import Wire
from actions.channels.wording import IncidentUrl, Wording, worded
from actions.delivery.message import ENDING, Letter, Message, MessageKind, Rate
from actions.incidents.incident import Incident
from actions.incidents.status import IncidentStatus
from detectors.finding import Priority, Severity
from detectors.timestamps import to_rfc3339

LARGEST_BYTES = 500_000
"""A request may have 512 KB."""
LONGEST_SUMMARY = 1_024
LONGEST_SOURCE = 255
LONGEST_DETAIL = 2_000
EVIDENCE_SHOWN = 5
MOST_LINKS = 10
TRIGGER, ACKNOWLEDGE, RESOLVE = "trigger", "acknowledge", "resolve"
ACKNOWLEDGING = frozenset({MessageKind.ACKNOWLEDGED, MessageKind.MITIGATED})


class PagerDutyChannel:
    """Tells one integration; needs no references, because an alert is known by its incident."""

    type = "pagerduty"
    groups = False
    rate: Rate | None = None

    def __init__(
        self,
        name: str,
        wire: Wire,
        base_url: str,
        routing_key: str,
        incident_url: IncidentUrl,
        severities: Mapping[Priority, PagerDutySeverity],
    ) -> None:
        """`routing_key`: a secret that `wire` knows."""
        self.name = name
        self._wire = wire
        self._url = f"{base_url.rstrip('/')}/v2/enqueue"
        self._key = routing_key
        self._incident_url = incident_url
        self._severities = severities

    async def send(self, letter: Letter) -> str:
        """One event; one for each incident where several have been acknowledged or are over. Raises: DeliveryError."""
        for event in self._events(letter):
            await self._wire.post(self._url, encoded({"routing_key": self._key, **event}))
        return ""

    def _events(self, letter: Letter) -> list[dict[str, object]]:
        newest: dict[str, Message] = {}
        for message in letter.messages:
            newest[dedup_key(message, letter)] = message
        events: list[dict[str, object]] = [
            {"event_action": action, "dedup_key": key}
            for key, message in newest.items()
            if (action := action_of(message)) in (ACKNOWLEDGE, RESOLVE)
        ]
        pages = [message for message in newest.values() if self._pages(message, letter.incident)]
        if pages:
            said = worded(msgspec.structs.replace(letter, messages=tuple(pages)), self._incident_url)
            key = dedup_key(pages[0], letter) if len(pages) == 1 else f"bartizan:group:{_short(letter.id)}"
            events.append(self._trigger(key, said, pages[-1], letter.incident))
            if pages[-1].kind is MessageKind.REOPENED and _is_in_hand(letter.incident):
                events.append({"event_action": ACKNOWLEDGE, "dedup_key": key})
            if pages[-1].kind is MessageKind.TEST:
                events.append({"event_action": RESOLVE, "dedup_key": key})
        return events

    def _pages(self, message: Message, incident: Incident | None) -> bool:
        """Whether it opens an alert: not where nobody needs to wake up, and never once the incident is over."""
        if action_of(message) != TRIGGER:
            return False
        if message.kind is MessageKind.NOTICE:
            return message.severity is not Severity.LOW
        return incident is None or incident.is_open

    def _trigger(
        self, key: str, said: Wording, message: Message, incident: Incident | None
    ) -> dict[str, object]:
        severity = self._severities[said.priority]
        if said.kind in (MessageKind.NOTICE, MessageKind.TEST):
            severity = (
                PagerDutySeverity.WARNING if said.kind is MessageKind.NOTICE else PagerDutySeverity.INFO
            )
        event: dict[str, object] = {
            "event_action": TRIGGER,
            "dedup_key": key,
            "client": "Bartizan",
            "links": [{"href": link.href, "text": link.text} for link in said.links[:MOST_LINKS]],
            "payload": {
                "summary": one_line(said.headline, LONGEST_SUMMARY),
                "source": one_line(message.subject, LONGEST_SOURCE) or "bartizan",
                "severity": severity.value,
                "timestamp": to_rfc3339(said.at),
                "class": one_line(message.rule, LONGEST_SOURCE) or said.kind.value,
                "custom_details": _details(said, incident),
            },
        }
        if said.links:
            event["client_url"] = said.links[0].href
        return event


def action_of(message: Message) -> str:
    """trigger, acknowledge or resolve; nothing for what PagerDuty has no use for."""
    if message.kind is MessageKind.DIGEST:
        return ""
    if message.kind in ACKNOWLEDGING:
        return ACKNOWLEDGE
    return RESOLVE if message.kind in ENDING else TRIGGER


def dedup_key(message: Message, letter: Letter) -> str:
    """What all events of one alert have in common. A reopened incident is another alert: the old one stays resolved."""
    if message.incident_id:
        return f"bartizan:{message.incident_id}" + (f":{message.episode}" if message.episode else "")
    if message.kind is MessageKind.TEST:
        return f"bartizan:test:{_short(letter.id)}"
    return f"bartizan:notice:{_short(message.title)}"


def encoded(event: dict[str, object]) -> bytes:
    """The request; without details where it would be larger than PagerDuty takes."""
    body = msgspec.json.encode(event)
    payload = event.get("payload")
    if len(body) > LARGEST_BYTES and isinstance(payload, dict):
        shorter = {**payload, "custom_details": {"Note": "too large to send; see the incident"}}
        body = msgspec.json.encode({**event, "payload": shorter})
    return body


def _details(said: Wording, incident: Incident | None) -> dict[str, str]:
    found = {fact.name: fact.value for fact in said.facts}
    found["Why"] = said.text
    if incident is not None:
        named = ", ".join(f"{entity.type} {entity.value}" for entity in incident.entities)
        found["Entities"] = one_line(named, LONGEST_DETAIL)
        for number, evidence in enumerate(incident.evidence[:EVIDENCE_SHOWN], 1):
            words = (evidence.matched, evidence.method, evidence.path, evidence.user, evidence.user_agent)
            found[f"Evidence {number}"] = one_line(" | ".join(filter(None, words)), LONGEST_DETAIL)
        found["References"] = ", ".join(incident.references)
    return {name: value for name, value in found.items() if value}


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _is_in_hand(incident: Incident | None) -> bool:
    """Whether somebody has it already, so that its alert pages nobody for long."""
    return incident is not None and incident.is_open and incident.status != IncidentStatus.TRIGGERED
