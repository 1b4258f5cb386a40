"""`health_check:` of the policy: what to poll, or what to watch in the logs. docs/policy.md explains every key."""

import enum
from dataclasses import dataclass

import httpx
import msgspec

from app.durations import parse_duration
from app.policies.nodes import Value
from detectors.rule import Rule

KEYS = frozenset(
    {
        *("endpoint", "base_url", "method", "expect_status", "expect_body", "interval", "timeout", "retries"),
        *("alert_threshold", "success_threshold"),
    }
)
FINE = ((200, 399),)
MOST_CHECKS = 50
LONGEST_BODY_TEXT = 200


class Method(enum.StrEnum):
    """How a check asks."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    OPTIONS = "OPTIONS"


@dataclass(frozen=True)
class HealthCheck:
    """What to poll, or (a path alone) what to watch in the logs."""

    endpoint: str
    """A path, or a whole address."""
    interval_ms: int = 60_000
    timeout_ms: int = 10_000
    retries: int = 3
    alert_threshold: int | None = None
    """Checks in a row that fail before the rule health_check_failure fires; None: the rule's own."""
    success_threshold: int | None = None
    """Checks in a row that pass before it is over; None: the rule's own."""
    base_url: str = ""
    """Before a path: then it is polled."""
    method: Method = Method.GET
    expect_status: tuple[tuple[int, int], ...] = FINE
    """The lowest and highest status of each range that is well."""
    expect_body: str = ""
    """What must stand in the beginning of the answer; empty: nothing need."""

    @property
    def url(self) -> str:
        """What is asked; a path alone where nothing is."""
        return self.base_url.rstrip("/") + self.endpoint

    @property
    def is_polled(self) -> bool:
        """Whether it is a whole address; a path alone is only watched in the logs."""
        return not self.url.startswith("/")

    @property
    def path(self) -> str:
        """The path that is asked, without a query."""
        return httpx.URL(self.url).path if self.is_polled else self.endpoint

    def is_fine(self, status: int) -> bool:
        """Whether this is an answer of a service that is well."""
        return any(low <= status <= high for low, high in self.expect_status)


def read_health_checks(value: Value) -> tuple[HealthCheck, ...]:
    """One check, or a list of them. Raises: ConfigError on the line of the key that is wrong."""
    entries = value.listed() if value.is_list else [value]
    if not 1 <= len(entries) <= MOST_CHECKS:
        value.fail(f"1 to {MOST_CHECKS} checks")
    found: list[HealthCheck] = []
    for entry in entries:
        check = _read(entry)
        if any(known.url == check.url for known in found):
            entry.fail(f"{check.url} is checked already")
        for key in ("alert_threshold", "success_threshold"):
            stated = {getattr(known, key) for known in (*found, check)} - {None}
            if len(stated) > 1:
                entry.fail(f"{key} is the rule health_check_failure's, the same for all checks")
        found.append(check)
    return tuple(found)


def with_thresholds(rule: Rule, checks: tuple[HealthCheck, ...]) -> Rule:
    """The rule health_check_failure with what the checks say of its end."""
    stated = [check.success_threshold for check in checks if check.success_threshold is not None]
    return msgspec.structs.replace(rule, recovers=stated[0]) if stated else rule


def alert_threshold_of(checks: tuple[HealthCheck, ...]) -> int | None:
    """The threshold at which the checks turn the rule on; None where they do not."""
    return next((c.alert_threshold for c in checks if c.alert_threshold is not None), None)


def watched_paths(
    checks: tuple[HealthCheck, ...], stated: tuple[str, ...] | None, own: tuple[str, ...]
) -> tuple[str, ...]:
    """The health paths that count in the logs: those stated, or our own and those of the checks that are watched.

    A path that is polled is not watched as well, unless the policy states it: the service logs our own questions.
    """
    polled = {check.path for check in checks if check.is_polled}
    paths = [path for path in own if path not in polled] if stated is None else list(stated)
    return tuple(dict.fromkeys([*paths, *(check.path for check in checks if not check.is_polled)]))


def _read(value: Value) -> HealthCheck:
    members = value.members(KEYS)
    if "endpoint" not in members:
        value.fail("needs an endpoint: a path such as /api/health, or a whole address to poll")
    endpoint = members["endpoint"].text()
    if not endpoint.startswith(("/", "http://", "https://")):
        members["endpoint"].fail(f"{endpoint!r} is neither a path nor an http address")
    base_url = ""
    if "base_url" in members:
        base_url = members["base_url"].text()
        if not endpoint.startswith("/"):
            members["base_url"].fail("the endpoint is a whole address already")
        if not base_url.startswith(("http://", "https://")) or "?" in base_url or "#" in base_url:
            members["base_url"].fail(f"{base_url!r} is not an http address such as https://api.example.com")

    def duration(key: str, default: int) -> int:
        return members[key].parse(parse_duration) if key in members else default

    def number(key: str, low: int, high: int, default: int | None) -> int | None:
        return members[key].integer(low, high) if key in members else default

    check = HealthCheck(
        endpoint,
        interval_ms=duration("interval", HealthCheck.interval_ms),
        timeout_ms=duration("timeout", HealthCheck.timeout_ms),
        retries=number("retries", 0, 20, HealthCheck.retries) or 0,
        alert_threshold=number("alert_threshold", 1, 10_000, None),
        success_threshold=number("success_threshold", 1, 1_000, None),
        base_url=base_url,
        method=members["method"].choice(Method) if "method" in members else Method.GET,
        expect_status=_statuses(members["expect_status"]) if "expect_status" in members else FINE,
        expect_body=_body(members["expect_body"]) if "expect_body" in members else "",
    )
    _must_agree(check, members, value)
    return check


def _must_agree(check: HealthCheck, members: dict[str, Value], value: Value) -> None:
    """Refuses what cannot be done together. Raises: ConfigError."""
    if check.timeout_ms > check.interval_ms:
        members.get("timeout", value).fail("must not be longer than the interval")
    if not check.is_polled:
        for key in ("method", "expect_status", "expect_body"):
            if key in members:
                members[key].fail("only what is polled is asked: name a whole address or a base_url")
        return
    if check.expect_body and check.method is Method.HEAD:
        members["expect_body"].fail("an answer to HEAD has no body")
    try:
        host = httpx.URL(check.url).host
    except httpx.InvalidURL as error:
        members["endpoint"].fail(f"{check.url!r} is no address: {error}")
    if not host:
        members["endpoint"].fail(f"{check.url!r} names no host")


def _statuses(value: Value) -> tuple[tuple[int, int], ...]:
    return tuple(entry.parse(_status) for entry in value.each())


def _status(text: str) -> tuple[int, int]:
    """`200`, `2xx` or `200-204`. Raises: ValueError."""
    low, dash, high = text.lower().partition("-")
    if not dash and len(low) == 3 and low[1:] == "xx":
        low, high = f"{low[0]}00", f"{low[0]}99"
    elif not dash:
        high = low
    if not all(part.isdecimal() and len(part) == 3 for part in (low, high)) or not 100 <= int(low) <= int(
        high
    ):
        raise ValueError(f"{text!r} is no status; write 200, 2xx or 200-204")
    return int(low), int(high)


def _body(value: Value) -> str:
    text = value.verbatim()
    if len(text) > LONGEST_BODY_TEXT:
        value.fail(f"longer than {LONGEST_BODY_TEXT} characters")
    return text
