"""`GET /v1/admin/bouncers` and `bartizan bouncers list`: who enforces the list, and what was dropped where."""

import json
from typing import Any, Self

import pytest
from bouncing import FIREWALL, Bench
from redis.asyncio import Redis
from test_usage import KEY, dropped, report
from typer.testing import CliRunner

from app.admin.bouncers import _model
from app.cli import app
from detectors.errors import StorageError

ITEM = {
    "id": "0123456789abcdef",
    "token_name": "edge \x1b[31m",
    "type": "crowdsec-firewall-bouncer",
    "version": "v0.0.34",
    "address": "198.51.100.7",
    "mode": "stream",
    "last_seen": "now",
    "last_pull": "then",
    "usage": [
        {"name": "dropped", "unit": "packet", "origin": "crowdsec", "value": 1200.0},
        {"name": "dropped", "unit": "packet", "origin": "cscli", "value": 4.0},
        {"name": "dropped", "unit": "byte", "origin": "cscli", "value": 96_320.0},
        {"name": "processed", "unit": "packet", "origin": None, "value": 9.0},
    ],
}


class Service:
    """Answers as the test says."""

    def __call__(self, **_: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def items(self, path: str, params: dict[str, Any], limit: int) -> list[dict[str, Any]]:
        assert path == "/v1/admin/bouncers"
        return [ITEM]


def test_the_command_shows_what_was_dropped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.commands.api.Api", Service())
    shown = CliRunner().invoke(app, ["bouncers", "list"]).output
    assert "96,320 byte, 1,204 packet" in shown and "198.51.100.7" in shown
    assert "\x1b" not in shown
    assert json.loads(CliRunner().invoke(app, ["bouncers", "list", "--json"]).output) == ITEM


async def test_a_row_says_what_was_dropped_by_origin(bench: Bench):
    await bench.pull(FIREWALL, "startup=true")
    await bench.post("/v1/usage-metrics", report(dropped(3)), **KEY)
    [row] = await bench.world.bouncers.store.all()
    shown = json.loads(_model(row).model_dump_json())
    assert shown["usage"] == [
        {
            "name": "dropped",
            "unit": "packet",
            "origin": "crowdsec",
            "remediation": None,
            "ip_type": "ipv4",
            "value": 3.0,
        }
    ]
    assert (shown["type"], shown["mode"], shown["address"]) == (
        "crowdsec-firewall-bouncer",
        "stream",
        "198.51.100.7",
    )
    assert shown["last_pull"] == "2025-11-24T16:00:00.000Z"
    assert await bench.world.bouncers.store.recent() == 1
    bench.clock[0] += 6 * 60_000
    assert await bench.world.bouncers.store.recent() == 0


async def test_while_redis_is_away_a_bouncer_goes_on_where_it_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    await bench.block("203.0.113.1")
    await bench.pull(query="startup=true")

    async def away(*_: object) -> None:
        raise StorageError("away")

    for name in ("place", "pulled", "seen"):
        monkeypatch.setattr(bench.world.bouncers.store, name, away)
    await bench.block("203.0.113.2")
    assert await bench.pull() == (["203.0.113.2"], [])
    assert await bench.pull() == ([], [])
    assert await bench.values("ip=203.0.113.1") == ["203.0.113.1"]
    answer = await bench.post("/v1/watchers/login", {"machine_id": "m", "password": "x"})
    assert answer.status_code == 401


async def test_made_up_names_push_out_those_who_asked_longest_ago(
    bench: Bench, redis: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.bouncers.store.MOST_BOUNCERS", 5)
    for number in range(9):
        await bench.pull(f"type-{number}/v1", "startup=true")
        bench.clock[0] += 1
    assert {row.type for row in await bench.world.bouncers.store.all()} == {f"type-{n}" for n in range(4, 9)}
    assert len(await redis.keys("bartizan:{act}:bouncer:*")) == 5
