"""The admin API over the real stores on a real Redis, with a clock that tests move."""

from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from admin_desk import NOW, OWN, PROXY, Desk, token
from fastapi import FastAPI
from redis.asyncio import Redis

from actions.blocks.networks import NeverBlock
from actions.delivery.outbox import LogChannel
from actions.world import World
from app.admin.routes import router
from app.auth import Role, TokenTable
from app.bouncers.desk import BouncerDesk
from app.lookup.feed import Feed
from app.lookup.follower import Follower
from app.metrics import Metrics
from app.policies.policy import default_text
from app.policies.store import PolicyStore
from app.problems import install_problem_handlers
from app.settings import Settings
from app.sources.reingest import Reingest
from app.sources.rejected import RejectedRecords
from app.sources.sources import Sources
from app.sources.store import SourceStore
from app.tokens import TokenStore
from detectors.defaults import DEFAULTS
from detectors.engine import Engine
from detectors.redact import SecretFinder
from detectors.scanner import Scanner, load_patterns
from detectors.windows import Windows


@cache
def secret_finder() -> SecretFinder:
    """Made once: its patterns take a while to compile."""
    return SecretFinder(Scanner(load_patterns("keys")), b"k" * 32)


def engine_on(redis: Redis) -> Engine:
    """Made by the few tests that count something."""
    return Engine([DEFAULTS["auth_failures"]], Windows(redis), fingerprint_key=b"k" * 32)


@pytest.fixture
async def desk(redis: Redis, tmp_path: Path) -> AsyncIterator[Desk]:
    clock = [NOW]
    now = lambda: clock[0]  # noqa: E731
    settings = Settings(trusted_proxies=(PROXY,), **{f"{role}_token": token(role) for role in Role})
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text(default_text())
    actions = World.make(redis, now, never_block=NeverBlock([("trusted proxy", PROXY)]))
    feed, metrics = Feed(now), Metrics()
    store, rejected = SourceStore(redis, now), RejectedRecords(redis, now)
    follower = Follower(actions.feed, feed, now)
    world = SimpleNamespace(
        settings=settings,
        actions=actions,
        policy=PolicyStore(policy_file, is_required=True),
        tokens=TokenTable(settings),
        token_store=TokenStore(redis, now),
        channels={"log": LogChannel()},
        feed=feed,
        bouncers=BouncerDesk(feed, actions.feed, actions.blocklist, redis, now),
        follower=follower,
        now=now,
        version="0",
        sources=Sources(store, rejected, secret_finder, metrics),
        reingest=Reingest(store, rejected, lambda batch: engine_on(redis).process(batch), now, metrics),
        metrics=metrics,
        list_age_s=lambda: None,
    )
    app = FastAPI()
    install_problem_handlers(app)
    app.include_router(router)
    app.state.world = world
    made = Desk(app, actions, world, clock)
    transport = httpx.ASGITransport(app, client=(OWN, 40_000))
    for role in [*Role, "nobody"]:
        headers = {"Authorization": f"Bearer {token(role)}"}
        made.clients[str(role)] = httpx.AsyncClient(
            transport=transport, base_url="http://t/v1/admin", headers=headers
        )
    yield made
    for client in made.clients.values():
        await client.aclose()
