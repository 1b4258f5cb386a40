"""Each behaviour rule: found at its threshold, not one below it, silent without its data, the same in any order."""

import json
import random
import uuid

import msgspec
import pytest
from redis.asyncio import Redis

from detectors.defaults import DEFAULTS
from detectors.engine import Engine
from detectors.event import Batch, Event
from detectors.object_enumeration import route_of
from detectors.timestamps import to_rfc3339
from detectors.windows import Windows

T0 = 1_764_000_000_000
IP, USER, KEY = "203.0.113.9", "alice", "key-1"
LOGIN = {"category": "authentication", "outcome": "failure"}


def spaced(number: int, within_ms: int, count: int) -> str:
    """The time of one of so many events spread over a window, the last just inside."""
    return to_rfc3339(T0 + number * (within_ms - 1) // max(1, count - 1))


def attack(rule: str, count: int) -> list[Event]:
    """An attack of exactly so many telling events, spread over the whole window."""

    def event(number: int, **fields) -> Event:
        at = spaced(number, DEFAULTS[rule].window_ms, count)
        return Event(**{"timestamp": at, "client_ip": IP, **fields})

    makers = {
        "credential_stuffing": lambda i: event(i, user=f"user{i}", **LOGIN),
        "password_spraying": lambda i: event(i, user=f"user{i}", status=401, path="/login"),
        "distributed_brute_force": lambda i: event(i, user=USER, client_ip=f"198.51.100.{i}", **LOGIN),
        "slow_brute_force": lambda i: event(i, user="root", **LOGIN),
        "token_cracking": lambda i: event(i, api_key_id=f"guess{i}", status=403, path="/v1/x"),
        "key_shared": lambda i: event(i, api_key_id=KEY, client_ip=f"198.51.{i}.7", status=200),
        "object_enumeration": lambda i: event(i, path=f"/api/users/{i}/invoices", status=403),
        "not_found_churn": lambda i: event(i, path=f"/guess{i}", status=404),
        "user_agent_churn": lambda i: event(i, path="/x", status=404, user_agent=f"Browser/{i}"),
    }
    return [makers[rule](number) for number in range(count)]


RULES = ["credential_stuffing", "password_spraying", "distributed_brute_force", "slow_brute_force", "token_cracking",
         "key_shared", "object_enumeration", "not_found_churn", "user_agent_churn"]  # fmt: skip
SUBJECTS = {"distributed_brute_force": USER, "key_shared": KEY}


async def found(redis: Redis, rule: str, events: list[Event], mark: str | None = None) -> list[str]:
    engine = Engine([DEFAULTS[rule]], Windows(redis), fingerprint_key=b"k" * 32)
    records = [json.dumps({f: getattr(e, f) for f in e.__struct_fields__}).encode() for e in events]
    done = await engine.process(Batch(events, records, T0 + 10**9, "test", mark))
    return [crossed.group.subject for crossed in done.crossed]


@pytest.mark.parametrize("rule", RULES)
async def test_the_attack_is_found_at_its_threshold_and_not_one_below(redis: Redis, rule):
    events = attack(rule, DEFAULTS[rule].threshold)
    assert await found(redis, rule, events[:-1]) == []
    assert await found(redis, rule, events[-1:]) == [SUBJECTS.get(rule, IP)]


@pytest.mark.parametrize("rule", RULES)
async def test_the_same_in_disorder_and_a_repeat_counts_nothing(redis: Redis, rule):
    events = attack(rule, DEFAULTS[rule].threshold)
    random.Random(1).shuffle(events)
    assert await found(redis, rule, events, "m") == [SUBJECTS.get(rule, IP)]
    assert await found(redis, rule, events, "m") == []


@pytest.mark.parametrize("rule", [r for r in RULES if r != "slow_brute_force"])
async def test_the_same_value_again_and_again_is_no_behaviour(redis: Redis, rule):
    one = attack(rule, DEFAULTS[rule].threshold)[0]
    assert await found(redis, rule, [one] * 200) == []


async def test_a_success_now_and_then_is_no_slow_brute_force(redis: Redis):
    events = attack("slow_brute_force", 58)
    events[29] = Event(
        timestamp=events[29].timestamp, client_ip=IP, category="authentication", outcome="success"
    )
    assert await found(redis, "slow_brute_force", events) == []


async def test_a_refused_key_is_no_slow_brute_force_and_a_login_beside_one_is(redis: Redis):
    polls = [
        msgspec.structs.replace(e, status=401, api_key_id=KEY, path="/v1/orders", user=None)
        for e in attack("slow_brute_force", 60)
    ]
    for event in polls:
        event.category = event.outcome = None
    assert await found(redis, "slow_brute_force", polls) == []
    logins = [msgspec.structs.replace(e, path="/v1/login") for e in polls[:30]]
    assert await found(redis, "slow_brute_force", logins) == [IP]


async def test_asking_for_objects_with_random_ids_is_no_enumeration_and_being_refused_them_is(redis: Redis):
    chance = random.Random(3)
    for make in (
        lambda: f"{chance.getrandbits(128):032x}",
        lambda: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
    ):
        events = attack("object_enumeration", 40)
        for event in events:
            event.path, event.status = f"/photos/{make()}", 404
        assert await found(redis, "object_enumeration", events) == []
    assert await found(redis, "not_found_churn", events) == []
    for event in events:
        event.status = 403
    assert await found(redis, "object_enumeration", events) == [IP, IP]


@pytest.mark.parametrize(
    ("rule", "without"),
    [("credential_stuffing", "user"), ("distributed_brute_force", "user"), ("distributed_brute_force", "client_ip"),
     ("token_cracking", "api_key_id"), ("key_shared", "api_key_id"), ("key_shared", "client_ip"),
     ("object_enumeration", "path"), ("not_found_churn", "path"), ("user_agent_churn", "user_agent")],
)  # fmt: skip
async def test_a_rule_is_silent_where_its_data_is_missing(redis: Redis, rule, without):
    events = attack(rule, 3 * DEFAULTS[rule].threshold)
    for event in events:
        setattr(event, without, None)
    assert await found(redis, rule, events) == []


@pytest.mark.parametrize(
    ("path", "route", "ids"),
    [
        ("/api/users/42/invoices/7?x=1", "/api/users/{id}/invoices/{id}", ["42", "7"]),
        ("/o/6f1c1f2e-8a4b-4c3d-9e2f-0a1b2c3d4e5f", "/o/{id}", ["6f1c1f2e-8a4b-4c3d-9e2f-0a1b2c3d4e5f"]),
        ("/files/%34%32", "/files/{id}", ["42"]),
        ("/v1/health", "/v1/health", []),
    ],
)
def test_a_route_is_a_path_without_its_ids(path, route, ids):
    assert route_of(path) == (route, tuple(ids))


async def test_two_routes_are_two_walks(redis: Redis):
    half = DEFAULTS["object_enumeration"].threshold // 2 + 2
    events = attack("object_enumeration", 2 * half)
    for event in events[half:]:
        event.path = event.path.replace("users", "orders")
    assert await found(redis, "object_enumeration", events) == []
