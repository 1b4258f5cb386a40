"""A Bartizan that follows a script, for tests without network, clock and waiting."""

import asyncio
from typing import Any

import httpx
from fake_bartizan import decision

from bartizan_client import BlocklistFollower

Answer = httpx.Response | Exception


def listing(cursor: str, *values: str, **more: Any) -> httpx.Response:
    document = {"cursor": cursor, "blocks": [decision(value) for value in values], "allowlist": []} | more
    return httpx.Response(200, json=document, headers={"etag": f'"{cursor}"'})


def changes(cursor: str, **lists: Any) -> httpx.Response:
    empty: dict[str, Any] = {"added": [], "removed": [], "allow_added": [], "allow_removed": []}
    return httpx.Response(200, json={"cursor": cursor} | empty | lists)


class Script:
    """Gives its answers one after the other, then says that it is over and never answers again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.headers: list[httpx.Headers] = []
        self.timeouts: list[dict[str, float]] = []
        self.slept: list[float] = []
        self.over = asyncio.Event()

    async def handle(self, request: httpx.Request) -> httpx.Response:
        query = request.url.query.decode()
        self.asked.append(f"{request.url.path}?{query}")
        self.headers.append(request.headers)
        self.timeouts.append(request.extensions["timeout"])
        if not self.answers:
            self.over.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def follower(self, **settings: Any) -> BlocklistFollower:
        defaults: dict[str, Any] = {
            "snapshot": None,
            "jitter": lambda: 1.0,
            "sleep": self.sleep,
            "now": lambda: 1_764_000_000.0,
            "transport": httpx.MockTransport(self.handle),
        }
        return BlocklistFollower("http://bartizan.invalid/", "lookup-token", **defaults | settings)


async def follow(script: Script, **settings: Any) -> BlocklistFollower:
    """A follower that has been through the whole script, and was stopped."""
    follower = script.follower(**settings)
    async with follower, asyncio.timeout(10):
        await script.over.wait()
    return follower


WHOLE = "/v1/blocklist?format=json"


def poll(cursor: str) -> str:
    return f"/v1/blocklist/changes?since={cursor}&wait=30"
