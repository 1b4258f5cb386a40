"""Every credential format through one run of the real service: no piece of one is in anything that it keeps or says."""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

import httpx
from redis.asyncio import Redis

sys.path.append(str(Path(__file__).resolve().parent.parent / "detectors"))

from key_samples import RECIPES, SAMPLES, cook
from test_crashes import eventually
from test_full_run import OWN_KEY, incidents, post, unpacked

from app.policies.policy import INCIDENT_RULES
from benchmarks.service import TOKENS, Service, running_service
from detectors.defaults import DEFAULTS

PIECE = 12
"""Characters of a credential that must stand nowhere."""
BLOCK = PIECE // 2
QUOTED = ("path", "user_agent")
"""Fields that detectors quote: every credential stands in each of them, and in one of the others in turn."""
OTHERS = ("query", "referer", "message", "user", "host", "api_key_id", "request_id")
STATUSES = (401, 200, 404, 403, 429, 500)
RULES = Path(__file__).resolve().parent.parent / "sigma" / "rules"
ALERTS = sorted(set(DEFAULTS) - INCIDENT_RULES)
POLICY = f"""
own_keys: [pc_live_]
shared_addresses: {{users: 5}}
sigma: {{folder: {RULES}, action: [alert_admin]}}
security_alerts:
{"".join(f"  {name}: {{action: [alert_admin, investigate]}}{chr(10)}" for name in ALERTS)}
incident_detection: {{{", ".join(f"{name}: {{}}" for name in sorted(INCIDENT_RULES))}}}
rules:
  everything: {{where: {{path: {{exists: true}}}}, group_by: user, threshold: 1/1m, action: create_incident}}
  every_host: {{where: {{status: 200}}, group_by: host, threshold: 1/1m}}
  messages: {{where: {{message: {{exists: true}}}}, distinct: message, threshold: 2/1m, action: block_ip}}
"""
ENTITIES = [
    f"user={SAMPLES['github_token'].secret}",
    f"key={SAMPLES['github_token'].text}",
    "user=u",
    "198.51.100.7",
]
MILDER = POLICY.replace("1/1m", "2/1m")


def secrets() -> dict[str, str]:
    """Every made-up credential, by kind."""
    return {kind: sample.secret for kind, sample in SAMPLES.items()} | {"own_key": OWN_KEY}


def pieces() -> dict[bytes, str]:
    """Every piece of a credential, with its kind; without those that all credentials of the kind have in common."""
    found: dict[bytes, str] = {}
    for kind, secret in secrets().items():
        raw = secret.encode()
        fixed = cook(kind, RECIPES[kind], seed=1).secret.encode() if kind in RECIPES else b""
        size = min(PIECE, len(raw))
        for start in range(len(raw) - size + 1):
            piece = raw[start : start + size]
            if piece not in fixed:
                found[piece] = kind
    return found


def shown(texts: Iterator[tuple[str, bytes]]) -> list[tuple[str, str, bytes]]:
    """(where, kind, piece) of pieces of credentials that stand somewhere, plain or percent-encoded.

    Of twelve characters at least one aligned block of six lies within them; only around such a block is compared.
    """
    wanted = pieces()
    short = [piece for piece in wanted if len(piece) < PIECE]
    blocks = {piece[at : at + BLOCK] for piece in wanted for at in range(len(piece) - BLOCK + 1)}
    found = []
    for where, text in texts:
        for form in [text, unquote_to_bytes(text)] if b"%" in text else [text]:
            near = [at for at in range(0, len(form), BLOCK) if form[at : at + BLOCK] in blocks]
            there = {form[at - back : at - back + PIECE] for at in near for back in range(min(at, BLOCK) + 1)}
            found += [(where, wanted[piece], piece) for piece in there & wanted.keys()]
            found += [(where, wanted[piece], piece) for piece in short if piece in form]
    return found


def records(*fields: str) -> list[dict[str, object]]:
    """A record of each format with its credential in one field, taken in turn."""
    texts = [sample.text for sample in SAMPLES.values()] + [f"v={OWN_KEY}"]
    made: list[dict[str, object]] = []
    for number, text in enumerate(texts):
        status, field = STATUSES[number % len(STATUSES)], fields[number % len(fields)]
        known = {"client_ip": f"198.51.100.{number % 40}", "status": status, "path": "/login", "user": "u"}
        made.append(known | {field: f"/{text}" if field == "path" else text})
    return made


async def stored(redis: Redis) -> list[tuple[str, bytes]]:
    """Every key and its value, byte for byte."""
    found = []
    for key in await redis.keys("*"):
        kind = await redis.type(key)
        parts: list[object]
        if kind == b"string":
            parts = [await redis.get(key)]
        elif kind == b"hash":
            parts = [*itertools.chain(*(await redis.hgetall(key)).items())]
        elif kind == b"stream":
            entries = await redis.xrange(key)
            parts = [part for _, fields in entries for pair in fields.items() for part in pair]
        elif kind == b"set":
            parts = [*await redis.smembers(key)]
        else:
            parts = await (redis.lrange if kind == b"list" else redis.zrange)(key, 0, -1)
        found.append((f"Redis {key!r}", b"\n".join([key, *parts])))
    return found


async def in_redis(service: Service) -> list[tuple[str, bytes]]:
    async with Redis(unix_socket_path=str(service.redis_socket)) as redis:
        return await stored(redis)


def pages(client: httpx.Client, path: str) -> Iterator[dict[str, object]]:
    """All items of a list of the admin API."""
    cursor = ""
    while True:
        page = client.get(f"/v1/admin/{path}?limit=200{cursor}").raise_for_status().json()
        yield from page["items"]
        if not page["next_cursor"]:
            return
        cursor = f"&cursor={page['next_cursor']}"


def answers(client: httpx.Client) -> Iterator[tuple[str, bytes]]:
    """What every reading route says."""
    for path in ("incidents", "blocks", "allowlist", "notifications", "audit", "observed"):
        yield path, json.dumps(list(pages(client, path)), ensure_ascii=False).encode()
    for incident in pages(client, "incidents"):
        for more in ("", "/timeline?limit=200"):
            path = f"/v1/admin/incidents/{incident['id']}{more}"
            yield path, client.get(path).raise_for_status().content
        for more in ("", "?format=md"):
            path = f"/v1/admin/incidents/{incident['id']}/dossier{more}"
            yield path, client.get(path).content
    for block in pages(client, "blocks"):
        yield "block", client.get(f"/v1/admin/blocks/{block['id']}").raise_for_status().content
    for path in ("/v1/admin/stats", "/v1/admin/policy", "/v1/blocklist", "/metrics", "/readyz"):
        yield path, client.get(path).content


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the data folder; the journal decompressed."""
    for path in folder.rglob("*"):
        if path.is_file() and "journal" not in path.parts:
            yield str(path), path.read_bytes()
    yield "journal", unpacked(folder / "journal").encode()


def test_no_piece_of_any_credential_is_kept_or_said(tmp_path: Path):
    policy, milder = tmp_path / "policy.yaml", tmp_path / "milder.yaml"
    policy.write_text(POLICY)
    milder.write_text(MILDER)
    with running_service(policy=str(policy)) as service:
        for fields in (*((field,) for field in QUOTED), OTHERS):
            post(service, records(*fields))
        headers = {"X-Api-Key": TOKENS["admin"]}
        with httpx.Client(base_url=service.url, headers=headers, timeout=30) as client:
            assert eventually(lambda: has_settled(service), 90)
            rules = {str(incident["rule"]) for incident in pages(client, "incidents")}
            asked = [client.post("/v1/admin/investigations", json={"entity": entity}) for entity in ENTITIES]
            assert {answer.status_code for answer in asked} <= {202, 422}
            assert eventually(lambda: has_settled(service), 90)
            assert {"api_key_exposure", "everything", "every_host", "messages"} <= rules
            said = [("an investigation", answer.content) for answer in asked]
            said += answers(client)
        assert sum(len(text) for _, text in said) > 1_000_000
        tried = subprocess.run(
            [sys.executable, "-m", "app.cli", "policy", "try", str(milder), "--json"],
            capture_output=True, timeout=60, check=False, env=service.environment,
        )  # fmt: skip
        assert tried.returncode == 0, tried.stderr
        said += [("policy try", tried.stdout + tried.stderr), *asyncio.run(in_redis(service))]
        said += files(service.data_dir)
        assert (
            len([kind for kind in secrets() if any(f"[REDACTED:{kind}".encode() in text for _, text in said)])
            > 500
        )
        assert shown(iter(said)) == []


def has_settled(service: Service) -> bool:
    """Whether every finding has been handled, every message sent and every incident investigated."""

    async def waiting() -> int:
        async with Redis(unix_socket_path=str(service.redis_socket)) as redis:
            found = sum([await redis.xlen(key) for key in await redis.keys("bartizan:*:findings")])
            soon = time.time() * 1000 + 60_000  # those that go on are looked at again later
            return found + await redis.zcount("bartizan:{act}:investigations", "-inf", soon)

    return len(incidents(service)) > 20 and asyncio.run(waiting()) == 0


def test_the_search_finds_a_piece_that_is_there():
    secret = SAMPLES["github_token"].secret
    quoted = "".join(f"%{ord(c):02X}" for c in secret[-20:])
    for text in (f"x{secret[-PIECE:]}x", quoted):
        assert {kind for _, kind, _ in shown(iter([("here", text.encode())]))} == {"github_token"}
    assert shown(iter([("here", secret[-PIECE + 1 :].encode())])) == []
