"""`bartizan notify log|channels|dead ...` over the HTTP API, and `bartizan route test` over the policy."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from app.commands.blocks import Limit, show, show_all
from app.commands.notify import notify
from app.commands.output import Json

dead = typer.Typer(help="Letters that could not be delivered.", no_args_is_help=True)
route = typer.Typer(help="Who would be told.", no_args_is_help=True)
notify.add_typer(dead, name="dead")

NOTIFICATIONS = "/v1/admin/notifications"
LOG_COLUMNS = [
    *(
        ("AT", "at"),
        ("CHANNEL", "channel"),
        ("STATUS", "status"),
        ("KIND", "kind"),
        ("INCIDENT", "incident_id"),
    ),
    *(("TITLE", "title"), ("WHY", "error")),
]
DEAD_COLUMNS = [
    *(("ID", "id"), ("AT", "at"), ("CHANNEL", "channel"), ("MESSAGES", "total"), ("TITLE", "title")),
    ("ERROR", "error"),
]
CHANNEL_COLUMNS = [
    *(("CHANNEL", "channel"), ("WAITING", "depth"), ("OLDEST", "oldest_at"), ("DEAD", "dead")),
    *(("UNHEALTHY SINCE", "unhealthy_since"), ("HELD UNTIL", "held_until"), ("LAST ERROR", "error")),
]
ROUTE_COLUMNS = [("CHANNEL", "channel"), ("TYPE", "type"), ("WHEN", "when")]
DeadId = Annotated[str, typer.Argument(metavar="ID", help="As `dead list` shows it.")]
Channel = Annotated[str | None, typer.Option(help="Only those of this channel.")]


@notify.command("log")
def log_of_deliveries(
    incident: Annotated[str | None, typer.Option(help="Only those about this incident.")] = None,
    channel: Channel = None,
    status: Annotated[str | None, typer.Option(help="delivered, failed, muted, digest ...")] = None,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """What became of messages, newest first."""
    from app.commands.api import Api

    wanted = {"incident": incident, "channel": channel, "status": status}
    with Api() as api:
        rows = api.items(NOTIFICATIONS, wanted, limit)
    if not as_json:
        rows = [{**row["message"], **row} for row in rows]
    show_all(rows, LOG_COLUMNS, "nobody was told anything", as_json=as_json)


@notify.command()
def channels(as_json: Json = False) -> None:
    """How each channel is: what waits for it since when, and whether it delivers."""
    from app.commands.api import Api

    with Api() as api:
        rows = api.call("GET", f"{NOTIFICATIONS}/channels")["items"]
    show_all(rows, CHANNEL_COLUMNS, "no channels", as_json=as_json)


@dead.command("list")
def list_dead(channel: Channel = None, limit: Limit = 100, as_json: Json = False) -> None:
    """The dead letters, newest first."""
    from app.commands.api import Api

    with Api() as api:
        rows = api.items(f"{NOTIFICATIONS}/dead", {"channel": channel}, limit)
    if not as_json:
        rows = [{**row, "title": row["messages"][0]["title"]} for row in rows]
    show_all(rows, DEAD_COLUMNS, "no dead letters", as_json=as_json)


@dead.command()
def retry(
    letter: Annotated[str | None, typer.Argument(metavar="ID", help="As `dead list` shows it.")] = None,
    channel: Annotated[str | None, typer.Option(help="All of this channel instead.")] = None,
    as_json: Json = False,
) -> None:
    """Send one dead letter again, or all of a channel."""
    from app.commands.api import Api

    if (letter is None) == (channel is None):
        raise typer.BadParameter("name one letter, or a channel with --channel")
    with Api() as api:
        if letter is None:
            found = api.call("POST", f"{NOTIFICATIONS}/dead/retry", body={"channel": channel})
        else:
            found = api.call("POST", f"{NOTIFICATIONS}/dead/{quote(letter, safe='')}/retry")
    show(found, as_json=as_json)


@dead.command()
def drop(
    letter: DeadId,
    reason: Annotated[str | None, typer.Option(help="For the audit trail.")] = None,
    as_json: Json = False,
) -> None:
    """Forget one dead letter."""
    from app.commands.api import Api

    with Api() as api:
        found = api.call(
            "DELETE", f"{NOTIFICATIONS}/dead/{quote(letter, safe='')}", params={"reason": reason}
        )
    show(found, as_json=as_json)


@route.command("test")
def route_test(
    labels: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE...", help="severity=critical rule=auth_failures kind=opened"),
    ],
    policy_file: Annotated[
        Path | None, typer.Option("--policy", help="Instead of the configured one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Which channels such a message goes to, and when. Tells nobody."""
    from app.route_test import targets_of

    show_all(targets_of(labels, policy_file), ROUTE_COLUMNS, "no channel is told", as_json=as_json)
