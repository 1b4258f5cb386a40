"""Is this process alive, ready, well? For load balancers, orchestrators and people.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:probe` | string | 60 s | one |

Source: draft-inadarei-api-health-check-06 for the body of /api/health (an expired draft, but the shape that
the operator's tools read).
"""

import time
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from fastapi import APIRouter, Request
from redis.exceptions import RedisError
from starlette.responses import Response

from detectors.errors import StorageError
from detectors.timestamps import to_rfc3339

if TYPE_CHECKING:
    from app.world import AppWorld

HEALTH_TYPE = "application/health+json"
PROBE_KEY = "bartizan:{act}:probe"
"""string, TTL 60 s: readiness means that Redis takes writes, not only that it answers."""
PROBE_TTL_S = 60
STALE_LIST_S = 10.0
"""Lookups go on from memory when Redis is away; after this long they are called stale."""

log = structlog.get_logger(__name__)
router = APIRouter(tags=["health"])


async def _redis_ms(world: "AppWorld") -> float | None:
    """How long a write to Redis takes, in milliseconds; None where it fails."""
    started = time.perf_counter()
    try:
        await world.redis.set(PROBE_KEY, b"1", ex=PROBE_TTL_S)
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("redis_probe_failed", error=str(error))
        return None
    return (time.perf_counter() - started) * 1000


async def _channels(world: "AppWorld") -> str:
    """`warn` while a channel does not deliver; never worse: an outage at a receiver must not stop the blocker."""
    try:
        unhealthy = await world.actions.channel_health.unhealthy(world.actions.sender.channels)
    except StorageError:
        return "warn"
    return "warn" if unhealthy else "pass"


async def _checks(world: "AppWorld") -> dict[str, tuple[str, dict[str, Any]]]:
    """Each check's status and what it saw. Only what takes this process out of service is `fail`."""
    redis_ms, age_s = await _redis_ms(world), world.list_age_s()
    return {
        "redis:responseTime": (
            "fail" if redis_ms is None else "pass",
            {} if redis_ms is None else {"observedValue": round(redis_ms, 3), "observedUnit": "ms"},
        ),
        "blocklist:loaded": ("pass" if world.feed.is_ready else "fail", {}),
        "blocklist:age": (
            "pass" if age_s is not None and age_s <= STALE_LIST_S else "warn",
            {} if age_s is None else {"observedValue": round(age_s, 1), "observedUnit": "s"},
        ),
        "policy:valid": ("pass" if world.policy.error is None else "warn", {}),
        "channels:healthy": ("warn" if redis_ms is None else await _channels(world), {}),
    }


def _overall(checks: dict[str, tuple[str, dict[str, Any]]]) -> str:
    found = {status for status, _ in checks.values()}
    return next(status for status in ("fail", "warn", "pass") if status in found)


@router.get("/livez", response_class=Response)
async def livez() -> Response:
    """Whether the process answers at all. Asks nobody else, so that an outage of Redis restarts nothing."""
    return Response(b'{"status":"pass"}', media_type="application/json")


@router.get("/readyz", response_class=Response, responses={503: {"description": "Not ready"}})
async def readyz(request: Request) -> Response:
    """Whether to send this process requests: Redis takes writes and the blocklist is loaded."""
    world: AppWorld = request.app.state.world
    checks = await _checks(world)
    status = _overall(checks)
    body = {"status": status, "checks": {name: found for name, (found, _) in checks.items()}}
    return Response(
        msgspec.json.encode(body), 503 if status == "fail" else 200, media_type="application/json"
    )


@router.get("/api/health", response_class=Response, responses={503: {"description": "Not healthy"}})
async def health(request: Request) -> Response:
    """The state of this service and of what it needs. Says no versions and no secrets to strangers."""
    world: AppWorld = request.app.state.world
    checks = await _checks(world)
    status, at = _overall(checks), to_rfc3339(world.now())
    body = {
        "status": status,
        "checks": {name: [{"status": found, "time": at, **seen}] for name, (found, seen) in checks.items()},
    }
    return Response(msgspec.json.encode(body), 503 if status == "fail" else 200, media_type=HEALTH_TYPE)


@router.get("/health", response_class=Response)
async def up() -> Response:
    """That the process answers, in the words of CrowdSec's local API, which its bouncers ask for."""
    return Response(b'{"status":"up"}', media_type="application/json; charset=utf-8")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Everything Prometheus wants to know. docs/metrics.md explains each."""
    world: AppWorld = request.app.state.world
    await world.refresh_gauges()
    return Response(world.metrics.render(), media_type="text/plain; version=0.0.4")
