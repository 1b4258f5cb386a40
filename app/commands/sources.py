"""`bartizan sources list` and `bartizan rejected list|reingest`, over the HTTP API."""

from typing import Annotated, Any

import typer

from app.commands.blocks import Limit, show_all
from app.commands.output import Json, print_fields, print_json

sources = typer.Typer(help="Who sends logs, and what comes of them.", no_args_is_help=True)
rejected = typer.Typer(help="Records that could not be decoded.", no_args_is_help=True)

SOURCES, REJECTED = "/v1/admin/sources", "/v1/admin/rejected"
SOURCE_COLUMNS = [
    *(("SOURCE", "id"), ("NAME", "token_name"), ("STATE", "state"), ("LAST SEEN", "last_seen")),
    *(("ACCEPTED", "accepted"), ("REJECTED", "rejected"), ("NO ADDRESS", "no_client_ip")),
    *(("NO STATUS", "no_status"), ("SKEW MS", "skew_ms"), ("COMMONEST REASON", "reason")),
]
REJECTED_COLUMNS = [
    *(("ID", "id"), ("AT", "received_at"), ("WHAT", "form"), ("REASON", "reason"), ("RECORD", "record")),
]
SHOWN_CHARACTERS = 200
ERRORS_SHOWN = 20
Source = Annotated[str | None, typer.Option(help="Only those of this source, as `sources list` shows it.")]
Reason = Annotated[str | None, typer.Option(help="Only those rejected for this.")]


@sources.command("list")
def list_sources(limit: Limit = 100, as_json: Json = False) -> None:
    """Every source of the last 30 days, with today's numbers."""
    from app.commands.api import Api

    with Api() as api:
        rows = api.items(SOURCES, {}, limit)
    if not as_json:
        rows = [{**row, **row["today"], "reason": next(iter(row["today"]["reasons"]), "")} for row in rows]
    show_all(rows, SOURCE_COLUMNS, "nobody has sent anything", as_json=as_json)


@rejected.command("list")
def list_rejected(
    source: Source = None, reason: Reason = None, limit: Limit = 100, as_json: Json = False
) -> None:
    """What was rejected in the last 24 hours, newest first. --json shows the records whole."""
    from app.commands.api import Api

    with Api() as api:
        rows = api.items(REJECTED, {"source": source, "reason": reason}, limit)
    if not as_json:
        rows = [{**row, "record": row["record"][:SHOWN_CHARACTERS]} for row in rows]
    show_all(rows, REJECTED_COLUMNS, "nothing was rejected", as_json=as_json)


@rejected.command()
def reingest(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="These only.")] = None,
    source: Source = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Decode rejected records once more, after a fix, and count those that are events now."""
    from app.commands.api import Api

    body: dict[str, Any] = {"source": source, "reason": reason, "ids": ids or [], "cursor": None}
    total = {"accepted": 0, "rejected": 0, "duplicates": 0}
    errors: list[dict[str, str]] = []
    with Api(timeout_s=60) as api:
        while True:
            answer = api.call("POST", f"{REJECTED}/reingest", body=body)
            total = {name: number + answer[name] for name, number in total.items()}
            errors += answer.get("errors", [])  # a service of before has none
            body["cursor"] = answer["next_cursor"]
            if body["cursor"] is None:
                break
    if as_json:
        print_json({**total, "errors": errors[:ERRORS_SHOWN]})
        return
    print_fields(total)
    for one in errors[:ERRORS_SHOWN]:
        typer.echo(f"{one['id']}: {one['error']}", err=True)
