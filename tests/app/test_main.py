"""The app put together: what it serves with its tasks running, and with Redis away."""

import asyncio
import os
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from app.auth import Role
from app.main import create_app
from app.policies.policy import default_text
from app.settings import Settings
from app.slot import take_slot
from app.tokens import read_tokens_file
from app.world import AppWorld, never_block
from detectors.errors import ConfigError
from detectors.rule import Kind

FAILURES = [{"client_ip": "203.0.113.9", "method": "POST", "path": "/login", "status": 401}] * 10


@pytest.fixture
async def app(redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FastAPI]:
    monkeypatch.setattr("app.main.POLICY_LOOK_S", 0.01)
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    world: AppWorld = app.state.world
    token = read_tokens_file(world.settings.tokens_file)[Role.ADMIN]
    headers = {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers) as made:
        yield made


async def until_moved(app: FastAPI) -> None:
    """Wait for the next change of the blocklist to reach this process."""
    feed = app.state.world.feed
    await feed.wait_past(feed.cursor, 10)


async def test_ten_failures_are_a_block_and_nine_are_not(app: FastAPI, client: httpx.AsyncClient) -> None:
    moved = asyncio.create_task(until_moved(app))
    assert (await client.post("/v1/events", json=FAILURES[:9])).json()["accepted"] == 9
    assert not (await client.get("/v1/lookup/203.0.113.9")).json()["blocked"]
    assert (await client.post("/v1/events", json=FAILURES[0])).status_code == 200
    await moved
    answer = (await client.get("/v1/lookup/203.0.113.9")).json()
    assert answer["blocked"]
    assert answer["decision"]["rule"] == "auth_failures"


async def test_every_address_for_probes_answers(client: httpx.AsyncClient) -> None:
    up = await client.get("/health", headers={"Authorization": ""})
    assert (up.status_code, up.content) == (200, b'{"status":"up"}')
    for path in ("/livez", "/readyz", "/api/health"):
        answer = await client.get(path, headers={"Authorization": ""})
        assert (path, answer.status_code, answer.json()["status"]) == (path, 200, "pass")
    health = await client.get("/api/health")
    assert health.headers["content-type"] == "application/health+json"
    assert set(health.json()["checks"]) >= {"redis:responseTime", "blocklist:age", "policy:valid"}
    metrics = (await client.get("/metrics")).text
    assert "bartizan_blocks_active 0.0" in metrics
    assert 'bartizan_outbox_depth{channel="log"} 0.0' in metrics


async def test_a_channel_that_does_not_deliver_is_a_warning_and_no_failure(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await app.state.world.redis.hset("bartizan:{act}:channel:log", "unhealthy_since", 1)
    for path in ("/readyz", "/api/health"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["status"]) == (200, "warn")
    assert (await client.get("/readyz")).json()["checks"]["channels:healthy"] == "warn"
    assert 'bartizan_channel_unhealthy{channel="log"} 1.0' in (await client.get("/metrics")).text


async def test_the_api_describes_itself_and_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    assert {"/v1/events", "/v1/raw", "/v1/lookup/{ip}", "/v1/admin/blocks", "/readyz"} <= set(
        described["paths"]
    )
    assert (await client.get("/docs")).status_code == 404


async def test_an_unknown_path_is_a_problem_body(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Not Found"


async def test_a_new_policy_is_taken_up_without_a_restart_and_a_wrong_one_is_not(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    world: AppWorld = app.state.world
    taken = asyncio.Event()
    world.policy.on_change.append(lambda _: taken.set())
    world.settings.policy.write_text(
        "security_alerts:\n  auth_failures: {threshold: 2/minute, action: block_ip}\nbrake: {blocks: 3, window: 1m}\n"
    )
    await asyncio.wait_for(taken.wait(), 10)
    assert (world.actions.blocklist.brake_limit, world.actions.blocklist.brake_window_ms) == (3, 60_000)
    moved = asyncio.create_task(until_moved(app))
    await client.post("/v1/events", json=FAILURES[:2])
    await moved
    assert (await client.get("/v1/lookup/203.0.113.9")).json()["blocked"]

    world.settings.policy.write_text("security_alerts: nonsense\n")
    assert not world.policy.reload_if_changed()
    assert [rule.threshold for rule in world.policy.current.rules] == [2]
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["status"], ready.json()["checks"]["policy:valid"]) == (
        200,
        "warn",
        "warn",
    )


async def test_a_policy_put_by_an_admin_is_in_force_and_in_the_file(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    text = "incident_detection:\n  high_error_rate: {threshold: 5%}\n"
    answer = await client.put("/v1/admin/policy", json={"text": text, "reason": "quieter"})
    assert answer.status_code == 200, answer.text
    world: AppWorld = app.state.world
    assert [(rule.kind, rule.threshold) for rule in world.policy.current.rules] == [(Kind.RATIO, 5)]
    assert world.settings.policy.read_text() == text


async def test_everyone_who_waits_is_answered_when_the_process_is_told_to_end(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    world: AppWorld = app.state.world
    cursor = world.feed.cursor
    poll = asyncio.create_task(client.get(f"/v1/blocklist/changes?since={cursor}&wait=30"))
    await asyncio.sleep(0)
    world.feed.close()
    assert (await asyncio.wait_for(poll, 5)).status_code == 200


async def test_with_redis_away_it_starts_says_so_and_counts_nothing(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, redis_url="unix:///nowhere.sock", ingest_token="i" * 24)
    app = create_app(settings)
    headers = {"Authorization": "Bearer " + "i" * 24}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t", headers=headers) as client,
    ):
        assert (await client.get("/livez")).status_code == 200
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["redis:responseTime"]) == (503, "fail")
        refused = await client.post("/v1/events", json=FAILURES)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert "bartizan_storage_errors_total" in (await client.get("/metrics")).text


async def test_without_a_redis_url_the_app_starts_the_embedded_server_itself(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(default_text())
    app = create_app(Settings(data_dir=tmp_path / "data", policy=tmp_path / "policy.yaml"))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client,
    ):
        assert (await client.get("/readyz")).status_code == 200


def test_a_wrong_policy_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("security_alerts:\n  auth_failures: {treshold: 1}\n")
    with pytest.raises(ConfigError, match=r"policy\.yaml line 2: .*treshold"):
        create_app(Settings(data_dir=tmp_path, policy=tmp_path / "policy.yaml"))


def test_a_process_gets_the_name_of_the_one_before_it_and_no_running_one_shares_it(tmp_path: Path) -> None:
    first, name = take_slot(tmp_path)
    second, other = take_slot(tmp_path)
    os.close(first)
    third, again = take_slot(tmp_path)
    os.close(second)
    os.close(third)
    assert name == again != other


def test_proxies_and_the_operators_networks_are_never_blocked(app: FastAPI) -> None:
    world: AppWorld = app.state.world
    settings = world.settings.model_copy(update={"trusted_proxies": ("198.51.100.0/24",)})
    guard = never_block(world.policy.current, settings)
    assert guard(ip_network("198.51.100.7")) == "trusted proxy 198.51.100.0/24"
    assert guard(ip_network("127.0.0.1")) is not None
    assert guard(ip_network("203.0.113.9")) is None
