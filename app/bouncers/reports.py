"""What becomes of a sensor's alert: a finding, and so an incident, a block and messages as the policy says.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:alert:SHA` | string | 1 day | one per alert |
"""

from collections.abc import Callable

import msgspec

from actions.storage import DAY_MS, Client, act_key, storage_errors
from app.bouncers.alert import Alert, AlertEvent
from app.bouncers.durations import parse_go_duration
from app.policies.policy import Policy
from detectors.addresses import parse_address, subject_of
from detectors.defaults import DEFAULTS
from detectors.finding import Action, Evidence, Mode, SubjectKind
from detectors.redact import SecretFinder
from detectors.rule import Rule
from detectors.timestamps import parse_time
from detectors.windows import Told, Windows

RULE = "crowdsec_alert"
MOST_EVIDENCE = 10
FIELD_CHARACTERS = 200
RECORD_CHARACTERS = 512
DONE_MS = DAY_MS
"""An agent sends again what it had no answer to, for as long as it runs."""
_USERS = frozenset({"user", "username"})


def alert_key(digest: str) -> str:
    """That an alert was told."""
    return act_key("alert", digest)


class Reports:
    """Tells the responder of alerts. One per process."""

    def __init__(
        self,
        redis: Client,
        windows: Windows,
        policy: Callable[[], Policy],
        secrets: Callable[[], SecretFinder],
        now: Callable[[], int],
    ) -> None:
        self._redis = redis
        self._windows = windows
        self._policy = policy
        self._secrets = secrets
        self._now = now

    async def tell(self, alert: Alert, sensor: str) -> bool:
        """Puts an alert on the findings stream; says whether it was new. `sensor`: who sent it.

        It is marked afterwards: after a crash in between it is told again, and joins the incident that it opened.
        Raises: StorageError.
        """
        key = alert_key(alert.digest(sensor))
        with storage_errors("reading an alert's mark"):
            if await self._redis.exists(key):
                return False
        await self._windows.report(self._rule(alert), subject_in(alert), told=self._told(alert, sensor))
        with storage_errors("marking an alert"):
            await self._redis.set(key, b"1", px=DONE_MS)
        return True

    def _rule(self, alert: Alert) -> Rule:
        """The policy's rule, which is on where the policy does not name it: who sends alerts was given a token."""
        rule = self._policy().rule(RULE) or DEFAULTS[RULE]
        kind = _kind_of(alert)
        changes: dict[str, object] = {"group_by": (kind,)}
        if alert.simulated:
            changes["mode"] = Mode.OBSERVE
        if alert.decisions:
            changes["actions"] = tuple(dict.fromkeys((Action.BLOCK_IP, *rule.actions)))
            duration_ms = _duration_ms(alert)
            if duration_ms is not None:
                changes |= {
                    "duration_ms": duration_ms,
                    "max_duration_ms": max(duration_ms, rule.max_duration_ms),
                }
        return msgspec.structs.replace(rule, **changes)

    def _told(self, alert: Alert, sensor: str) -> Told:
        now = self._now()
        last = min(parse_time(alert.stop_at) or now, now)
        first = min(parse_time(alert.start_at) or last, last)
        events = alert.events[-MOST_EVIDENCE:]
        evidence = [self._evidence(alert, event, sensor, now) for event in events]
        if not evidence:
            evidence = [Evidence(last, now, self._matched(alert, sensor), client_ip=_address_of(alert))]
        return Told(first_at=first, at=last, count=max(1, alert.events_count), evidence=tuple(evidence))

    def _evidence(self, alert: Alert, event: AlertEvent, sensor: str, now: int) -> Evidence:
        fields = event.fields()
        status = fields.get("http_status", "")
        return Evidence(
            at=min(parse_time(event.timestamp) or now, now),
            received_at=now,
            matched=self._matched(alert, sensor),
            client_ip=parse_address(fields.get("source_ip")) or _address_of(alert),
            method=self._text(fields.get("http_verb")),
            path=self._text(fields.get("http_path")),
            status=int(status) if status.isascii() and status.isdecimal() and len(status) == 3 else None,
            user=self._text(fields.get("username") or fields.get("target_user")),
            user_agent=self._text(fields.get("http_user_agent")),
            host=self._text(fields.get("target_fqdn") or fields.get("machine")),
            record=self._text(msgspec.json.encode(fields).decode(), RECORD_CHARACTERS) or "",
        )

    def _matched(self, alert: Alert, sensor: str) -> str:
        return self._text(f"{alert.scenario} ({sensor}): {alert.message}") or ""

    def _text(self, text: str | None, most: int = FIELD_CHARACTERS) -> str | None:
        """As it may be kept: without credentials, then cut."""
        return (self._secrets().redact(text) or "")[:most] if text else None


def subject_in(alert: Alert) -> str:
    """Whom the finding is about: the address (of IPv6 its /64), the network, the user."""
    address = _address_of(alert)
    if address is not None and alert.source.scope.lower() != "range":
        return subject_of(address)
    return alert.source.value[:256] or "unknown"


def _kind_of(alert: Alert) -> SubjectKind:
    scope = alert.source.scope.lower()
    if scope in ("ip", "range"):
        return SubjectKind.IP
    return SubjectKind.USER if scope in _USERS else SubjectKind.HOST


def _address_of(alert: Alert) -> str | None:
    if alert.source.scope.lower() not in ("ip", "range"):
        return None
    return parse_address(alert.source.ip or "") or parse_address(alert.source.value.partition("/")[0])


def _duration_ms(alert: Alert) -> int | None:
    for decision in alert.decisions or ():
        try:
            duration_ms = parse_go_duration(decision.duration)
        except ValueError:
            continue
        if duration_ms > 0:
            return duration_ms
    return None
