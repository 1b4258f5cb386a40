"""`bartizan blocks import`, `export` and `undo-import`: files of blocks, over the HTTP API."""

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from app.commands.blocks import BLOCKS, Reason, blocks
from app.commands.import_progress import Ask, shown
from app.commands.output import Json, print_fields, print_json, printable
from detectors.errors import ConfigError

if TYPE_CHECKING:
    from app.commands.api import Api

__all__ = ["blocks"]

TIMEOUT_S = 600.0
"""100,000 entries take seconds; a service that is busy takes longer."""
PIPE = "-"
FORMATS = "plain, csv, json or crowdsec"


@blocks.command("import")
def import_file(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The file; - reads standard input.")],
    reason: Reason,
    form: Annotated[str | None, typer.Option("--format", help=f"{FORMATS}; else by its looks.")] = None,
    duration: Annotated[str, typer.Option("--for", "--duration", help="Of entries that name none.")] = "4h",
    kind: Annotated[str, typer.Option("--type", help="Of entries that name none.")] = "ban",
    force: Annotated[bool, typer.Option(help="Block even very wide networks.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only say what would become of it.")] = False,
    import_id: Annotated[
        str | None, typer.Option("--id", help="Of one that was cut short, to complete it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Block all that a file holds: plain lines, CSV, JSON, CrowdSec's decisions."""
    from app.commands.api import Api, ApiError

    data, import_id = _read(file), import_id or secrets.token_hex(6)
    params = {
        "reason": reason,
        "format": form,
        "duration": duration,
        "type": kind,
        "force": "true" if force else None,
        "dry_run": "true" if dry_run else None,
        "id": import_id,
    }
    try:
        with Api(timeout_s=TIMEOUT_S) as api, shown(f"Importing {file}", _asking(api, import_id)):
            done = api.upload(f"{BLOCKS}/import", params, data)
    except ApiError as error:
        if not dry_run and not 400 <= error.status < 500:  # it may have begun
            typer.echo(f"To complete it: the same once more with --id {import_id}", err=True)
        raise
    if as_json:
        print_json(done)
        return
    _tell(done)


def _asking(api: "Api", import_id: str) -> Ask:
    """Asks the service how far an import has come; a failure says nothing, the import itself will tell."""
    from app.commands.api import ApiError

    def ask() -> tuple[int, int] | None:
        try:
            found = api.call("GET", f"{BLOCKS}/imports/{quote(import_id, safe='')}")
        except (ApiError, RuntimeError):  # RuntimeError: the connection was closed meanwhile
            return None
        return found["done"], found["total"]

    return ask


def _tell(done: dict[str, Any]) -> None:
    errors = done.pop("errors")
    done["refused_by"] = ", ".join(f"{why} {n}" for why, n in done["refused_by"].items())
    print_fields(done)
    for error in errors:
        value = f" {error['value']}" if error["value"] else ""
        typer.echo(printable(f"line {error['line']}:{value} {error['error']}"), err=True)
    missing = done["refused"] + done["unreadable"] - len(errors)
    if missing:
        typer.echo(f"and {missing} more", err=True)
    if done["made"] and not done["dry_run"]:
        typer.echo(f"To take it back: bartizan blocks undo-import {done['id']} --reason ...")


@blocks.command("export")
def export_file(
    file: Annotated[str, typer.Argument(metavar="FILE|-")] = PIPE,
    form: Annotated[str, typer.Option("--format", help=FORMATS)] = "json",
) -> None:
    """Write our own decisions in force to a file, in a form that import takes again."""
    from app.commands.api import Api

    with Api(timeout_s=TIMEOUT_S) as api, _waiting("Exporting"):
        text = api.text(f"{BLOCKS}/export", {"format": form})
    if file == PIPE:
        typer.echo(text, nl=False)
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error


@blocks.command("undo-import")
def undo_import(
    import_id: Annotated[str, typer.Argument(metavar="ID")], reason: Reason, as_json: Json = False
) -> None:
    """Lift every block that an import made and that is still in force."""
    from app.commands.api import Api

    with Api(timeout_s=TIMEOUT_S) as api:
        answer = api.call(
            "DELETE", f"{BLOCKS}/imports/{quote(import_id, safe='')}", params={"reason": reason}
        )
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"lifted {answer['lifted']}")


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == PIPE else Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error


def _waiting(what: str) -> Any:
    """A sign of life on a terminal; nothing on a pipe."""
    from rich.console import Console

    return Console(stderr=True).status(printable(what))
