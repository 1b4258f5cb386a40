"""What bouncers report of themselves: how much they dropped and let through, by origin and remediation.

Source: crowdsec, pkg/models (AllMetrics, RemediationComponentsMetrics), pkg/apiserver/controllers/v1/usagemetrics.go.
"""

import math
from collections.abc import Mapping

import msgspec

GAUGES = frozenset({"active_decisions"})
"""These are not added up: each report says the whole."""
MOST_ITEMS = 5000
LONGEST_WORD = 80


class UsageItem(msgspec.Struct, frozen=True):
    """One number, such as packets dropped."""

    name: str
    value: float
    unit: str | None = None
    labels: dict[str, str | None] | None = None


class Window(msgspec.Struct, frozen=True):
    """The time that the numbers are of."""

    window_size_seconds: int | None = None
    utc_now_timestamp: int | None = None


class Report(msgspec.Struct, frozen=True):
    """The numbers of one time."""

    meta: Window = Window()
    items: list[UsageItem] | None = None


class Component(msgspec.Struct, frozen=True):
    """A bouncer about itself."""

    version: str = ""
    utc_startup_timestamp: int = 0
    type: str = ""
    name: str = ""
    metrics: list[Report] | None = None


class Body(msgspec.Struct, frozen=True):
    """What is posted to `/v1/usage-metrics`."""

    remediation_components: list[Component] | None = None
    log_processors: list[msgspec.Raw] | None = None


class UsageError(ValueError):
    """The report cannot be taken. `status`: as upstream answers it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


_decoder = msgspec.json.Decoder(Body)


def read_usage(body: bytes) -> Body:
    """A report. Raises: UsageError 400 where it is no JSON or names nobody, 422 where a member is of another kind."""
    try:
        found = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise UsageError(f"validation failure list:\n{error}", 422) from error
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise UsageError(f"invalid body: {error}", 400) from error
    if not found.remediation_components and not found.log_processors:
        raise UsageError("Missing remediation component data", 400)
    return found


class Sums(msgspec.Struct, frozen=True):
    """A report by `NAME UNIT ORIGIN REMEDIATION IP_TYPE`."""

    added: dict[str, float]
    """To what was reported before."""
    levels: dict[str, float]
    """In place of what was reported before."""
    window_s: int | None
    """The time that is covered."""


def sums_of(body: Body) -> Sums:
    """What a report says."""
    added: dict[str, float] = {}
    levels: dict[str, float] = {}
    window_s: int | None = None
    for component in body.remediation_components or ():
        for report in component.metrics or ():
            window_s = report.meta.window_size_seconds or window_s
            for item in (report.items or ())[:MOST_ITEMS]:
                if not math.isfinite(item.value):
                    continue
                name = _name_of(item)
                if item.name in GAUGES:
                    levels[name] = item.value
                else:
                    added[name] = added.get(name, 0.0) + item.value
    return Sums(added, levels, window_s)


def _name_of(item: UsageItem) -> str:
    labels: Mapping[str, str | None] = item.labels or {}
    words = (item.name, item.unit, *(labels.get(name) for name in ("origin", "remediation", "ip_type")))
    return " ".join("_".join((word or "").split())[:LONGEST_WORD] or "-" for word in words)
