"""`bartizan serve`: the address, Redis, the first tokens, the workers, and a clean end."""

import asyncio
import gc
import os
import random
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from app.auth import Role, outside_tokens
from app.channels import check_channels
from app.embedded_redis import embedded
from app.log import configure_logging
from app.metrics import prepare_multiprocess
from app.policies.store import PolicyStore
from app.redis import connected
from app.settings import PREFIX, Settings
from app.tokens import TokenStore, ensure_tokens
from detectors.errors import ConfigError, StorageError
from detectors.timestamps import wall_clock_ms

BACKLOG = 2048
KEEP_ALIVE_S = 75
"""Longer than nginx keeps an idle upstream connection (60 s), so that nginx closes first.

Source: ngx_http_upstream_module, keepalive_timeout.
"""
GRACE_S = 5
"""For requests in flight at the end; long polls are answered at once."""
EXAMPLE_FAILURES = 10

log = structlog.get_logger(__name__)


def serve(settings: Settings, *, access_log: bool = False) -> None:
    """Serve until told to stop. Raises: ConfigError, before anything has been left behind."""
    configure_logging(settings.log_format)
    # A wrong policy, or a channel's secret that is not here, stops the start at this point.
    policy = PolicyStore(settings.policy, is_required=settings.policy_is_named).current
    check_channels(policy.channels, settings.data_dir)
    with ExitStack() as stack:
        stack.enter_context(_ended_by_signals())
        listener = stack.enter_context(listen(settings.host, settings.port))
        if settings.redis_url is None:
            server = stack.enter_context(embedded(settings.data_dir))
            settings = settings.model_copy(update={"redis_url": server.url})
            os.environ[f"{PREFIX}REDIS_URL"] = server.url
        try:
            made = asyncio.run(_first_tokens(settings))
        except StorageError as error:
            made = {}
            log.warning("redis_away_at_start", error=str(error))
        port = listener.getsockname()[1]
        sys.stdout.write(banner(settings, port, made))
        sys.stdout.flush()
        _run(settings, listener, access_log=access_log)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into a clean end with exit code 0, before, while and after uvicorn runs.

    uvicorn raises the signal again when it is done; without this it would kill us before Redis is stopped.
    """

    def end(_number: int, _frame: object) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # what follows is the end; a second signal cannot hurry it
        raise SystemExit(0)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises: ConfigError in one line where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


async def _first_tokens(settings: Settings) -> dict[Role, str]:
    assert settings.redis_url is not None  # noqa: S101 - the caller has just set it
    async with connected(settings.redis_url) as redis:
        return await ensure_tokens(TokenStore(redis, wall_clock_ms), settings, wall_clock_ms())


def _run(settings: Settings, listener: socket.socket, *, access_log: bool) -> None:
    config = uvicorn.Config(
        "app.worker:app_from_environment",
        factory=True,
        workers=settings.workers,
        log_config=None,
        access_log=access_log,
        proxy_headers=False,  # the client's address is found by our own rules (BARTIZAN_TRUSTED_PROXIES)
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    if settings.workers > 1:
        prepare_multiprocess(settings.data_dir)
        gc.enable()  # this process only watches its workers; each of them turns it off while it starts
        Multiprocess(config, sockets=[listener]).run()
        return
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    if not server.started:
        raise ConfigError("the service did not start; the log says why")


def banner(settings: Settings, port: int, made: dict[Role, str]) -> str:
    """What a person needs first: the address, the tokens, and one line that gets an address blocked."""
    url = settings.model_copy(update={"port": port}).own_url
    file = settings.tokens_file.resolve()
    lines = ["", f"Bartizan is at {url}", ""]
    if made:
        lines.append(f"Tokens, shown this once and written to {file}:")
        lines += [f"  {role.value:<10} {secret}" for role, secret in made.items()]
    elif file.exists():
        lines.append(f"Tokens are in {file}.")
    else:
        lines.append("Tokens are those of the environment.")
    address = f"203.0.113.{random.randint(1, 254)}"  # noqa: S311 - an example, not a secret
    event = f'{{"client_ip":"{address}","method":"POST","path":"/login","status":401}}'
    counting = " ".join(str(number) for number in range(1, EXAMPLE_FAILURES + 1))
    ingest, lookup = (_shell_token(settings, role, made, file) for role in (Role.INGEST, Role.LOOKUP))
    lines += [
        "",
        f"Get {address} blocked with {EXAMPLE_FAILURES} failed logins:",
        f'  curl -sS {url}/v1/events -H "Authorization: Bearer {ingest}" '
        f"--data-binary \"$(printf '{event}\\n%.0s' {counting})\"",
        "and see that it is:",
        f'  curl -sS {url}/v1/lookup/{address} -H "Authorization: Bearer {lookup}"',
        "",
        "",
    ]
    return "\n".join(lines)


def _shell_token(settings: Settings, role: Role, made: dict[Role, str], file: Path) -> str:
    """How a shell gets at a token: itself where it was just shown, else from where it is kept."""
    variable = f"{PREFIX}{role.value.upper()}_TOKEN"
    if role in made:
        return made[role]
    if role in outside_tokens(settings):
        return f"${variable}"
    return f"$(sed -n 's/^{variable}=//p' {shlex.quote(str(file))})"
