"""One run of the real service through every rule and action: what it keeps, and what it must not keep."""

import asyncio
import json
import sys
from pathlib import Path

import httpx
import zstandard
from redis.asyncio import Redis
from shipping import ship

sys.path.append(str(Path(__file__).resolve().parent.parent / "detectors"))
sys.path.append(str(Path(__file__).resolve().parent.parent / "house"))

from samples import SECRETS as ALL_SECRETS
from test_crashes import eventually
from test_redis_keys import check_keys

from benchmarks.service import TOKENS, Service, running_service

OWN_KEY = "pc_live_" + "q7Rk2Zx9Lm4Tb8Vn3Wc6"
SECRETS = dict(list(ALL_SECRETS.items())[::12]) | {
    "own_key_pc_live": (OWN_KEY, "GET /x?v={}"),
    "of_a_name": ("tR8vLq2ZkP0xWm5Nd7Yb", '{"token": "{}"}'),
    "of_several_words": ("many brown horses walk", '{"password": "{}"}'),
    "in_a_pair": ("Hs5Jf0GpQ9aLz3", '{"name": "X-Api-Key", "value": "{}"}'),
}
"""As many as one page of incidents holds; tests/detectors/test_engine.py tries all."""
POLICY = """
own_keys: [pc_live_]
security_alerts:
  auth_failures: {threshold: 10/minute, action: [block_ip, alert_admin, investigate]}
  rate_limit_violations: {threshold: 50/minute, action: alert_admin, mode: observe}
  suspicious_activity: {threshold: 5/minute, action: [investigate, block_ip], mode: propose}
  api_key_exposure: {threshold: 1/minute, action: alert_admin}
incident_detection:
  health_check_failure: {threshold: 3, action: create_incident}
  high_error_rate: {threshold: 10%, action: create_incident}
  security_breach: {threshold: 1, action: create_incident_immediate}
"""


def post(service: Service, events: list[dict[str, object]]) -> None:
    body = "\n".join(json.dumps(event) for event in events).encode()
    answer = ship(f"{service.url}/v1/events", body, TOKENS["ingest"])
    assert answer.status_code == 200, answer.text


def incidents(service: Service) -> list[dict[str, object]]:
    headers = {"X-Api-Key": TOKENS["viewer"]}
    return httpx.get(f"{service.url}/v1/admin/incidents?limit=200", headers=headers).json()["items"]


def every_sort_of_trouble(service: Service) -> None:
    secrets = [text.replace("{}", secret) for secret, text in SECRETS.values()]
    post(service, [{"client_ip": "198.51.100.1", "status": 401, "user": s, "path": "/" + s} for s in secrets])
    post(
        service,
        [{"client_ip": "198.51.100.2", "message": s, "user_agent": s, "status": 200} for s in secrets],
    )
    post(service, [{"client_ip": "198.51.100.3", "status": 429, "path": "/" + s} for s in secrets * 2])
    post(service, [{"client_ip": "198.51.100.4", "status": 404, "path": f"/.env?{s}"} for s in secrets])
    post(service, [{"client_ip": "198.51.100.5", "status": 503, "path": "/api/health", "method": "GET"}] * 3)
    post(service, [{"client_ip": "198.51.100.6", "status": 200, "path": "/.env", "bytes": 99}])
    old = {"timestamp": "2026-01-01T00:00:00Z", "status": 500, "host": "x.example.org"}
    post(service, [old] * 200 + [{**old, "timestamp": "2026-01-01T00:01:00Z"}])


def post_broken(service: Service) -> int:
    """Records that cannot be decoded, with every secret in them; says how many."""
    texts = [text.replace("{}", secret) for secret, text in SECRETS.values()]
    broken = [json.dumps({"client_ip": "198.51.100.9", "message": text})[:-1] for text in texts]
    answer = httpx.post(
        f"{service.url}/v1/events", content="\n".join(broken), headers={"X-Api-Key": TOKENS["ingest"]}
    )
    assert answer.status_code == 422, answer.text
    return len(broken)


def rejected(service: Service) -> list[dict[str, object]]:
    headers = {"X-Api-Key": TOKENS["viewer"]}
    return httpx.get(f"{service.url}/v1/admin/rejected?limit=500", headers=headers).json()["items"]


async def stored_texts(redis: Redis) -> list[str]:
    """Every key with everything under it, as text."""
    readers = {
        b"string": redis.get,
        b"set": redis.smembers,
        b"hash": redis.hgetall,
        b"stream": redis.xrange,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"zset": lambda key: redis.zrange(key, 0, -1),
    }
    return [repr((key, await readers[await redis.type(key)](key))) for key in await redis.keys("*")]


async def kept(service: Service) -> tuple[int, list[str]]:
    """How many rows of docs/redis.md were met, and all that is stored."""
    async with Redis(unix_socket_path=str(service.redis_socket)) as redis:
        return await check_keys(redis), await stored_texts(redis)


def unpacked(folder: Path) -> str:
    """Everything in the journal so far."""
    texts = []
    for path in folder.iterdir():
        with path.open("rb") as file:
            texts.append(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read())
    return b"".join(texts).decode("utf-8", "replace")


def test_every_rule_acts_every_key_is_documented_and_no_secret_is_stored(tmp_path: Path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    with running_service(policy=str(policy)) as service:
        every_sort_of_trouble(service)
        wanted = {"auth_failures", "suspicious_activity", "api_key_exposure", "health_check_failure",
                  "high_error_rate", "security_breach"}  # fmt: skip
        assert eventually(lambda: {i["rule"] for i in incidents(service)} == wanted)
        admin = {"X-Api-Key": TOKENS["admin"]}
        block = {"value": "192.0.2.0/28", "duration": "1h", "reason": "a test"}
        made = httpx.post(f"{service.url}/v1/admin/blocks", json=block, headers=admin)
        assert made.status_code == 201, made.text
        entry = {"value": "192.0.2.0/24", "note": "ours"}
        assert httpx.post(f"{service.url}/v1/admin/allowlist", json=entry, headers=admin).status_code == 201
        broken = post_broken(service)
        assert eventually(lambda: len(rejected(service)) == broken)
        assert eventually_empty(service)
        met, texts = asyncio.run(kept(service))
        assert met > 20
        answers = [
            httpx.get(f"{service.url}/v1/admin/{name}?limit=200", headers=admin).text
            for name in ("incidents", "blocks", "notifications", "audit", "sources", "rejected")
        ]
        answers += [
            httpx.get(f"{service.url}/v1/admin/incidents/{i['id']}{more}", headers=admin).text
            for i in incidents(service)
            for more in ("", "/timeline")
        ]
        files = [p.read_bytes().decode("utf-8", "replace") for p in service.data_dir.rglob("*.log")]
        files += [journaled := unpacked(service.data_dir / "journal")]
        assert answers[5].count("[REDACTED:") >= broken
        assert journaled.count("[REDACTED:") > len(SECRETS)
        for kind, (secret, _) in SECRETS.items():
            for text in [*texts, *answers, *files]:
                assert secret not in text, (kind, text[:200])


def test_a_changed_prefix_is_taken_up_without_a_restart(tmp_path: Path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    with running_service(policy=str(policy)) as service:
        assert list((service.data_dir / "cache").glob("patterns-*.hsdb"))
        policy.write_text(POLICY.replace("pc_live_", "{prefix: zq_prod_, severity: medium}"))
        key = OWN_KEY.replace("pc_live_", "zq_prod_")

        def is_found() -> bool:
            post(service, [{"client_ip": "198.51.100.7", "message": f"key {key}"}])
            found = [i for i in incidents(service) if "own_key_zq_prod:" in str(i["subject"])]
            return bool(found) and found[0]["severity"] == "medium"

        assert eventually(is_found)


def eventually_empty(service: Service) -> bool:
    """Whether all findings have been handled."""
    headers = {"X-Api-Key": TOKENS["viewer"]}
    return eventually(
        lambda: bool(httpx.get(f"{service.url}/v1/admin/notifications", headers=headers).json()["items"])
    )
