"""`bartizan tokens`: made, listed and revoked in Redis itself, so that it works for a locked-out operator."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.output import Json, print_fields, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.tokens import Audit, Token, TokenStore

tokens = typer.Typer(help="Make, list and revoke tokens.", no_args_is_help=True)
COLUMNS = [("ID", "id"), ("ROLE", "role"), ("NAME", "name"), ("CREATED", "created_at"), ("ENDS", "ends")]


@tokens.command()
def create(
    role: Annotated[str, typer.Argument(help="ingest, lookup, viewer, responder or admin.")],
    name: Annotated[str, typer.Option(help="Who or what will use it.")],
    ends_in: Annotated[str | None, typer.Option("--for", help="How long it is valid, such as 90d.")] = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it, once. Tokens overlap: revoke the old one when the new one is in use."""
    from app.auth import Role
    from app.durations import parse_duration
    from detectors.timestamps import wall_clock_ms

    if role not in list(Role):
        raise typer.BadParameter(f"choose from {', '.join(Role)}", param_hint="ROLE")
    try:
        expires_at = wall_clock_ms() + parse_duration(ends_in) if ends_in else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from error
    token, secret = _with_store(lambda store, audit: store.create(Role(role), name, expires_at, audit))
    shown = {**_shown(token), "token": secret}
    print_json(shown) if as_json else print_fields(shown)


@tokens.command("list")
def list_tokens(as_json: Json = False) -> None:
    """All tokens that Bartizan keeps. Those of the environment are not among them."""
    rows = [_shown(token) for token in _with_store(lambda store, _: store.all())]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table(rows, COLUMNS, "no tokens")


@tokens.command()
def revoke(token_id: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """End a token; every process refuses it within two seconds."""
    from detectors.errors import ConfigError

    token = _with_store(lambda store, audit: store.revoke(token_id, audit))
    if token is None:
        raise ConfigError(f"no valid token has the id {token_id}")
    shown = _shown(token)
    print_json(shown) if as_json else print_fields(shown)


def _with_store(use: "Callable[[TokenStore, Audit], Awaitable[Any]]") -> Any:
    import asyncio

    from actions.audit import Audit as AuditTrail
    from app.embedded_redis import socket_path
    from app.redis import connected
    from app.settings import load_settings
    from app.tokens import OPERATOR, TokenStore, audit_by
    from detectors.errors import StorageError
    from detectors.timestamps import wall_clock_ms

    settings = load_settings()
    url = settings.redis_url or f"unix://{socket_path(settings.data_dir)}"

    async def run() -> Any:
        async with connected(url) as redis:
            audit = audit_by(AuditTrail(redis, wall_clock_ms), OPERATOR)
            return await use(TokenStore(redis, wall_clock_ms), audit)

    try:
        return asyncio.run(run())
    except StorageError as error:
        hint = "" if settings.redis_url else "; is `bartizan serve` running with this data folder?"
        raise StorageError(f"{error}{hint}") from error


def _shown(token: "Token") -> dict[str, Any]:
    from detectors.timestamps import to_rfc3339

    ends = "never" if token.expires_at is None else to_rfc3339(token.expires_at)
    return {
        "id": token.id,
        "role": token.role.value,
        "name": token.name,
        "created_at": to_rfc3339(token.created_at),
        "ends": ends if token.revoked_at is None else f"revoked {to_rfc3339(token.revoked_at)}",
    }
