"""Stored tokens: made once, revoked at once, never kept as they are."""

import stat
from itertools import count

import pytest
from redis.asyncio import Redis

from actions.audit import Actor
from actions.audit import Audit as AuditTrail
from app.auth import Role, TokenTable
from app.settings import Settings
from app.tokens import (
    MAX_TOKENS,
    TOKENS_KEY,
    TokenRefresher,
    TokenStore,
    audit_by,
    ensure_tokens,
    read_tokens_file,
)
from detectors.errors import ConfigError, StorageError

NOW = 1_764_000_000_000


@pytest.fixture
def store(redis: Redis) -> TokenStore:
    return TokenStore(redis, lambda: NOW)


async def roles_of(table: TokenTable, secrets: dict[Role, str]) -> dict[Role, Role | None]:
    found = {role: table.find(secret, NOW) for role, secret in secrets.items()}
    return {role: caller.role if caller else None for role, caller in found.items()}


async def test_the_first_start_makes_one_token_per_role_and_the_second_none(
    store: TokenStore, settings: Settings
) -> None:
    made = await ensure_tokens(store, settings, NOW)
    assert list(made) == list(Role)
    assert await ensure_tokens(store, settings, NOW) == {}
    assert read_tokens_file(settings.tokens_file) == made
    assert stat.S_IMODE(settings.tokens_file.stat().st_mode) == 0o600
    table = TokenTable(settings)
    await TokenRefresher(table, store, settings).refresh()
    assert await roles_of(table, made) == {role: role for role in Role}


async def test_nothing_that_is_kept_holds_a_secret(
    store: TokenStore, settings: Settings, redis: Redis
) -> None:
    made = await ensure_tokens(store, settings, NOW)
    await TokenRefresher(TokenTable(settings), store, settings).refresh()
    kept = b"".join([*await redis.hvals(TOKENS_KEY), (settings.data_dir / "tokens.cache.json").read_bytes()])
    assert not [role for role, secret in made.items() if secret.encode() in kept]
    assert stat.S_IMODE((settings.data_dir / "tokens.cache.json").stat().st_mode) == 0o600


async def test_roles_set_from_outside_get_no_token(store: TokenStore, settings: Settings) -> None:
    settings = settings.model_copy(update={"admin_token": Settings(admin_token="x" * 30).admin_token})
    made = await ensure_tokens(store, settings, NOW)
    assert Role.ADMIN not in made
    assert len(made) == 4


async def test_a_crash_between_writing_and_storing_loses_no_token(
    store: TokenStore, settings: Settings, redis: Redis
) -> None:
    made = await ensure_tokens(store, settings, NOW)
    await redis.delete(TOKENS_KEY)
    assert await ensure_tokens(store, settings, NOW) == {}
    table = TokenTable(settings)
    await TokenRefresher(table, store, settings).refresh()
    assert await roles_of(table, made) == {role: role for role in Role}


async def test_a_second_machine_on_the_same_redis_makes_none(store: TokenStore, settings: Settings) -> None:
    await ensure_tokens(store, settings, NOW)
    other = settings.model_copy(update={"data_dir": settings.data_dir.parent / "other"})
    assert await ensure_tokens(store, other, NOW) == {}
    assert not other.tokens_file.exists()


async def test_of_two_machines_that_start_together_one_is_first(
    store: TokenStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_tokens(store, settings, NOW)
    other = settings.model_copy(update={"data_dir": settings.data_dir.parent / "other"})

    async def nothing_yet() -> list[object]:
        return []

    monkeypatch.setattr(store, "all", nothing_yet)
    assert await ensure_tokens(store, other, NOW) == {}
    assert not other.tokens_file.exists()


async def test_a_made_token_works_and_a_revoked_one_does_not(
    store: TokenStore, settings: Settings, redis: Redis
) -> None:
    trail = AuditTrail(redis, lambda: NOW)
    audit = audit_by(trail, Actor("tester", "admin"))
    token, secret = await store.create(Role.LOOKUP, "edge", None, audit)
    table = TokenTable(settings)
    refresher = TokenRefresher(table, store, settings)
    await refresher.refresh()
    caller = table.find(secret, NOW)
    assert caller is not None
    assert (caller.role, caller.name, caller.token_id) == (Role.LOOKUP, "edge", token.id)
    assert await store.revoke(token.id, audit) is not None
    await refresher.refresh()
    assert table.find(secret, NOW) is None
    assert await store.revoke(token.id) is None
    entries, _ = await trail.page()
    assert [(entry.action, entry.actor, entry.target) for entry in entries] == [
        ("token.revoke", "tester", f"token:{token.id}"),
        ("token.create", "tester", f"token:{token.id}"),
    ]
    assert secret not in str(entries)


async def test_a_revoked_first_token_does_not_come_back_with_its_file(
    store: TokenStore, settings: Settings
) -> None:
    made = await ensure_tokens(store, settings, NOW)
    for token in await store.all():
        await store.revoke(token.id)
    assert await ensure_tokens(store, settings, NOW) == {}
    table = TokenTable(settings)
    await TokenRefresher(table, store, settings).refresh()
    assert set((await roles_of(table, made)).values()) == {None}


async def test_a_start_while_redis_is_away_knows_the_tokens_of_last_time(
    store: TokenStore, settings: Settings
) -> None:
    made = await ensure_tokens(store, settings, NOW)
    await TokenRefresher(TokenTable(settings), store, settings).refresh()
    away = TokenStore(Redis(unix_socket_path="/nowhere.sock"), lambda: NOW)
    table = TokenTable(settings)
    refresher = TokenRefresher(table, away, settings)
    refresher.load_cache()
    with pytest.raises(StorageError):
        await refresher.refresh()
    assert await roles_of(table, made) == {role: role for role in Role}


async def test_a_damaged_copy_on_disk_is_not_fatal(store: TokenStore, settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "tokens.cache.json").write_text("{")
    TokenRefresher(TokenTable(settings), store, settings).load_cache()


@pytest.mark.parametrize(
    ("name", "expires_at", "says"),
    [(" ", None, "name"), ("x" * 81, None, "name"), ("ok", NOW, "expires_at: lies in the past")],
)
async def test_a_wrong_token_is_refused(
    store: TokenStore, name: str, expires_at: int | None, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        await store.create(Role.INGEST, name, expires_at)


async def test_the_store_is_bounded_and_ended_tokens_make_room(redis: Redis) -> None:
    clock = count(NOW)
    store = TokenStore(redis, lambda: next(clock))
    first, _ = await store.create(Role.INGEST, "first")
    row = (await redis.hget(TOKENS_KEY, first.id)) or b""
    await redis.hset(TOKENS_KEY, mapping={f"tok_{i}": row for i in range(MAX_TOKENS - 1)})
    with pytest.raises(ConfigError, match="1000 are in use"):
        await store.create(Role.INGEST, "one more")
    await store.revoke(first.id)
    await store.create(Role.INGEST, "one more")
    assert await redis.hlen(TOKENS_KEY) == MAX_TOKENS
    assert not await redis.hexists(TOKENS_KEY, first.id)
