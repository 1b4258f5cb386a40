"""Posts to the real service as a shipper does: what is answered with 503 is sent again, the same, after a while."""

import time

import httpx

PATIENCE_S = 30
PAUSE_S = 0.5
"""Shorter than Retry-After says; nobody but this test waits."""


def ship(url: str, body: bytes, token: str) -> httpx.Response:
    """The first answer that is not "try again". Nothing counts twice: it is the same body."""
    until = time.monotonic() + PATIENCE_S
    while True:
        answer = httpx.post(url, content=body, headers={"X-Api-Key": token}, timeout=10)
        if answer.status_code != 503 or time.monotonic() > until:
            return answer
        time.sleep(PAUSE_S)
