"""One guarded application, one request from 203.0.113.9, and out. Called by test_client_network.py."""

import asyncio
import sys
from typing import Any

from bartizan_client import BartizanMiddleware


async def inner(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def main(url: str, token: str, lifespan: str) -> None:
    asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is no fault
    app = BartizanMiddleware(inner, url=url, token=token, snapshot=None)
    asked: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    if lifespan == "on":
        life = asyncio.create_task(app({"type": "lifespan"}, asked.get, said.put))
        await asked.put({"type": "lifespan.startup"})
        await said.get()
    await app({"type": "http", "headers": [], "client": ("203.0.113.9", 1)}, asked.get, said.put)
    print((await said.get())["status"])  # noqa: T201
    await said.get()
    if lifespan == "on":
        await asked.put({"type": "lifespan.shutdown"})
        await said.get()
        await life


asyncio.run(main(*sys.argv[1:]))
