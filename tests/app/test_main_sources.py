"""From a shipper's request to the incident of its source, and to the record that is counted after a fix."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from app.ingest.formats import registry
from app.ingest.formats.format import Format
from app.main import create_app
from app.policies.policy import default_text
from app.settings import Settings
from app.world import AppWorld
from detectors.event import Event

NOON = 1_795_003_200_000
SECOND, MINUTE = 1_000, 60_000
INGEST, ADMIN = "ingest-token-for-tests-0123456789", "admin-token-for-tests-0123456789"


@pytest.fixture
def clock() -> list[int]:
    return [NOON]


@pytest.fixture
async def app(redis: Redis, redis_server: str, tmp_path: Path, clock: list[int]) -> AsyncIterator[FastAPI]:
    (tmp_path / "policy.yaml").write_text(default_text())
    settings = Settings(
        data_dir=tmp_path / "data",
        redis_url=redis_server,
        policy=tmp_path / "policy.yaml",
        ingest_token=INGEST,
        admin_token=ADMIN,
    )
    made = create_app(settings, now=lambda: clock[0])
    yield made
    await made.state.world.close()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t/v1") as made:
        yield made


def token(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def send(client: httpx.AsyncClient, app: FastAPI, lines: int) -> int:
    body = "".join(f"wall 203.0.113.9 refused {number}\n" for number in range(lines))
    answer = await client.post("/raw?format=sshd", content=body, headers=token(INGEST))
    await world_of(app).sources.flush()
    return answer.status_code


async def get(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/admin/{path}", headers=token(ADMIN))
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def world_of(app: FastAPI) -> AppWorld:
    world: AppWorld = app.state.world
    return world


async def judged(app: FastAPI) -> None:
    """The look at the sources, and the findings that follow."""
    assert await world_of(app).source_watch.look()
    await world_of(app).responder.drain()


async def test_a_format_nobody_reads_is_an_incident_and_its_records_count_after_the_fix(
    app: FastAPI,
    client: httpx.AsyncClient,
    clock: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(2):
        assert await send(client, app, 50) == 422
        clock[0] += MINUTE
        await judged(app)
    [source] = await get(client, "sources")
    assert (source["kind"], source["state"], source["useless"]) == ("raw", "unreadable", 100)
    assert source["today"]["reasons"] == {"not a line of the format sshd": 100}
    [incident] = await get(client, "incidents")
    assert (incident["rule"], incident["severity"], incident["subject"]) == (
        "source_unreadable",
        "high",
        source["id"],
    )
    assert len(await get(client, "rejected?limit=500")) == 100

    def parse(line: str, _received_ms: int) -> Event | None:
        return Event(client_ip=line.split()[1], status=401) if line.startswith("wall ") else None

    monkeypatch.setattr(registry, "FORMATS", (Format("sshd", "a wall's own", "made up", parse),))
    answer = await client.post("/admin/rejected/reingest", json={}, headers=token(ADMIN))
    assert answer.json() == {
        "accepted": 100,
        "rejected": 0,
        "duplicates": 0,
        "errors": [],
        "next_cursor": None,
    }
    await world_of(app).responder.drain()
    assert "203.0.113.9" in [block["value"] for block in await get(client, "blocks")]

    clock[0] += MINUTE
    assert await send(client, app, 10) == 200
    await judged(app)
    states = {one["rule"]: one["status"] for one in await get(client, "incidents")}
    assert states["source_unreadable"] == "resolved"
    assert [one["state"] for one in await get(client, "sources")] == ["ok"]
    told = msgspec.json.encode(await get(client, "notifications"))
    assert told.count(b"source_unreadable") >= 2


async def test_whatever_is_wrong_with_a_body_its_source_has_spoken(
    app: FastAPI, client: httpx.AsyncClient, clock: list[int]
) -> None:
    await client.post("/events", content=b"x", headers={**token(INGEST), "Content-Encoding": "br"})
    clock[0] += MINUTE
    await client.post("/events", content=b'[{"status":200}]', headers=token(INGEST))
    await client.post("/events", content=b'[{"status":200}]', headers=token(ADMIN))
    await client.post("/events", content=b'[{"status":200}]', headers=token("nobody's"))
    await world_of(app).sources.flush()
    found = {one["token_name"]: one for one in await get(client, "sources")}
    assert set(found) == {"ingest token from the environment", "admin token from the environment"}
    one = found["ingest token from the environment"]
    assert (one["today"]["refused"], one["today"]["accepted"], one["today"]["no_client_ip"]) == (1, 1, 1)
    assert one["last_seen"] == "2026-11-18T12:01:00.000Z"
