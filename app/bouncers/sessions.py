"""Machines that have logged in: CrowdSec agents and `cscli`, each with a token of ours for its password.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:sensor:SHA` | string, JSON | 1 hour | one per login |

Upstream's token is a JWT; its clients never look inside, so ours is random and kept as a hash.
Source: crowdsec, pkg/apiserver/middlewares/v1/jwt.go (one hour; `code`, `expire`, `token`).
"""

import hashlib
import secrets
from collections.abc import Callable

import msgspec

from actions.storage import Client, act_key, storage_errors

SESSION_MS = 3_600_000
LONGEST_MACHINE_ID = 128


class Session(msgspec.Struct, frozen=True):
    """Who logged in."""

    token_id: str
    machine_id: str


_decode = msgspec.json.Decoder(Session).decode


def session_key(token: str) -> str:
    """One session."""
    return act_key("sensor", hashlib.sha256(token.encode("utf-8", "replace")).hexdigest())


class Sessions:
    """The sessions. Every method raises StorageError where Redis does not answer."""

    def __init__(self, redis: Client, now: Callable[[], int]) -> None:
        self._redis = redis
        self._now = now

    async def open(self, session: Session) -> tuple[str, int]:
        """A new token for this machine, and until when it is good (epoch ms)."""
        token = f"bzs_{secrets.token_urlsafe(32)}"
        with storage_errors("opening a session"):
            await self._redis.set(session_key(token), msgspec.json.encode(session), px=SESSION_MS)
        return token, self._now() + SESSION_MS

    async def find(self, token: str) -> Session | None:
        """Whose token this is; None where it is nobody's, or not any more."""
        with storage_errors("reading a session"):
            found = await self._redis.get(session_key(token))
        return _decode(found) if found else None

    async def close(self, token: str) -> None:
        """End a session."""
        with storage_errors("closing a session"):
            await self._redis.delete(session_key(token))
