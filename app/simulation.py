"""Attacks as logs show them, made up: what `bartizan simulate attack` sends. Addresses are those of RFC 5737."""

import enum
import random
import string
from collections.abc import Callable
from typing import Any

from detectors.timestamps import to_rfc3339

Record = dict[str, Any]
"""One event in the names of `POST /v1/events`."""
SPREAD_MS = 40_000
"""An attack's events lie within so long before now: inside every window that it is to fill."""
HOST = "simulated.example"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class AttackKind(enum.StrEnum):
    """What can be simulated."""

    CREDENTIAL_STUFFING = "credential_stuffing"
    BRUTE_FORCE = "brute_force"
    BREACH = "breach"
    SCAN = "scan"
    RATE_LIMIT = "rate_limit"
    KEY_LEAK = "key_leak"
    OUTAGE = "outage"


RULE_OF = {
    AttackKind.CREDENTIAL_STUFFING: "credential_stuffing",
    AttackKind.BRUTE_FORCE: "auth_failures",
    AttackKind.BREACH: "security_breach",
    AttackKind.SCAN: "suspicious_activity",
    AttackKind.RATE_LIMIT: "rate_limit_violations",
    AttackKind.KEY_LEAK: "api_key_exposure",
    AttackKind.OUTAGE: "health_check_failure",
}
"""The rule that is to find it."""
PROBES = (
    *("/.env", "/.git/config", "/wp-login.php", "/phpmyadmin/index.php", "/backup.sql", "/.aws/credentials"),
    *("/admin/config.php", "/cgi-bin/test.cgi", "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php"),
    *(
        "/?id=1%27%20UNION%20SELECT%20username,password%20FROM%20users--",
        "/download?file=../../../etc/passwd",
    ),
)


def address_for(chance: random.Random) -> str:
    """An address of TEST-NET-3, which belongs to nobody. Source: RFC 5737, section 3."""
    return f"203.0.113.{chance.randint(1, 254)}"


def attack(kind: AttackKind, address: str, now: int, chance: random.Random) -> list[Record]:
    """The events of one attack, oldest first, the newest at `now` (epoch ms)."""
    records = _MAKERS[kind](chance)
    step = SPREAD_MS / max(1, len(records) - 1)
    return [
        {
            "timestamp": to_rfc3339(int(now - SPREAD_MS + number * step)),
            "client_ip": address,
            "host": HOST,
            "user_agent": BROWSER,
            "request_id": f"simulated-{chance.getrandbits(64):016x}",
            **record,
        }
        for number, record in enumerate(records)
    ]


def _login(user: str, status: int) -> Record:
    return {"method": "POST", "path": "/api/auth/login", "status": status, "user": user}


def _stuffing(chance: random.Random) -> list[Record]:
    names = [f"simulated-{''.join(chance.choices(string.ascii_lowercase, k=6))}" for _ in range(40)]
    return [_login(name, 401) for name in names]


def _brute_force(_: random.Random) -> list[Record]:
    return [_login("simulated-user", 401) for _ in range(12)]


def _breach(_: random.Random) -> list[Record]:
    return [*(_login("simulated-user", 401) for _ in range(14)), _login("simulated-user", 200)]


def _scan(_: random.Random) -> list[Record]:
    return [{"method": "GET", "path": path, "status": 404} for path in PROBES * 2]


def _rate_limit(_: random.Random) -> list[Record]:
    return [{"method": "GET", "path": "/api/orders", "status": 429} for _ in range(60)]


def _key_leak(chance: random.Random) -> list[Record]:
    key = "ghp_" + "".join(chance.choices(string.ascii_letters + string.digits, k=36))
    return [{"method": "GET", "path": "/api/orders", "query": f"access_token={key}", "status": 200}]


def _outage(_: random.Random) -> list[Record]:
    return [{"method": "GET", "path": "/api/health", "status": 503} for _ in range(4)]


_MAKERS: dict[AttackKind, Callable[[random.Random], list[Record]]] = {
    AttackKind.CREDENTIAL_STUFFING: _stuffing,
    AttackKind.BRUTE_FORCE: _brute_force,
    AttackKind.BREACH: _breach,
    AttackKind.SCAN: _scan,
    AttackKind.RATE_LIMIT: _rate_limit,
    AttackKind.KEY_LEAK: _key_leak,
    AttackKind.OUTAGE: _outage,
}
