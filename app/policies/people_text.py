"""What a policy asks of people and tells them, in sentences: grades, escalation, channels, routes, digests, checks."""

from collections.abc import Iterator

from actions.delivery.routing import Route, Timing
from actions.digests.periods import Schedule
from actions.incidents.response_plan import Grade, Level
from app.durations import format_duration
from app.policies.health import HealthCheck
from app.policies.policy import Policy

BY_THE_DOCUMENT = "as the operator's document says, by each channel's type"


def people_text(policy: Policy) -> dict[str, tuple[str, ...]]:
    """The sentences by the policy's key; no secret and no address of a channel is in them."""
    plan = policy.plan
    subjects, window = plan.campaign.subjects, format_duration(plan.campaign.window_ms)
    return {
        "priorities": tuple(_grade_text(grade) for grade in plan.grades),
        "escalation": tuple(_level_text(level) for level in plan.levels),
        "campaigns": (f"{subjects} subjects of one rule within {window}",),
        "auto_resolve": tuple(
            f"{rule}: after {format_duration(ms)} without news" for rule, ms in plan.quiet_ms.items()
        ),
        "health_check": tuple(_check_text(check) for check in policy.health_checks),
        "channels": tuple(f"{channel.name}: {channel.type}" for channel in policy.channels),
        "routes": _routes_text(policy),
        "delivery": (_timing_text(policy.delivery),),
        "digests": tuple(_digest_text(one, policy.digests.timezone) for one in policy.digests.schedules),
    }


def _grade_text(grade: Grade) -> str:
    escalates = "at once" if grade.is_immediate else f"after {format_duration(grade.escalation_ms)}"
    answered = f"acknowledged within {format_duration(grade.response_ms)}"
    return f"{grade.priority} {grade.name} ({grade.severity}): {answered}, escalates {escalates}"


def _level_text(level: Level) -> str:
    to = f"on {', '.join(level.channels)}" if level.channels else "where the routes lead"
    return f"level {level.number}, {level.name}: {format_duration(level.after_ms)}, {to}"


def _timing_text(timing: Timing) -> str:
    wait = f"waits {format_duration(timing.group_wait_ms)}" if timing.group_wait_ms else "does not wait"
    following, again = format_duration(timing.group_interval_ms), format_duration(timing.repeat_interval_ms)
    return f"{wait} for others of its rule, the next letter after {following}, told again after {again}"


def _routes_text(policy: Policy) -> tuple[str, ...]:
    if not policy.channels:
        return ("only the service's own log: the policy names no channels",)
    if policy.routes is None:
        return (BY_THE_DOCUMENT,)
    return tuple(_route_text(route) for route in policy.routes)


def _route_text(route: Route) -> str:
    words = list(_narrowed(route))
    when = route.when.value.replace("_", " ")
    goes_on = ", then the next" if route.goes_on else ""
    to = ", ".join(route.channels) or "nobody"
    return f"{'; '.join(words) or 'everything'}: {to}, {when}{goes_on}"


def _narrowed(route: Route) -> Iterator[str]:
    if route.severity:
        yield ", ".join(sorted(severity.value for severity in route.severity))
    if route.rule:
        yield ", ".join(sorted(route.rule))
    if route.area is not None:
        yield f"about {route.area}"
    if route.kind:
        yield ", ".join(sorted(kind.value for kind in route.kind))


def _check_text(check: HealthCheck) -> str:
    every, timeout = format_duration(check.interval_ms), format_duration(check.timeout_ms)
    if not check.is_polled:
        return f"{check.path}: watched in the logs"
    return f"{check.method} of {check.path}: every {every}, timeout {timeout}, {check.retries} retries"


def _digest_text(schedule: Schedule, timezone: str) -> str:
    at = f"{schedule.at_minute // 60:02d}:{schedule.at_minute % 60:02d}"
    to = f"to {', '.join(schedule.channels)}" if schedule.channels else "where the routes lead"
    return f"{schedule.rhythm} at {at} {timezone}, {to}"
