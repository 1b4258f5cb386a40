"""`POST /v1/usage-metrics`: what bouncers report, kept and added up for each."""

import gzip
from typing import Any

import msgspec
import pytest
from bouncing import LOOKUP, Bench
from redis.asyncio import Redis

from app.bouncers.store import MOST_SUMS, bouncer_key

KEY = {"X-Api-Key": LOOKUP, "User-Agent": "crowdsec-firewall-bouncer/v0.0.34"}


def report(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    component = {
        "version": "v0.0.34",
        "type": "crowdsec-firewall-bouncer",
        "name": "fw",
        "utc_startup_timestamp": 1_764_000_000,
        "os": {"name": "debian", "version": "12"},
        "feature_flags": [],
        "metrics": [
            {"meta": {"window_size_seconds": 900, "utc_now_timestamp": 1_764_000_900}, "items": list(items)}
        ],
        **more,
    }
    return {"remediation_components": [component], "log_processors": None}


def dropped(value: float, origin: str = "crowdsec", unit: str = "packet") -> dict[str, Any]:
    labels = {"origin": origin, "ip_type": "ipv4"}
    return {"name": "dropped", "value": value, "unit": unit, "labels": labels}


async def test_reports_are_added_up_by_where_what_was_dropped(bench: Bench):
    active = {"name": "active_decisions", "value": 7, "unit": "ip", "labels": {"origin": "crowdsec"}}
    for value in (10, 5):
        body = report(dropped(value), dropped(2, "lists:drop"), {**active, "value": value})
        answer = await bench.post("/v1/usage-metrics", body, **KEY)
        assert (answer.status_code, answer.content) == (201, b"")
    [row] = await bench.world.bouncers.store.all()
    assert (row.type, row.version, row.window_s, row.mode) == (
        "crowdsec-firewall-bouncer",
        "v0.0.34",
        900,
        "metrics",
    )
    assert row.usage == {
        "dropped packet crowdsec - ipv4": 15,
        "dropped packet lists:drop - ipv4": 4,
        "active_decisions ip crowdsec - -": 5,
    }


async def test_a_report_may_be_gzipped(bench: Bench):
    answer = await bench.post("/v1/usage-metrics", report(dropped(1)), **KEY, **{"Content-Encoding": "gzip"})
    assert answer.status_code == 201
    content = gzip.compress(b"{")[:-4]
    damaged = await bench.post("/v1/usage-metrics", content, **KEY)
    assert damaged.status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "invalid body"),
        (b'{"remediation_components":[],"log_processors":null}', 400, "Missing remediation component data"),
        (b"{}", 400, "Missing remediation component data"),
        (b'{"remediation_components":[{"metrics":{}}]}', 422, "validation failure list"),
        (b'{"remediation_components":[{"version":1}]}', 422, "validation failure list"),
        (msgspec.json.encode(report({"name": "dropped", "value": 1})), 201, ""),
        (msgspec.json.encode(report(metrics=None)), 201, ""),
        (b'{"remediation_components":[{"version":"v1","utc_startup_timestamp":1,"extra":[]}]}', 201, ""),
    ],
)
async def test_what_is_taken_and_what_is_not(bench: Bench, body: bytes, status: int, says: str):
    answer = await bench.post("/v1/usage-metrics", body, **KEY)
    assert answer.status_code == status
    assert says in answer.text


async def test_without_a_key_nothing_is_taken(bench: Bench):
    answer = await bench.post("/v1/usage-metrics", report(dropped(1)))
    assert (answer.status_code, answer.json()) == (403, {"message": "access forbidden"})


async def test_no_bouncer_can_fill_the_memory(bench: Bench, redis: Redis):
    for batch in range(3):
        items = [dropped(1, f"origin-{batch}-{n}") for n in range(150)]
        assert (await bench.post("/v1/usage-metrics", report(*items), **KEY)).status_code == 201
    [row] = await bench.world.bouncers.store.all()
    assert len(row.usage) == MOST_SUMS
    for parts in ((), ("usage",)):
        assert await redis.pttl(bouncer_key(row.id, *parts)) > 0


async def test_a_report_does_not_change_what_a_bouncer_is(bench: Bench):
    await bench.pull("crowdsec-firewall-bouncer/v0.0.34", "startup=true")
    await bench.post("/v1/usage-metrics", report(dropped(1)), **KEY)
    [row] = await bench.world.bouncers.store.all()
    assert (row.mode, row.last_pull) == ("stream", bench.clock[0])


async def test_one_that_asks_about_each_client_is_noted_once_a_minute(bench: Bench):
    for _ in range(3):
        await bench.get("/v1/decisions?ip=203.0.113.9")
        await bench.world.bouncers.flush()
        bench.clock[0] += 1000
    [row] = await bench.world.bouncers.store.all()
    assert (row.mode, row.last_pull) == ("live", None)
    assert bench.clock[0] - row.last_seen == 3000
    bench.clock[0] += 60_000
    await bench.get("/v1/decisions?ip=203.0.113.9")
    await bench.world.bouncers.flush()
    [row] = await bench.world.bouncers.store.all()
    assert row.last_seen == bench.clock[0]
