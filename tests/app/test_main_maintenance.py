"""The app with its tasks running: a policy's windows, notices and signal are in force while it serves."""

import asyncio
import threading
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from actions.quiet.maintenance_notices import NoticeSettings
from app.main import create_app
from app.settings import Settings
from app.world import AppWorld
from detectors.errors import StorageError

POLICY = """\
maintenance:
  - {name: always, at: '00:00', duration: 2d, notice: 2d}
maintenance_notice: {channels: log}
dead_man: {url: URL}
rules:
  by_host: {where: {status: 418}, group_by: host, threshold: 5/1m}
"""


@pytest.fixture
async def app(redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FastAPI]:
    for name in ("POLICY_LOOK_S", "NOTICES_LOOK_S"):
        monkeypatch.setattr(f"app.main.{name}", 0.01)
    monkeypatch.setattr("app.dead_man.LOOK_S", 0.01)
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


async def test_a_changed_policy_brings_its_windows_notices_and_signal(app: FastAPI) -> None:
    heard = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            heard.set()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    world: AppWorld = app.state.world
    taken, told = asyncio.Event(), asyncio.Event()
    world.policy.on_change.append(lambda _: taken.set())
    write_due = world.actions.notices.write_due

    async def note() -> int:
        written = await write_due()
        if written:
            told.set()
        return written

    world.actions.notices.write_due = note  # type: ignore[method-assign]
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/ping"
        world.settings.policy.write_text(POLICY.replace("URL", url))
        await asyncio.wait_for(taken.wait(), 10)
        assert [window.name for window in world.actions.maintenance.planned] == ["always"]
        assert world.actions.notices.settings == NoticeSettings(channels=("log",))
        assert "by_host" in world.actions.muting.host_rules
        await asyncio.wait_for(told.wait(), 10)
        assert await asyncio.to_thread(heard.wait, 10)
        server.shutdown()
        thread.join(5)
    (found, *_) = await world.actions.maintenance.upcoming(world.now(), 1)
    assert found.window.name == "always"


async def test_notices_wait_while_redis_is_away_and_are_counted(app: FastAPI) -> None:
    world: AppWorld = app.state.world
    failed = asyncio.Event()

    async def fail() -> int:
        failed.set()
        raise StorageError("away")

    world.actions.notices.write_due = fail  # type: ignore[method-assign]
    await asyncio.wait_for(failed.wait(), 10)
    failed.clear()
    await asyncio.wait_for(failed.wait(), 10)
    assert 'bartizan_storage_errors_total{place="maintenance"}' in world.metrics.render().decode()
