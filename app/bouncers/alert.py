"""An alert of CrowdSec's, as agents and `cscli` post it.

Source: crowdsec, pkg/models (Alert, Event, Source, Decision) and localapi_swagger.yaml for what is required.
"""

import hashlib
from typing import Any

import msgspec

from app.bouncers.access import RefusedError

MOST_ALERTS = 1000


class MetaItem(msgspec.Struct, frozen=True):
    """One field of an event, such as `source_ip`."""

    key: str = ""
    value: str = ""


class AlertEvent(msgspec.Struct, frozen=True):
    """One event that an alert was made of."""

    timestamp: str
    meta: list[MetaItem]

    def fields(self) -> dict[str, str]:
        """Its fields by name."""
        return {item.key: item.value for item in self.meta}


class Source(msgspec.Struct, frozen=True):
    """Who or what an alert is about."""

    scope: str
    value: str
    ip: str | None = None
    range: str | None = None


class AlertDecision(msgspec.Struct, frozen=True):
    """What is to become of somebody."""

    duration: str
    scope: str
    value: str
    type: str
    origin: str = "cscli"
    scenario: str = ""


class Alert(msgspec.Struct, frozen=True):
    """What a sensor found, or what a person wants. Members that we do not use are kept as they are."""

    scenario: str
    scenario_hash: str
    scenario_version: str
    message: str
    events_count: int
    start_at: str
    stop_at: str
    capacity: int
    leakspeed: str
    simulated: bool
    events: list[AlertEvent]
    source: Source
    decisions: list[AlertDecision] | None = None
    uuid: str | None = None
    labels: Any = None

    def digest(self, sensor: str) -> str:
        """The same for the same alert of one sensor."""
        source = self.source
        parts = (
            *(sensor, self.uuid, self.scenario, source.scope, source.value),
            *(self.start_at, self.stop_at, self.events_count, self.message),
        )
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


_decoder = msgspec.json.Decoder(list[Alert])


def read_alerts(body: bytes) -> list[Alert]:
    """The alerts of a body. Raises: RefusedError as upstream: 400 for no JSON, 500 where members are missing."""
    try:
        alerts = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RefusedError(500, f"validation failure list:\n{error}") from error
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise RefusedError(400, f"invalid body: {error}") from error
    if len(alerts) > MOST_ALERTS:
        raise RefusedError(413, f"{len(alerts)} alerts; {MOST_ALERTS} may be sent at once")
    return alerts
