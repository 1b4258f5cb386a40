"""A small Bartizan: the two blocklist routes as the contract has them, and a real server around them."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKEN = "lookup-token"
CREATED = "2026-01-01T00:00:00.000Z"


def decision(value: str, *, id: str | None = None, until: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": id or f"id-{value}",
        "value": value,
        "reason": "10 failed logins",
        "rule": "auth_failures",
        "incident_id": None,
        "created_at": CREATED,
        "until": until,
    } | more


class FakeBartizan:
    """Keeps a list and its changes; a poll that arrives with a cursor says that its sender knows that much."""

    def __init__(self) -> None:
        self.blocks: dict[str, dict[str, Any]] = {}
        self.allowlist: dict[str, dict[str, Any]] = {}
        self.log: list[dict[str, Any]] = []
        self.oldest = 0
        self.requests: list[tuple[str, str]] = []
        self.polls: list[str] = []
        self.moved = asyncio.Condition()
        self.is_leaving = False
        routes = [
            Route("/v1/blocklist", self.listing),
            Route("/v1/blocklist/changes", self.changes),
        ]
        self.app = Starlette(routes=routes)

    @property
    def cursor(self) -> str:
        return f"{len(self.log)}-0"

    async def change(self, **change: Any) -> str:
        """One change: added=, removed=, allow_added= or allow_removed=. Returns the cursor after it."""
        for kind, entry in change.items():
            target = self.allowlist if kind.startswith("allow") else self.blocks
            if kind.endswith("added"):
                target[entry["value"]] = entry
            else:
                target.pop(entry["value"], None)
        async with self.moved:
            self.log.append(change)
            self.moved.notify_all()
        return self.cursor

    async def block(self, value: str, **more: Any) -> str:
        return await self.change(added=decision(value, **more))

    async def unblock(self, value: str) -> str:
        return await self.change(removed={"id": self.blocks[value]["id"], "value": value})

    async def polled(self, cursor: str, times: int = 1) -> None:
        """Until so many polls came with this cursor: their senders hold everything up to it."""
        async with self.moved, asyncio.timeout(10):
            await self.moved.wait_for(lambda: self.polls.count(cursor) >= times)

    def whole(self) -> dict[str, Any]:
        return {
            "cursor": self.cursor,
            "blocks": list(self.blocks.values()),
            "allowlist": list(self.allowlist.values()),
        }

    async def listing(self, request: Request) -> Response:
        self.requests.append((request.method, request.url.path))
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Response(status_code=401)
        etag = f'"{self.cursor}"'
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"etag": etag})
        return JSONResponse(self.whole(), headers={"etag": etag})

    async def changes(self, request: Request) -> Response:
        self.requests.append((request.method, request.url.path))
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Response(status_code=401)
        since = int(request.query_params["since"].partition("-")[0])
        async with self.moved:
            self.polls.append(request.query_params["since"])
            self.moved.notify_all()
            if not self.oldest <= since <= len(self.log):
                return JSONResponse({"reset": True, **self.whole()})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(float(request.query_params["wait"])):
                    await self.moved.wait_for(lambda: len(self.log) > since or self.is_leaving)
        answer: dict[str, Any] = {
            "cursor": self.cursor,
            "added": [],
            "removed": [],
            "allow_added": [],
            "allow_removed": [],
        }
        for change in self.log[since:]:
            for kind, entry in change.items():
                answer[kind].append(entry)
        return JSONResponse(answer)


class QuietServer(uvicorn.Server):
    """Leaves the signals to pytest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Serving:
    """A FakeBartizan on a loopback port, which may leave and come back at the same address."""

    def __init__(self, fake: FakeBartizan) -> None:
        self.fake = fake
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def come(self) -> None:
        self.fake.is_leaving = False
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        listener.listen()
        config = uvicorn.Config(self.fake.app, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        self.server = QuietServer(config)
        self.task = asyncio.create_task(self.server.serve(sockets=[listener]))

    async def leave(self) -> None:
        async with self.fake.moved:
            self.fake.is_leaving = True
            self.fake.moved.notify_all()
        self.server.should_exit = True
        await self.task
