"""`bartizan doctor`: one line for each thing that must be right."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import typer

from app.auth import WEAK_LENGTH, outside_tokens
from app.commands.output import print_json, printable
from app.embedded_redis import find_binary, major_version, socket_path
from app.policies.store import PolicyStore
from app.redis import connected, ping
from app.settings import Settings, load_settings
from detectors.errors import BartizanError, ConfigError

CLOCK_LIMIT_S = 5.0
"""A clock this far off makes blocks end at the wrong time; NTP keeps machines within milliseconds."""
TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Check:
    """What was looked at, whether it is right, and in words."""

    name: str
    is_right: bool
    says: str


def examine(*, as_json: bool) -> int:
    """Print every check; 0 where all are right, else 1."""
    try:
        checks = list(_checks(load_settings()))
    except ConfigError as error:
        checks = [Check("settings", False, line) for line in str(error).splitlines()]
    for check in checks:
        if as_json:
            print_json({"check": check.name, "ok": check.is_right, "detail": check.says})
        else:
            mark = "ok  " if check.is_right else "FAIL"
            typer.echo(f"{mark} {check.name:<9} {printable(check.says)}")
    return 0 if all(check.is_right for check in checks) else 1


def _checks(settings: Settings) -> Iterator[Check]:
    yield Check("settings", True, f"data in {settings.data_dir.resolve()}, service at {settings.own_url}")
    yield from _tokens(settings)
    yield from _redis(settings)
    yield _policy(settings)
    yield from _databases(settings)
    yield _service(settings)


def _tokens(settings: Settings) -> Iterator[Check]:
    for role, secret in outside_tokens(settings).items():
        if len(secret) < WEAK_LENGTH:
            yield Check("tokens", False, f"the {role.value} token has fewer than {WEAK_LENGTH} characters")
    file = settings.tokens_file
    if file.exists() and file.stat().st_mode & 0o077:
        yield Check("tokens", False, f"{file} can be read by others: chmod 600 {file}")


def _redis(settings: Settings) -> Iterator[Check]:
    if settings.redis_url is None:
        try:
            binary = find_binary()
            yield Check("server", True, f"{binary}, version {major_version(binary)}")
        except ConfigError as error:
            yield Check("server", False, str(error))
    url = settings.redis_url or f"unix://{socket_path(settings.data_dir)}"
    try:
        skew_s, took_ms, version = asyncio.run(_ask_redis(url))
    except (BartizanError, OSError) as error:
        hint = "" if settings.redis_url else " (the embedded server runs while `bartizan serve` does)"
        yield Check("redis", False, f"{error}{hint}")
        return
    yield Check("redis", True, f"version {version}, answered in {took_ms:.1f} ms")
    yield Check("clock", abs(skew_s) <= CLOCK_LIMIT_S, f"{skew_s:+.3f} s from the clock of Redis")


async def _ask_redis(url: str) -> tuple[float, float, str]:
    """How far its clock is from ours in seconds, how long it took in ms, and its version."""
    async with connected(url) as redis:
        await ping(redis)
        started = time.perf_counter()
        seconds, micros = await redis.time()
        took_s = time.perf_counter() - started
        info = await redis.info("server")
        return time.time() - took_s / 2 - (seconds + micros / 1e6), took_s * 1000, str(info["redis_version"])


def _policy(settings: Settings) -> Check:
    try:
        found = PolicyStore(settings.policy, is_required=settings.policy_is_named).current
    except ConfigError as error:
        return Check("policy", False, str(error))
    return Check("policy", True, f"{found.source}, {len(found.rules)} rules")


def _databases(settings: Settings) -> Iterator[Check]:
    import maxminddb

    for path in (settings.geoip_city_db, settings.geoip_asn_db):
        if path is None:
            continue
        try:
            with maxminddb.open_database(path) as reader:
                found = reader.metadata()
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            yield Check("geoip", False, f"{path}: {error}")
        else:
            age_days = (time.time() - found.build_epoch) / 86_400
            yield Check("geoip", True, f"{path.name}: {found.database_type}, {age_days:.0f} days old")


def _service(settings: Settings) -> Check:
    try:
        answer = httpx.get(f"{settings.own_url}/readyz", timeout=TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Check("service", False, f"{settings.own_url} does not answer: {type(error).__name__}")
    return Check("service", answer.is_success, f"{settings.own_url}/readyz says {answer.status_code}")
