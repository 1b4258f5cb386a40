"""A FastAPI application that refuses whom Bartizan has blocked, and reports failed logins.

    pip install bartizan-client fastapi uvicorn
    export BLOCKLIST_URL=http://127.0.0.1:8000 BLOCKLIST_TOKEN=...   # a token with the role lookup
    export REPORT_TOKEN=...                                          # one with the role ingest, to report events
    uvicorn fastapi_app:app --port 9000 --no-proxy-headers

Settings, proxies, and what happens while Bartizan is away: docs/client.md.
"""

import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse

from bartizan_client import BartizanMiddleware, BlocklistClient, TrustedProxies, login_failed

app = FastAPI(title="An API behind Bartizan")
client = BlocklistClient(
    os.environ.get("BLOCKLIST_URL", "http://127.0.0.1:8000"),
    os.environ["BLOCKLIST_TOKEN"],
    report_token=os.environ.get("REPORT_TOKEN"),
)
trusted = os.environ.get("TRUSTED_PROXIES", "127.0.0.1,::1").split(",")
proxies = TrustedProxies(trusted)


@app.get("/")
async def hello() -> dict[str, str]:
    return {"message": "hello"}


@app.get("/health")
async def health() -> dict[str, object]:
    status = client.status()
    return {"blocklist": status.is_connected, "entries": status.entries, "counts": dict(client.counts)}


@app.post("/login")
async def login(request: Request, user: str = "") -> None:
    """Nobody has the right password here."""
    peer = request.client.host if request.client else None
    forwarded = [value.encode() for value in request.headers.getlist("x-forwarded-for")]
    address = proxies.client_address(peer, forwarded)
    if address is not None:
        client.report(login_failed(address, user, path="/login"))
    raise HTTPException(401, "wrong user or password")


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
    BartizanMiddleware, client=client, trusted_proxies=trusted, exempt=["/health"], fail="open"
)
