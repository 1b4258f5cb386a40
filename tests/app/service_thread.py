"""The service on a real socket in a thread of the test's own process, for commands that run in it as well."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvicorn
from redis import Redis

from app.main import create_app
from app.settings import Settings

TOKEN = "admin-token-for-tests-0123456789"


@contextmanager
def serving(redis_url: str, folder: Path, policy: str) -> Iterator[int]:
    """Its port, on an empty Redis. What it logs does not mix with what commands print."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(io.StringIO()))
    (folder / "policy.yaml").write_text(policy)
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    settings = Settings(
        redis_url=redis_url, data_dir=folder / "d", policy=folder / "policy.yaml", admin_token=TOKEN
    )
    config = uvicorn.Config(create_app(settings), port=0, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        structlog.configure(**before)
