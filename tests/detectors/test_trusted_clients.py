"""The operator's own monitors do not count against their address; an impostor, and what he shows, does."""

import pytest
from redis.asyncio import Redis
from samples import SECRETS
from test_engine import T0, batch, engine_on, event

from detectors.addresses import Networks
from detectors.defaults import DEFAULTS
from detectors.engine import Engine
from detectors.errors import ConfigError
from detectors.trusted_clients import TrustedClient, TrustedClients

MONITOR = "192.0.2.10"
AGENT = "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"
OURS = (TrustedClient("uptimerobot/2", ("192.0.2.0/24", "2001:db8:7::/48"), "our monitor"),)


async def found(redis: Redis, *, clients: tuple[TrustedClient, ...] = OURS, **fields: object) -> list[str]:
    """The rules that ten failures of such a client make fire."""
    engine = engine_on(redis, trusted_clients=clients)
    made = {"client_ip": MONITOR, "user_agent": AGENT, "path": "/api/posts", "status": 401, **fields}
    done = await engine.process(batch([event(number * 1000, **made) for number in range(10)]))
    return [c.group.rule.name for c in done.crossed]


async def test_a_trusted_user_agent_from_its_network_does_not_count(redis: Redis) -> None:
    assert await found(redis) == []
    assert await found(redis, client_ip="2001:db8:7::1") == []
    assert await found(redis, user_agent="UPTIMEROBOT/2.1") == []


@pytest.mark.parametrize(
    "fields",
    [
        {"client_ip": "203.0.113.9"},
        {"client_ip": "2001:db8:8::1"},
        {"user_agent": "curl/8.5"},
        {"user_agent": None},
        {"user_agent": "UptimeRobot/1.0"},
        {"client_ip": "-", "forwarded_for": MONITOR, "user": "root"},
    ],
)
async def test_neither_the_agent_nor_the_network_alone_is_trusted(
    redis: Redis, fields: dict[str, object]
) -> None:
    expected = [] if fields.get("client_ip") == "-" else ["auth_failures"]
    assert await found(redis, **fields) == expected


async def test_without_an_entry_nobody_is_trusted(redis: Redis) -> None:
    assert await found(redis, clients=()) == ["auth_failures"]


async def test_the_address_is_the_one_behind_the_trusted_proxies(redis: Redis) -> None:
    engine = engine_on(redis, trusted_clients=OURS, trusted_proxies=Networks(["10.0.0.0/8"]))

    async def fires(forwarded: str) -> bool:
        made = {"client_ip": "10.0.0.1", "forwarded_for": forwarded, "user_agent": AGENT, "status": 401}
        return bool((await engine.process(batch([event(n, **made) for n in range(10)]))).crossed)

    assert not await fires(MONITOR)
    assert not await fires(f"203.0.113.66, {MONITOR}")
    assert await fires(f"{MONITOR}, 203.0.113.66"), "the left end is written by the client"


async def test_a_key_that_it_shows_and_a_breach_count_all_the_same(redis: Redis) -> None:
    engine: Engine = engine_on(redis, trusted_clients=OURS)
    secret, text = next(iter(SECRETS.values()))
    who = {"client_ip": MONITOR, "user_agent": AGENT}
    shown = event(0, **who, path=f"/x?q={text.replace('{}', secret)}", status=200)
    served = event(1, **who, path="/.env", status=200, bytes=99)
    done = await engine.process(batch([shown, served]))
    assert {c.group.rule.name for c in done.crossed} >= {"api_key_exposure", "security_breach"}
    assert done.counted == 2


async def test_a_success_after_failures_of_a_trusted_client_is_a_breach(redis: Redis) -> None:
    engine = engine_on(redis, trusted_clients=OURS)
    who = {"client_ip": MONITOR, "user_agent": AGENT, "user": "root", "path": "/login"}
    events = [event(n * 1000, **who, status=401) for n in range(10)]
    done = await engine.process(batch([*events, event(11_000, **who, status=200, method="POST")]))
    assert {c.group.rule.name for c in done.crossed} == {"account_takeover"}
    await redis.flushall()
    engine = engine_on(redis, trusted_clients=OURS, rules=(DEFAULTS["security_breach"],))
    done = await engine.process(batch([*events, event(11_000, **who, status=200, method="POST")]))
    assert [c.group.rule.name for c in done.crossed] == ["security_breach"]


async def test_its_errors_are_no_error_rate_of_its_address(redis: Redis) -> None:
    rules = (DEFAULTS["client_error_rate"],)
    who = {"client_ip": MONITOR, "status": 404, "path": "/x"}
    for agent, fires in ((AGENT, False), ("curl/8.5", True)):
        events = [event(n, **who, user_agent=agent) for n in (*range(40), 10_000)]
        done = await engine_on(redis, rules=rules, trusted_clients=OURS).process(batch(events))
        assert bool(done.crossed) is fires
        await redis.flushall()


async def test_rules_about_users_still_count_it(redis: Redis) -> None:
    engine = engine_on(redis, trusted_clients=OURS)
    events = [
        event(n, client_ip=f"192.0.2.{n}", user_agent=AGENT, user="alice", path="/login", status=401)
        for n in range(20)
    ]
    done = await engine.process(batch(events))
    assert [(c.group.rule.name, c.group.subject) for c in done.crossed] == [
        ("distributed_brute_force", "alice")
    ] * len(done.crossed)
    assert done.crossed


async def test_it_is_the_same_sum_for_an_impostor_whatever_the_monitor_did(redis: Redis) -> None:
    engine = engine_on(redis, trusted_clients=OURS)
    mixed = [event(n, client_ip=MONITOR, user_agent=AGENT, status=401) for n in range(30)]
    mixed += [event(n, client_ip=MONITOR, user_agent="curl/8.5", status=401) for n in range(9)]
    assert (await engine.process(batch(mixed))).crossed == []
    done = await engine.process(batch([event(40, client_ip=MONITOR, user_agent="curl/8.5", status=401)]))
    assert [(c.group.rule.name, c.count) for c in done.crossed] == [("auth_failures", 10)]
    assert done.crossed[0].at >= T0


def test_a_network_that_is_none_is_an_error() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        TrustedClients([TrustedClient("x-monitor", ("nowhere",))])
