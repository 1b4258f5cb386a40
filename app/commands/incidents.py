"""`bartizan incidents`: look at them, move them on, write into them, over the HTTP API. Reports: commands/review.py."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from app.commands.blocks import Limit, show, show_all
from app.commands.output import Json

incidents = typer.Typer(help="Incidents.", no_args_is_help=True)

INCIDENTS = "/v1/admin/incidents"
COLUMNS = [
    *(("ID", "id"), ("STATUS", "status"), ("PRIORITY", "priority"), ("RULE", "rule"), ("SUBJECT", "subject")),
    *(("EVENTS", "event_count"), ("LAST SEEN", "last_seen"), ("TITLE", "title")),
]
ENTRY_COLUMNS = [
    *(("HAPPENED", "at"), ("RECORDED", "recorded_at"), ("WHO", "actor"), ("WHAT", "kind"), ("TEXT", "text")),
]
MOVED = ("id", "title", "priority", "status", "verdict", "lead", "escalation_level", "allowed_actions")
Note = Annotated[str | None, typer.Option(help="For the timeline and the audit trail.")]
Incident = Annotated[str, typer.Argument(metavar="ID", help="Such as INC-2026-0001.")]
Verdict = Annotated[
    str, typer.Option(help="What it was: true_positive, false_positive, benign, duplicate or unknown.")
]


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
    from app.commands.api import Api

    wanted = {"status": status, "severity": severity, "rule": rule, "entity": entity}
    with Api() as api:
        rows = api.items(INCIDENTS, wanted, limit)
    show_all(rows, COLUMNS, "no incidents", as_json=as_json)


@incidents.command("show")
def show_incident(incident: Incident, as_json: Json = False) -> None:
    """One incident, with its runbook and evidence."""
    from app.commands.api import Api

    with Api() as api:
        found = api.call("GET", _path(incident))
    if not as_json:
        found |= {f"runbook {name}": text for name, text in found.pop("runbook").items()}
    show(found, as_json=as_json)


@incidents.command()
def ack(incident: Incident, note: Note = None, as_json: Json = False) -> None:
    """Say that somebody is looking at it."""
    _act(incident, "acknowledge", {"note": note}, as_json=as_json)


@incidents.command()
def escalate(incident: Incident, note: Note = None, as_json: Json = False) -> None:
    """Tell the next level now."""
    _act(incident, "escalate", {"note": note}, as_json=as_json)


@incidents.command()
def mitigate(incident: Incident, note: Note = None, as_json: Json = False) -> None:
    """Say that it does no more harm; its cause is still to be mended."""
    _act(incident, "mitigate", {"note": note}, as_json=as_json)


@incidents.command()
def resolve(incident: Incident, verdict: Verdict, note: Note = None, as_json: Json = False) -> None:
    """Say that it is over, and what it was."""
    _act(incident, "resolve", {"note": note, "verdict": verdict}, as_json=as_json)


@incidents.command()
def dismiss(incident: Incident, verdict: Verdict, note: Note = None, as_json: Json = False) -> None:
    """Say that it needs nobody, and why."""
    _act(incident, "dismiss", {"note": note, "verdict": verdict}, as_json=as_json)


@incidents.command()
def merge(
    incident: Incident,
    into: Annotated[str, typer.Option(metavar="ID", help="The open incident that takes it in.")],
    verdict: Verdict = "duplicate",
    note: Note = None,
    as_json: Json = False,
) -> None:
    """Say that another incident speaks of the same problem."""
    _act(incident, "merge", {"into": into, "note": note, "verdict": verdict}, as_json=as_json)


@incidents.command()
def reopen(incident: Incident, note: Note = None, as_json: Json = False) -> None:
    """Say that it is not over after all, or is a problem of its own."""
    _act(incident, "reopen", {"note": note}, as_json=as_json)


@incidents.command()
def close(incident: Incident, note: Note = None, as_json: Json = False) -> None:
    """Say that the review is done."""
    _act(incident, "close", {"note": note}, as_json=as_json)


@incidents.command()
def note(
    incident: Incident,
    text: Annotated[str, typer.Argument(help="What happened.")],
    at: Annotated[str | None, typer.Option(help="When, such as 2026-11-25T03:00:00Z; else now.")] = None,
    pinned: Annotated[bool, typer.Option("--pinned", help="The review must not miss it.")] = False,
) -> None:
    """Write a line on the timeline."""
    body: dict[str, Any] = {"text": text, "pinned": pinned}
    if at is not None:
        body["at"] = at
    _call("POST", f"{_path(incident)}/timeline", body)
    typer.echo(f"noted on {incident}")


@incidents.command()
def check(
    incident: Incident,
    item: Annotated[str, typer.Argument(help="Such as root-cause-identified; `show` lists them.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take the tick back.")] = False,
    note: Annotated[str, typer.Option(help="Stands beside the tick.")] = "",
    as_json: Json = False,
) -> None:
    """Tick a line of a checklist."""
    path = f"{_path(incident)}/checklist/{quote(item, safe='')}"
    _show_moved(_call("PUT", path, {"done": not undo, "note": note}), as_json=as_json)


@incidents.command()
def timeline(incident: Incident, limit: Limit = 1000, as_json: Json = False) -> None:
    """What happened, in the order it was written down."""
    from app.commands.api import Api

    with Api() as api:
        rows = api.items(f"{_path(incident)}/timeline", {}, limit)
    show_all(rows, ENTRY_COLUMNS, "nothing yet", as_json=as_json)


@incidents.command()
def publish(
    incident: Incident,
    state: Annotated[str, typer.Option(help="investigating, identified, monitoring or resolved.")],
    text: Annotated[str, typer.Option(help="What the public may read.")],
    title: Annotated[str, typer.Option(help="Needed the first time.")] = "",
    component: Annotated[str, typer.Option(help="What is affected, in the public's words.")] = "",
    as_json: Json = False,
) -> None:
    """Put it on the public status page, or say there how it goes on."""
    body = {"state": state, "text": text, "title": title, "component": component}
    show(_call("POST", f"{_path(incident)}/publish", body), as_json=as_json)


@incidents.command()
def unpublish(incident: Incident, as_json: Json = False) -> None:
    """Take it off the public status page."""
    show(_call("DELETE", f"{_path(incident)}/publish"), as_json=as_json)


def _act(incident: str, action: str, body: dict[str, str | None], *, as_json: bool) -> None:
    said = {key: value for key, value in body.items() if value is not None}
    _show_moved(_call("POST", f"{_path(incident)}/{action}", said), as_json=as_json)


def _show_moved(after: dict[str, Any], *, as_json: bool) -> None:
    """What matters after a move: the new status and what can follow. With `--json`, the whole incident."""
    show(after if as_json else {name: after[name] for name in MOVED}, as_json=as_json)


def _call(method: str, path: str, body: Any = None) -> Any:
    from app.commands.api import Api

    with Api() as api:
        return api.call(method, path, body=body)


def _path(incident: str) -> str:
    return f"{INCIDENTS}/{quote(incident, safe='')}"
