"""An empty FastAPI route and an empty ASGI app, served as the service is: what lookups are compared with."""

import sys

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.serve import KEEP_ALIVE_S

api = FastAPI(docs_url=None, redoc_url=None)


@api.get("/empty")
async def empty() -> dict[str, bool]:
    """The least that a FastAPI route can answer."""
    return {"blocked": False}


@api.get("/livez")
async def livez() -> None:
    """For whoever waits until this is up."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """`/raw` without any framework, everything else by FastAPI."""
    if scope["type"] != "http" or scope["path"] != "/raw":
        await api(scope, receive, send)
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", b"17")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"blocked":false}'})


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
