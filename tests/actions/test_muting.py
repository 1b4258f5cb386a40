"""What is muted, by what, and what never is."""

from typing import Any

import pytest
from acting import ALICE, HOUR, MINUTE, NOON, Clock
from redis.asyncio import Redis

from actions.delivery.message import Message, MessageKind
from actions.quiet.area import Area, area_of
from actions.quiet.maintenance import Window
from actions.quiet.matchers import Matcher, MatchField, match, matchers_as_text
from actions.world import World
from detectors.errors import StorageError
from detectors.finding import PRIORITY_OF, Severity

START = NOON - NOON % HOUR
"""2026-11-18T11:00Z."""
OPEN = Window(name="monthly", duration_ms=4 * HOUR, starts=(START,))


def a_message(rule: str = "high_error_rate", **fields: Any) -> Message:
    severity = fields.setdefault("severity", Severity.HIGH)
    known: dict[str, Any] = {
        "kind": MessageKind.OPENED,
        "incident_id": "INC-2026-0001",
        "rule": rule,
        "subject": "api.example",
        "priority": PRIORITY_OF[severity],
        "title": "t",
        "text": "x",
        "at": NOON,
    }
    return Message(**(known | fields))


async def silence(world: World, **values: str) -> None:
    matchers = tuple(Matcher(field=MatchField(name), values=tuple(v.split())) for name, v in values.items())
    await world.silences.create(matchers, ALICE, "load test", ends_at=START + 3 * HOUR)


async def test_a_silence_is_named_with_its_author_end_and_reason(world: World, clock: Clock) -> None:
    await silence(world, rule="high_error_rate")
    said = await world.muting.muted_by(a_message(), clock())
    assert said == "silence SIL-0001 of alice until 2026-11-18T14:00Z: load test"
    assert await world.muting.muted_by(a_message("health_check_failure"), clock()) is None
    clock.forward(3 * HOUR)
    assert await world.muting.muted_by(a_message(), clock()) is None


async def test_a_silence_mutes_other_rules_too_where_a_person_says_so(world: World, clock: Clock) -> None:
    await silence(world, rule="auth_failures", subject="203.0.113.9 203.0.113.10")
    message = a_message("auth_failures", subject="203.0.113.9")
    assert "SIL-0001" in str(await world.muting.muted_by(message, clock()))
    other = a_message("auth_failures", subject="203.0.113.11")
    assert await world.muting.muted_by(other, clock()) is None


async def test_maintenance_mutes_the_health_of_the_service_and_nothing_else(
    world: World, clock: Clock
) -> None:
    world.maintenance.planned = (OPEN,)
    for rule in ("high_error_rate", "health_check_failure", "slow_responses"):
        said = await world.muting.muted_by(a_message(rule, severity=Severity.CRITICAL), clock())
        assert said == 'maintenance "monthly" until 2026-11-18T15:00Z'
    for rule in ("auth_failures", "api_key_exposure", "my_own_rule"):
        assert await world.muting.muted_by(a_message(rule), clock()) is None
    clock.forward(4 * HOUR)
    assert await world.muting.muted_by(a_message(), clock()) is None


async def test_an_announced_window_and_one_with_matchers_mute_what_they_name(
    world: World, clock: Clock
) -> None:
    host = Matcher(field=MatchField.HOST, values=("api.*",), glob=True)
    await world.maintenance.announce(
        "urgent", ALICE, "CVE", ends_at=START + 3 * HOUR + MINUTE + 1000, matchers=[host]
    )
    said = await world.muting.muted_by(a_message(), clock())
    assert said == 'maintenance "urgent" until 2026-11-18T14:01:01Z'
    assert await world.muting.muted_by(a_message(subject="www.example"), clock()) is None
    await world.maintenance.remove("MNT-0001", ALICE)
    assert await world.muting.muted_by(a_message(), clock()) is None


NEVER = [
    a_message("security_breach"),
    a_message("account_takeover"),
    a_message("leaked_key_in_use"),
    a_message("auth_failures", severity=Severity.CRITICAL),
    a_message("high_error_rate", immediate=True),
    a_message("auth_failures", immediate=True),
    a_message("auth_failures", severity=Severity.CRITICAL, kind=MessageKind.ESCALATED, level=2),
    a_message("security_breach", kind=MessageKind.OVERDUE),
    *(
        a_message("high_error_rate", kind=kind)
        for kind in (MessageKind.NOTICE, MessageKind.DIGEST, MessageKind.TEST)
    ),
]


@pytest.mark.parametrize("message", NEVER, ids=lambda m: f"{m.rule}-{m.severity}-{m.kind}-{m.immediate}")
async def test_a_breach_anything_immediate_and_a_critical_attack_are_never_muted(
    world: World, clock: Clock, message: Message
) -> None:
    await silence(world, subject="api.example")
    world.maintenance.planned = (OPEN,)
    assert await world.muting.muted_by(a_message("auth_failures"), clock()) is not None
    assert await world.muting.muted_by(message, clock()) is None


@pytest.mark.parametrize("kind", list(MessageKind))
async def test_who_was_told_learns_that_it_is_over(world: World, clock: Clock, kind: MessageKind) -> None:
    world.maintenance.planned = (OPEN,)
    is_muted = await world.muting.muted_by(a_message(kind=kind), clock()) is not None
    assert is_muted == (kind in {"opened", "update", "escalated", "overdue", "mitigated", "reopened"})


async def test_a_host_is_the_subject_of_a_rule_that_counts_by_host(world: World, clock: Clock) -> None:
    await silence(world, host="api.example")
    own = a_message("my_own_rule")
    assert await world.muting.muted_by(a_message(), clock()) is not None
    assert await world.muting.muted_by(own, clock()) is None
    world.muting.host_rules = {"my_own_rule"}
    assert await world.muting.muted_by(own, clock()) is not None


async def test_a_burst_of_messages_asks_redis_twice(world: World, clock: Clock, redis: Redis) -> None:
    await silence(world, rule="auth_failures")
    before = (await redis.info("commandstats")).get("cmdstat_hgetall", {"calls": 0})["calls"]
    for number in range(50):
        await world.muting.muted_by(a_message(subject=f"host-{number}"), clock())
    assert (await redis.info("commandstats"))["cmdstat_hgetall"]["calls"] - before == 2


async def test_without_redis_it_says_so() -> None:
    away = World.make(Redis(unix_socket_path="/nowhere.sock"), Clock())
    with pytest.raises(StorageError):
        await away.muting.muted_by(a_message(), NOON)


@pytest.mark.parametrize(
    ("field", "values", "glob", "matches"),
    [
        ("rule", ("high_error_rate",), False, True),
        ("rule", ("high_error_rat", "high_error_rate_"), False, False),
        ("rule", ("high_*",), False, False),
        ("rule", ("high_*",), True, True),
        ("subject", ("API.example",), False, False),
        ("subject", ("*.example", "x"), True, True),
        ("subject", ("ap?.example",), True, True),
        ("severity", ("low", "high"), False, True),
        ("priority", ("P1",), False, True),
        ("priority", ("P2",), False, False),
        ("host", ("api.example",), False, True),
        ("area", ("service",), False, True),
        ("area", ("security",), False, False),
    ],
)
def test_a_matcher_holds_for_equal_values_and_patterns(
    field: str, values: tuple[str, ...], glob: bool, matches: bool
) -> None:
    matcher = Matcher(field=MatchField(field), values=values, glob=glob)
    assert match([matcher], a_message(), {"high_error_rate"}) == matches


def test_all_matchers_have_to_hold() -> None:
    rule = Matcher(field=MatchField.RULE, values=("high_error_rate",))
    low = Matcher(field=MatchField.SEVERITY, values=("low",))
    assert not match([rule, low], a_message(), ())
    assert matchers_as_text([rule, low]) == "rule=high_error_rate severity=low"


def test_a_pattern_made_to_be_slow_is_not() -> None:
    matcher = Matcher(field=MatchField.SUBJECT, values=("*a" * 100 + "b",), glob=True)
    assert not match([matcher], a_message(subject="a" * 300), ())


def test_three_rules_are_about_the_service() -> None:
    assert [area_of(rule) for rule in ("slow_responses", "security_breach", "sigma_x")] == [
        *(Area.SERVICE, Area.SECURITY, Area.SECURITY)
    ]
