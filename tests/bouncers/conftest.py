"""The bouncer protocol over the real stores on a real Redis."""

from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from bouncing import INGEST, LOOKUP, NOW, RESPONDER, Bench
from fastapi import FastAPI
from redis.asyncio import Redis

from actions.world import World
from app.auth import TokenTable
from app.bouncers.cscli import router as cscli
from app.bouncers.desk import BouncerDesk
from app.bouncers.reports import Reports
from app.bouncers.routes import router as bouncers
from app.bouncers.sensors import router as sensors
from app.bouncers.sessions import Sessions
from app.lookup.feed import Feed
from app.lookup.follower import Follower
from app.metrics import Metrics
from app.policies.policy import default_text
from app.policies.store import PolicyStore
from app.problems import install_problem_handlers
from app.settings import Settings
from app.sources.rejected import RejectedRecords
from app.sources.sources import Sources
from app.sources.store import SourceStore
from detectors.redact import SecretFinder
from detectors.scanner import Scanner, load_patterns
from detectors.windows import Windows


@cache
def secret_finder() -> SecretFinder:
    """Made once: its patterns take a while to compile."""
    return SecretFinder(Scanner(load_patterns("keys")), b"k" * 32)


@pytest.fixture
async def bench(redis: Redis, tmp_path: Path) -> AsyncIterator[Bench]:
    clock = [NOW]
    now = lambda: clock[0]  # noqa: E731
    settings = Settings(
        lookup_token=LOOKUP,
        ingest_token=INGEST,
        responder_token=RESPONDER,
        viewer_token="viewer-token-for-tests-0123456789",
        trusted_proxies=("192.0.2.1",),
    )
    (tmp_path / "policy.yaml").write_text(default_text())
    actions, feed = World.make(redis, now), Feed(now)
    policy = PolicyStore(tmp_path / "policy.yaml", is_required=True)
    store, rejected = SourceStore(redis, now), RejectedRecords(redis, now)
    world = SimpleNamespace(
        settings=settings,
        actions=actions,
        feed=feed,
        now=now,
        tokens=TokenTable(settings),
        policy=policy,
        bouncers=BouncerDesk(feed, actions.feed, actions.blocklist, redis, now),
        sessions=Sessions(redis, now),
        reports=Reports(redis, Windows(redis), lambda: policy.current, secret_finder, now),
        sources=Sources(store, rejected, secret_finder, Metrics()),
    )
    app = FastAPI()
    install_problem_handlers(app)
    for router in (bouncers, sensors, cscli):
        app.include_router(router)
    app.state.world = world
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 40_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        made = Bench(client, actions, world, Follower(actions.feed, feed, now), clock)
        await made.follow()
        yield made
