"""`bartizan blocklists`: external lists, over the HTTP API."""

from typing import Annotated
from urllib.parse import quote

import typer

from app.commands.output import Json, print_json, print_table

blocklists = typer.Typer(help="External blocklists that the policy names.", no_args_is_help=True)

PATH = "/v1/admin/blocklists"
COLUMNS = [
    *(("NAME", "name"), ("TYPE", "type"), ("ENTRIES", "entries"), ("SKIPPED", "skipped"), ("FROM", "place")),
    *(("CHANGED", "fetched_at"), ("HAD", "good_at"), ("NEXT", "next_at"), ("ERROR", "error")),
]


@blocklists.command("list")
def list_blocklists(as_json: Json = False) -> None:
    """How each is doing."""
    from app.commands.api import Api

    with Api() as api:
        rows = api.items(PATH, {}, 100)
    if as_json:
        for row in rows:
            print_json(row)
        return
    print_table(rows, COLUMNS, "the policy names no external list, or none was looked at yet")


@blocklists.command()
def refresh(name: Annotated[str, typer.Argument()], as_json: Json = False) -> None:
    """Fetch one anew, within five seconds."""
    from app.commands.api import Api

    with Api() as api:
        found = api.call("POST", f"{PATH}/{quote(name, safe='')}/refresh", body={})
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{name} is fetched within five seconds; see bartizan blocklists list")
