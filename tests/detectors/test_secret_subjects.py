"""A subject that its own record shows to be a credential is named by its fingerprint, in whatever field it stands."""

import hashlib
import json

import pytest
from msgspec import structs
from redis.asyncio import Redis

from detectors.defaults import DEFAULTS
from detectors.engine import Engine
from detectors.event import Batch, Event
from detectors.finding import SubjectKind
from detectors.timestamps import to_rfc3339
from detectors.windows import Windows

T0 = 1_764_000_000_000
KEY = "q7Zt93hXz0LmPq4vB2nK8sWd"


async def subjects(redis: Redis, rule: str, events: list[Event], **changed: object) -> list[str]:
    """Whom the rule finds; fails where the key stands anywhere in Redis."""
    engine = Engine([structs.replace(DEFAULTS[rule], **changed)], Windows(redis), fingerprint_key=b"k" * 32)
    events = [structs.replace(e, timestamp=to_rfc3339(T0 + 30 * i)) for i, e in enumerate(events)]
    records = [json.dumps({f: getattr(e, f) for f in e.__struct_fields__}).encode() for e in events]
    done = await engine.process(Batch(events, records, T0 + 60_000, "test"))
    assert not [name for name in await stored(redis) if KEY.encode() in name]
    return [crossed.group.subject for crossed in done.crossed]


async def stored(redis: Redis) -> list[bytes]:
    """Every name and every value, as bytes."""
    found = []
    async for name in redis.scan_iter():
        kind = (await redis.type(name)).decode()
        read = {
            "string": lambda n: redis.get(n),
            "stream": lambda n: redis.xrange(n),
            "hash": lambda n: redis.hgetall(n),
            "set": lambda n: redis.smembers(n),
            "zset": lambda n: redis.zrange(n, 0, -1),
            "list": lambda n: redis.lrange(n, 0, -1),
        }[kind]
        found += [name, repr(await read(name)).encode()]
    return found


async def test_a_key_that_stands_in_the_url_too_is_named_by_its_fingerprint(redis: Redis):
    events = [
        Event(client_ip=f"198.51.{i}.9", path=f"/v1/things?api_key={KEY}", status=200, api_key_id=KEY)
        for i in range(12)
    ]
    [subject] = await subjects(redis, "key_shared", events)
    assert ":v1:" in subject


async def test_a_key_of_a_record_with_too_many_credentials_is_masked_as_a_whole(redis: Redis):
    query = "&".join(f"password=x{i}Zq8kTr{i * 7919}" for i in range(40))
    events = [
        Event(client_ip=f"198.51.{i}.9", path=f"/v1?{query}&api_key={KEY}", status=200, api_key_id=KEY)
        for i in range(12)
    ]
    assert await subjects(redis, "key_shared", events) == ["[REDACTED: many credentials]"]


@pytest.mark.parametrize("user", [KEY, f"bob:{KEY}"])
async def test_a_user_that_holds_a_credential_of_the_record_is_masked(redis: Redis, user: str):
    events = [
        Event(client_ip="203.0.113.9", path=f"/login?password={KEY}", status=401, user=user)
        for _ in range(12)
    ]
    [subject] = await subjects(redis, "auth_failures", events, group_by=(SubjectKind.USER,))
    assert "query_secret:" in subject


@pytest.mark.parametrize("host", [KEY, f"{KEY}.example.com", "Hostd90hXz0\\q"])
async def test_a_host_that_holds_a_credential_of_the_record_is_masked(redis: Redis, host: str):
    secret = KEY if KEY in host else "Hostd90hXz0%5Cq"
    events = [Event(client_ip="203.0.113.9", path=f"/a?password={secret}", status=500, host=host)] * 500
    [subject] = await subjects(redis, "high_error_rate", events)
    assert "query_secret:" in subject
    assert "Hostd90" not in subject


async def test_a_host_named_beside_too_many_credentials_still_counts_for_itself(redis: Redis):
    query = "&".join(f"password=x{i}Zq8kTr{i * 7919}" for i in range(40))
    events = [Event(path="/a", status=500, host="api.example.com")] * 500
    events.append(Event(path=f"/a?{query}", status=200, host="api.example.com"))
    assert await subjects(redis, "high_error_rate", events) == ["api.example.com"]


async def test_refused_keys_are_told_apart_by_what_nobody_can_compute_without_the_fingerprint_key(
    redis: Redis,
):
    keys = [f"guess-{i}" for i in range(8)]
    events = [Event(client_ip="203.0.113.9", path="/v1", status=403, api_key_id=key) for key in keys]
    assert await subjects(redis, "token_cracking", events) == []
    plain = hashlib.blake2b(keys[0].encode(), digest_size=8).hexdigest().encode()
    assert not [value for value in await stored(redis) if plain in value]
