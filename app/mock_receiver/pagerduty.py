"""The rules of PagerDuty's Events API v2.

Source: https://developer.pagerduty.com/docs/send-alert-event, .../docs/events-api-v2-overview
"""

import re
from typing import Any

from app.mock_receiver.verdict import Verdict, decoded
from detectors.timestamps import parse_time

LARGEST_BYTES = 512 * 1024
LONGEST_SUMMARY, LONGEST_KEY = 1_024, 255
MOST_LINKS = 100
RATES = ((120, 60_000),)
ACTIONS = ("trigger", "acknowledge", "resolve")
_TOP = frozenset(
    {"routing_key", "event_action", "dedup_key", "payload", "links", "images", "client", "client_url"}
)
_PAYLOAD = frozenset(
    {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}
)
_ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")


class PagerDuty:
    """One account: which alerts are open."""

    def __init__(self) -> None:
        self.alerts: dict[str, str] = {}
        """`dedup_key` -> the last action."""

    def take(self, body: bytes) -> Verdict:
        """One event. A wrong one changes nothing."""
        verdict = Verdict(status=202)
        if len(body) > LARGEST_BYTES:
            verdict.violations.append(f"body: {len(body):,} bytes, at most {LARGEST_BYTES:,}")
            return _refused(verdict, 413)
        event = decoded(body, verdict)
        if not verdict.violations:
            self._check(event, verdict)
        if verdict.violations:
            return _refused(verdict, 400)
        self._apply(event, verdict)
        return verdict

    def _check(self, event: dict[str, Any], verdict: Verdict) -> None:
        verdict.known("", event, _TOP)
        action = event.get("event_action")
        if action not in ACTIONS:
            verdict.violations.append("event_action: must be trigger, acknowledge or resolve")
        if not _ROUTING_KEY.fullmatch(str(event.get("routing_key", ""))):
            verdict.violations.append("routing_key: must have 32 letters and digits")
        verdict.text("dedup_key", event.get("dedup_key"), LONGEST_KEY, needed=action != "trigger")
        for link in verdict.items("links", event.get("links"), MOST_LINKS):
            verdict.link("links.href", link.get("href"))
        if event.get("client_url") is not None:
            verdict.link("client_url", event["client_url"])
        if action == "trigger":
            self._check_payload(event.get("payload"), verdict)

    def _check_payload(self, payload: Any, verdict: Verdict) -> None:
        if not isinstance(payload, dict):
            verdict.violations.append("payload: a trigger needs one")
            return
        verdict.known("payload.", payload, _PAYLOAD)
        verdict.summary = verdict.text("payload.summary", payload.get("summary"), LONGEST_SUMMARY)
        verdict.text("payload.source", payload.get("source"), LONGEST_SUMMARY)
        if payload.get("severity") not in ("critical", "error", "warning", "info"):
            verdict.violations.append("payload.severity: must be critical, error, warning or info")
        if "timestamp" in payload and parse_time(payload["timestamp"]) is None:
            verdict.violations.append("payload.timestamp: is no ISO 8601 time")
        if not isinstance(payload.get("custom_details", {}), dict):
            verdict.violations.append("payload.custom_details: must be an object")

    def _apply(self, event: dict[str, Any], verdict: Verdict) -> None:
        action, key = event["event_action"], event.get("dedup_key") or f"made-{len(self.alerts)}"
        before = self.alerts.get(key)
        is_open = before in ("trigger", "acknowledge")
        verdict.summary = f"{action} {key} {verdict.summary}".strip()
        if action == "trigger" and before == "resolve":
            verdict.violations.append(f"dedup_key {key}: a trigger after its resolve opens a second alert")
        if action != "trigger" and not is_open:
            verdict.notes.append(f"dedup_key {key}: no open alert, dropped silently")
        elif not (action == "trigger" and before == "acknowledge"):
            self.alerts[key] = action
        verdict.answer = {"status": "success", "message": "Event processed", "dedup_key": key}


def _refused(verdict: Verdict, status: int) -> Verdict:
    verdict.status = status
    verdict.answer = {
        "status": "invalid event",
        "message": "Event object is invalid",
        "errors": verdict.violations,
    }
    return verdict
