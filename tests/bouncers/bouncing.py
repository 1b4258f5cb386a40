"""What the tests of the bouncer protocol work with: the stores, the clock, and requests as bouncers make them."""

import gzip
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from actions.audit import Actor
from actions.blocks.block import Block, BlockRequest, Origin
from actions.blocks.blocklist import new_block_id
from actions.blocks.subjects import Scope
from actions.world import World
from app.lookup.follower import Follower
from detectors.finding import DecisionType

NOW = 1_764_000_000_000
HOUR_MS = 3_600_000
LOOKUP, INGEST, RESPONDER = (
    f"{role}-token-for-tests-0123456789" for role in ("lookup", "ingest", "responder")
)
ALICE = Actor("alice", "responder")
FIREWALL = "crowdsec-firewall-bouncer/v0.0.34-debian-pragmatic-amd64-abc"
NGINX = "crowdsec-nginx-bouncer/v1.1.3"


@dataclass
class Bench:
    """One process's protocol over a real Redis, with a clock that tests move."""

    client: httpx.AsyncClient
    actions: World
    world: Any
    follower: Follower
    clock: list[int]
    tokens: dict[str, str] = field(default_factory=dict)

    async def follow(self) -> None:
        """Until this process knows all that has happened."""
        newest = await self.actions.feed.cursor()
        while not self.world.feed.is_ready or self.world.feed.cursor != newest:
            await self.follower.step()

    async def block(self, value: str, **fields: Any) -> Block:
        """A person's block, an hour long unless told otherwise."""
        base = BlockRequest(
            id=new_block_id(),
            value=value,
            scope=Scope.COUNTRY if len(value) == 2 else None,
            origin=Origin.ADMIN,
            reason="a test",
            duration_ms=HOUR_MS,
        )
        request = msgspec.structs.replace(base, **fields)
        actor = None if request.origin is Origin.RULE else ALICE
        result = await self.actions.blocklist.block(request, actor)
        assert result.block is not None, result
        await self.follow()
        return result.block

    async def captcha(self, value: str, **fields: Any) -> Block:
        return await self.block(value, type=DecisionType.CAPTCHA, **fields)

    async def lift(self, block: Block) -> None:
        await self.actions.reviews.unblock(block.id, ALICE)
        await self.follow()

    async def pass_time(self, ms: int) -> None:
        """Later: what is due has ended."""
        self.clock[0] += ms
        await self.actions.blocklist.expire_due()
        await self.actions.allowlist.expire_due()
        await self.follow()

    async def get(self, path: str, agent: str = NGINX, **more: Any) -> httpx.Response:
        return await self.client.get(path, headers={"X-Api-Key": LOOKUP, "User-Agent": agent}, **more)

    async def values(self, query: str, agent: str = NGINX) -> list[str]:
        """The values that `/v1/decisions` answers."""
        answer = await self.get(f"/v1/decisions?{query}", agent)
        assert answer.status_code == 200, answer.text
        return [item["value"] for item in answer.json() or []]

    async def pull(self, agent: str = NGINX, query: str = "startup=false") -> tuple[list[str], list[str]]:
        """The values that are new and deleted."""
        answer = await self.get(f"/v1/decisions/stream?{query}", agent)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return [item["value"] for item in body["new"]], [item["value"] for item in body["deleted"]]

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        if headers.get("Content-Encoding") == "gzip":
            content = gzip.compress(content)
        return await self.client.post(path, content=content, headers=headers)

    async def log_in(self, password: str, machine: str = "laptop") -> dict[str, str]:
        """The headers of a machine that has logged in."""
        body = {"machine_id": machine, "password": password, "scenarios": []}
        answer = await self.post("/v1/watchers/login", body, **{"User-Agent": "crowdsec/v1"})
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['token']}"}
