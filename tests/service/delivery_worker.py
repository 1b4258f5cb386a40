"""One process that delivers: `python delivery_worker.py REDIS_URL RECEIVER_URL NAME CHANNEL...`, until it is ended.

Everything is told to all channels but the last, which is told only what names it.
"""

import asyncio
import signal
import sys

import httpx
import msgspec

from actions.delivery.message import Letter
from actions.delivery.routing import Route, Routes
from actions.world import World
from app.redis import connect
from detectors.errors import DeliveryError
from detectors.timestamps import wall_clock_ms

CLIENT_TIMEOUT_S = 0.5
LEASE_MS = 3_000
FOR_GOOD = frozenset({400, 401, 403, 404, 410})


class Hook:
    """Posts each letter to the receiver, with its id."""

    type = "webhook"
    groups = False
    rate = None

    def __init__(self, client: httpx.AsyncClient, name: str) -> None:
        self.name = name
        self._client = client

    async def send(self, letter: Letter) -> str:
        [message] = letter.messages
        told = {"id": letter.id, "incident": message.incident_id, "kind": message.kind.value}
        try:
            answer = await self._client.post(f"/{self.name}", content=msgspec.json.encode(told))
        except httpx.HTTPError as error:
            raise DeliveryError(type(error).__name__, permanent=False) from error
        if answer.is_success:
            return ""
        after = answer.headers.get("retry-after")
        raise DeliveryError(
            str(answer.status_code),
            permanent=answer.status_code in FOR_GOOD,
            retry_after_ms=None if after is None else int(float(after) * 1000),
        )


async def main(redis_url: str, receiver_url: str, name: str, *channels: str) -> None:
    redis = connect(redis_url)
    async with httpx.AsyncClient(base_url=receiver_url, timeout=CLIENT_TIMEOUT_S) as client:
        hooks = [Hook(client, channel) for channel in channels]
        types = dict.fromkeys(channels, "webhook")
        routes = Routes(types=types, routes=(Route(channels=channels[:-1]),))
        world = World.make(redis, wall_clock_ms, channels=hooks, routes=routes, consumer=name)
        world.sender.lease_ms = LEASE_MS
        world.sender.timeout_s = 1.0
        world.dispatcher.claim_idle_ms = 1_000
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(world.sender.run(stop))
            while not stop.is_set():
                if await world.dispatcher.step(200):
                    world.sender.wake()
    await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
