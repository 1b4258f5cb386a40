"""The shipper protocols as a sender meets them: all ingest routes, over an engine that remembers."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from app.auth import TokenTable
from app.ingest import routes
from app.ingest.path_key import PathKey
from app.metrics import Metrics
from app.problems import install_problem_handlers
from app.settings import Settings
from tests.ingest.remembering import INGEST_TOKEN, NOW, UNHEARD, VIEWER_TOKEN, Engine


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def settings() -> Settings:
    return Settings(ingest_token=INGEST_TOKEN, viewer_token=VIEWER_TOKEN)


@pytest.fixture
def app(engine: Engine, settings: Settings) -> FastAPI:
    made = FastAPI()
    made.add_middleware(PathKey)
    install_problem_handlers(made)
    made.include_router(routes.router)
    made.state.world = SimpleNamespace(
        engine=engine,
        tokens=TokenTable(settings),
        now=lambda: NOW,
        metrics=Metrics(),
        sources=UNHEARD,
        settings=settings,
        redis=None,
    )
    return made


@pytest.fixture
async def anybody(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A sender without a token."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as made:
        del made.headers["user-agent"]
        yield made
    await asyncio.sleep(0)


@pytest.fixture
async def sender(anybody: httpx.AsyncClient) -> httpx.AsyncClient:
    """A sender with the right token."""
    anybody.headers["Authorization"] = f"Bearer {INGEST_TOKEN}"
    return anybody
