"""A FastAPI application that refuses whom Bartizan has blocked.

    pip install bartizan-client fastapi uvicorn
    export BLOCKLIST_URL=http://127.0.0.1:8000 BLOCKLIST_TOKEN=...   # a token with the role lookup
    uvicorn fastapi_app:app --port 9000 --no-proxy-headers

Settings, proxies, and what happens while Bartizan is away: docs/client.md.
"""

import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from bartizan_client import BartizanMiddleware

app = FastAPI(title="An API behind Bartizan")


@app.get("/")
async def hello() -> dict[str, str]:
    return {"message": "hello"}


@app.get("/count")
async def count() -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for number in range(3):
            yield f"{number}\n"

    return StreamingResponse(lines(), media_type="text/plain")


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


# The middleware that is added last is asked first: nothing of the application runs for a blocked address.
app.add_middleware(
    BartizanMiddleware,
    url=os.environ.get("BLOCKLIST_URL", "http://127.0.0.1:8000"),
    token=os.environ["BLOCKLIST_TOKEN"],
    trusted_proxies=os.environ.get("TRUSTED_PROXIES", "127.0.0.1,::1").split(","),
    fail="open",
)
