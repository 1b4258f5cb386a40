"""Made-up traffic: mostly ordinary requests of many clients, with a few attackers among them."""

import json
import random
from datetime import UTC, datetime, timedelta

ATTACKERS = 20
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile",
    "python-requests/2.32",
)
PROBES = ("/.env", "/.git/config", "/phpmyadmin/index.php", "/search?q=1%27%20or%201=1--", "/wp-login.php")


def requests(count: int, seed: int, start: datetime) -> list[dict[str, object]]:
    """1 in 100 is a failed login of one of 20 attackers, 1 in 200 a probe, 2 in 100 an ordinary 404."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        draw = rng.random()
        status, path, method = 200, f"/api/v1/posts/{rng.randrange(10_000)}", "GET"
        address = f"198.{rng.randrange(18, 20)}.{rng.randrange(256)}.{rng.randrange(256)}"
        if draw < 0.01:
            status, path, method = 401, "/api/v1/login", "POST"
            address = f"203.0.113.{rng.randrange(ATTACKERS)}"
        elif draw < 0.015:
            status, path, address = 404, rng.choice(PROBES), f"203.0.113.{100 + rng.randrange(ATTACKERS)}"
        elif draw < 0.035:
            status = 404
        at = start + timedelta(milliseconds=number)
        made.append(
            {
                "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
                "client_ip": address,
                "method": method,
                "path": path,
                "status": status,
                "bytes": rng.randrange(200, 20_000),
                "user_agent": rng.choice(AGENTS)[:64],
                "host": "api.example.org",
                "request_id": f"{rng.getrandbits(64):016x}",
            }
        )
    return made


def as_ndjson(made: list[dict[str, object]]) -> bytes:
    return b"".join(json.dumps(r, separators=(",", ":")).encode() + b"\n" for r in made)


def as_combined(made: list[dict[str, object]]) -> bytes:
    lines = []
    for r in made:
        at = datetime.fromisoformat(str(r["timestamp"]))
        lines.append(
            f'{r["client_ip"]} - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "{r["method"]} {r["path"]} HTTP/1.1" '
            f'{r["status"]} {r["bytes"]} "-" "{r["user_agent"]} {r["request_id"]}"\n'
        )
    return "".join(lines).encode()


def bodies(count: int, size: int, *, combined: bool = False) -> list[bytes]:
    """`count` different bodies of `size` records, around now."""
    now = datetime.now(UTC) - timedelta(seconds=size / 1000 + 1)
    write = as_combined if combined else as_ndjson
    return [write(requests(size, seed, now)) for seed in range(count)]
