"""`bartizan incidents`: list, show, acknowledge, resolve, over the HTTP API."""

from typing import Annotated
from urllib.parse import quote

import typer

from app.cli_blocks import Limit, show, show_all
from app.cli_output import Json

incidents = typer.Typer(help="Incidents.", no_args_is_help=True)

INCIDENTS = "/v1/admin/incidents"
COLUMNS = [
    *(("ID", "id"), ("STATUS", "status"), ("PRIORITY", "priority"), ("RULE", "rule"), ("SUBJECT", "subject")),
    *(("EVENTS", "event_count"), ("LAST SEEN", "last_seen"), ("TITLE", "title")),
]
Note = Annotated[str | None, typer.Option(help="For the timeline and the audit trail.")]
Incident = Annotated[str, typer.Argument(metavar="ID", help="Such as INC-2026-0001.")]


@incidents.command("list")
def list_incidents(
    status: Annotated[str | None, typer.Option(help="triggered, acknowledged, resolved ...")] = None,
    severity: Annotated[str | None, typer.Option(help="critical, high, medium or low.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only incidents of this rule.")] = None,
    entity: Annotated[str | None, typer.Option(help="Only incidents that name this address or user.")] = None,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """The incidents, newest first."""
    from app.cli_api import Api

    wanted = {"status": status, "severity": severity, "rule": rule, "entity": entity}
    with Api() as api:
        rows = api.items(INCIDENTS, wanted, limit)
    show_all(rows, COLUMNS, "no incidents", as_json=as_json)


@incidents.command("show")
def show_incident(incident: Incident, as_json: Json = False) -> None:
    """One incident, with its runbook and evidence."""
    from app.cli_api import Api

    with Api() as api:
        found = api.call("GET", f"{INCIDENTS}/{quote(incident, safe='')}")
    if not as_json:
        found |= {f"runbook {name}": text for name, text in found.pop("runbook").items()}
    show(found, as_json=as_json)


@incidents.command()
def ack(incident: Incident, note: Note = None, as_json: Json = False) -> None:
    """Say that somebody is looking at it."""
    _act(incident, "acknowledge", {"note": note}, as_json=as_json)


@incidents.command()
def resolve(
    incident: Incident,
    verdict: Annotated[str, typer.Option(help="What it was, such as true_positive or false_positive.")],
    note: Note = None,
    as_json: Json = False,
) -> None:
    """Say that it is over, and what it was."""
    _act(incident, "resolve", {"note": note, "verdict": verdict}, as_json=as_json)


def _act(incident: str, action: str, body: dict[str, str | None], *, as_json: bool) -> None:
    from app.cli_api import Api

    said = {key: value for key, value in body.items() if value is not None}
    with Api() as api:
        after = api.call("POST", f"{INCIDENTS}/{quote(incident, safe='')}/{action}", body=said)
    show(after, as_json=as_json)
