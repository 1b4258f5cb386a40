"""Where tokens are kept: as hashes in Redis, with a copy on disk for a start while Redis is away.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:tokens` | hash: token id -> JSON | none: until revoked | 1,000; ended ones go first |
"""

import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from actions.audit import Actor
from actions.audit import Audit as AuditTrail
from actions.storage import act_key, change, storage_errors
from app.auth import Caller, Role, TokenTable, hash_token, outside_tokens, token_id_of
from app.settings import Settings, write_new_private
from detectors.errors import ConfigError

TOKENS_KEY = act_key("tokens")
MAX_TOKENS = 1000
LONGEST_NAME = 80
OPERATOR = Actor("command line", "admin")
"""Who `bartizan tokens` acts as: somebody who can reach Redis itself needs no token."""
CACHE_FILE = "tokens.cache.json"
FILE_HEADING = "# Made at the first start. Bartizan keeps only hashes of these: this file is the one copy.\n"

log = structlog.get_logger(__name__)


class Token(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stored token, without its secret. Times are epoch milliseconds."""

    id: str
    role: Role
    name: str
    digest: str
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None

    def is_valid(self, now_ms: int) -> bool:
        """Whether it still opens anything."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now_ms)


Audit = Callable[[Pipeline, str, str, object, object], object]
"""Puts the entry of a change into the MULTI of the change: verb, token id, before, after."""


def audit_by(trail: AuditTrail, actor: Actor) -> Audit:
    """The audit of changes that this actor makes."""

    def stage(pipe: Pipeline, verb: str, token_id: str, before: object, after: object) -> None:
        trail.stage(pipe, actor, f"token.{verb}", f"token:{token_id}", before=before, after=after)

    return stage


def new_secret(role: Role) -> str:
    """A fresh token: 256 random bits behind a prefix that secret scanners and people can recognise."""
    return f"bz_{role.value}_{secrets.token_urlsafe(32)}"


class TokenStore:
    """The stored tokens. Every method raises StorageError where Redis does not answer."""

    def __init__(self, redis: Redis, now: Callable[[], int]) -> None:
        self._redis = redis
        self._now = now

    async def all(self) -> list[Token]:
        """All tokens, ended ones too, oldest first."""
        with storage_errors("reading the tokens"):
            rows = await self._redis.hvals(TOKENS_KEY)
        tokens = [msgspec.json.decode(row, type=Token) for row in rows]
        return sorted(tokens, key=lambda token: (token.created_at, token.id))

    async def create(
        self, role: Role, name: str, expires_at: int | None = None, audit: Audit | None = None
    ) -> tuple[Token, str]:
        """A new token and its secret, which is nowhere kept.

        Raises: ConfigError for an empty or long name, an end that has passed, or a full store.
        """
        now_ms, name = self._now(), name.strip()
        if not name or len(name) > LONGEST_NAME:
            raise ConfigError(f"name: 1 to {LONGEST_NAME} characters")
        if expires_at is not None and expires_at <= now_ms:
            raise ConfigError("expires_at: lies in the past")
        existing = await self.all()
        ended = [old for old in existing if not old.is_valid(now_ms)]
        if len(existing) - len(ended) >= MAX_TOKENS:
            raise ConfigError(f"tokens: {MAX_TOKENS} are in use; revoke some first")
        surplus = ended[: max(0, len(existing) + 1 - MAX_TOKENS)]
        secret = new_secret(role)
        token = _token(secret, role, name, now_ms, expires_at)
        with storage_errors("storing a token"):
            async with self._redis.pipeline(transaction=True) as pipe:
                if surplus:
                    pipe.hdel(TOKENS_KEY, *(old.id for old in surplus))
                pipe.hset(TOKENS_KEY, token.id, msgspec.json.encode(token))
                if audit is not None:
                    audit(pipe, "create", token.id, None, _public(token))
                await pipe.execute()
        return token, secret

    async def revoke(self, token_id: str, audit: Audit | None = None) -> Token | None:
        """End a token at once; the ended token, or None where no valid token has this id."""
        now_ms = self._now()
        token = next((t for t in await self.all() if t.id == token_id and t.is_valid(now_ms)), None)
        if token is None:
            return None
        ended = msgspec.structs.replace(token, revoked_at=now_ms)
        with storage_errors("revoking a token"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(TOKENS_KEY, token.id, msgspec.json.encode(ended))
                if audit is not None:
                    audit(pipe, "revoke", token.id, _public(token), _public(ended))
                await pipe.execute()
        return ended

    async def add_first(self, tokens: Iterable[Token]) -> bool:
        """Store these if there is no token at all yet, ended ones included; whether it did."""
        rows: dict[Any, Any] = {token.id: msgspec.json.encode(token) for token in tokens}

        async def step(pipe: Pipeline) -> bool:
            if await pipe.exists(TOKENS_KEY):
                return False
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.hset(TOKENS_KEY, mapping=rows)
            return True

        return await change(self._redis, "storing the first tokens", [TOKENS_KEY], step)


def _token(secret: str, role: Role, name: str, now_ms: int, expires_at: int | None = None) -> Token:
    digest = hash_token(secret)
    return Token(token_id_of(digest), role, name, digest, now_ms, expires_at)


def _public(token: Token) -> dict[str, object]:
    return {
        "role": token.role.value,
        "name": token.name,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
    }


async def ensure_tokens(store: TokenStore, settings: Settings, now_ms: int) -> dict[Role, str]:
    """Make the first tokens, one for each role that the environment sets none for.

    They are written to tokens.env before they are stored, so that a crash in between loses nothing: the
    next start finds the file and stores what it holds. Answers the secrets that were made just now; empty
    on every later start.
    Raises: StorageError, ConfigError where the file cannot be written or read.
    """
    roles = [role for role in Role if role not in outside_tokens(settings)]
    if not roles or await store.all():
        return {}
    path = settings.tokens_file
    made = {role: new_secret(role) for role in roles}
    lines = "".join(f"{_variable(role)}={secret}\n" for role, secret in made.items())
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        is_new = write_new_private(path, FILE_HEADING + lines)
        found = read_tokens_file(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    tokens = [_token(secret, role, f"first {role.value} token", now_ms) for role, secret in found.items()]
    if tokens and not await store.add_first(tokens) and is_new:
        path.unlink(missing_ok=True)  # another machine was first; these were never valid
        return {}
    return made if is_new else {}


def read_tokens_file(path: Path) -> dict[Role, str]:
    """The tokens in a tokens.env; empty where there is no such file. Raises: OSError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[:1] != "#")
    return {role: pairs[_variable(role)].strip() for role in Role if pairs.get(_variable(role), "").strip()}


def _variable(role: Role) -> str:
    return f"BARTIZAN_{role.value.upper()}_TOKEN"


class TokenRefresher:
    """Keeps the table in memory equal to the store, and a copy of it (hashes only) in the data folder."""

    def __init__(self, table: TokenTable, store: TokenStore, settings: Settings) -> None:
        self._table = table
        self._store = store
        self._cache = settings.data_dir / CACHE_FILE
        self._last: list[Token] | None = None

    async def refresh(self) -> None:
        """Read the store once. Raises: StorageError; the table then stays as it was."""
        tokens = await self._store.all()
        if tokens == self._last:
            return
        self._fill(tokens)
        try:
            draft = self._cache.with_name(f".{CACHE_FILE}.{os.getpid()}")
            draft.unlink(missing_ok=True)
            write_new_private(draft, msgspec.json.encode(tokens).decode())
            draft.replace(self._cache)
        except OSError as error:
            log.warning("token_cache_not_written", path=str(self._cache), error=error.strerror)

    def load_cache(self) -> None:
        """Fill the table from the copy on disk, for a start while Redis is away."""
        try:
            self._fill(msgspec.json.decode(self._cache.read_bytes(), type=list[Token]))
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("token_cache_not_read", path=str(self._cache), error=str(error))

    def _fill(self, tokens: list[Token]) -> None:
        self._last = tokens
        self._table.replace(
            {t.digest: (Caller(t.id, t.role, t.name), t.expires_at) for t in tokens if t.revoked_at is None}
        )
