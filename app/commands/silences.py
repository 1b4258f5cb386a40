"""`bartizan silence` and `bartizan maintenance`: what nobody is told for a while, over the HTTP API."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from app.commands.blocks import show, show_all
from app.commands.output import Json, printable

silence = typer.Typer(help="Silences: what nobody is told for a while.", no_args_is_help=True)
maintenance = typer.Typer(help="Maintenance windows.", no_args_is_help=True)

SILENCES = "/v1/admin/silences"
MAINTENANCE = "/v1/admin/maintenance"
MOST = 1_000
COLUMNS = [
    *(("ID", "id"), ("STATE", "state"), ("WHAT", "what"), ("FROM", "starts_at"), ("UNTIL", "ends_at")),
    *(("BY", "author"), ("WHY", "comment")),
]
WINDOW_COLUMNS = [
    *(("ID", "id"), ("NAME", "name"), ("WHEN", "when"), ("LENGTH", "duration"), ("NOTICE", "notice")),
    *(("OPEN UNTIL", "open_until"), ("NEXT", "next"), ("BY", "author"), ("WHY", "comment")),
]

What = Annotated[
    list[str],
    typer.Argument(
        metavar="MATCHER...",
        help="rule=auth_failures, severity=low,medium (either), host~api-* (a pattern); all have to hold. "
        "Fields: rule, subject, severity, priority, host, area.",
    ),
]
Comment = Annotated[str, typer.Option("--comment", "--note", help="Why; people read it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it goes into the audit trail.")]
SilenceId = Annotated[str, typer.Argument(metavar="ID", help="Such as SIL-0001.")]
For = Annotated[str | None, typer.Option("--for", help="How long, such as 2h.")]
Until = Annotated[str | None, typer.Option("--until", help="Or its end: 2026-12-06T06:00:00Z.")]
From = Annotated[str | None, typer.Option("--from", help="When it begins; left out: now.")]


def read_matcher(text: str) -> dict[str, Any]:
    """`rule=a,b` or `host~api-*` as the API takes it. Raises: typer.BadParameter."""
    places = sorted((text.find(sign), sign) for sign in "=~" if sign in text)
    if not places:
        raise typer.BadParameter(
            f"{text!r} is no matcher; write rule=auth_failures or host~api-*", param_hint="MATCHER"
        )
    field, _, value = text.partition(places[0][1])
    return {"field": field, "values": value.split(","), "glob": places[0][1] == "~"}


@silence.command("add")
def add_silence(
    what: What,
    comment: Comment,
    length: For = None,
    until: Until = None,
    start: From = None,
    as_json: Json = False,
) -> None:
    """Silence what all matchers match. Blocking goes on, and breaches are told all the same."""
    from app.commands.api import Api

    said = {"duration": length, "until": until, "starts_at": start, "comment": comment}
    body = {
        **{key: value for key, value in said.items() if value is not None},
        "matchers": [read_matcher(text) for text in what],
    }
    with Api() as api:
        made = api.call("POST", SILENCES, body=body)
    show(made if as_json else _row(made), as_json=as_json)


@silence.command("list")
def list_silences(
    every: Annotated[bool, typer.Option("--all", help="Expired ones too.")] = False, as_json: Json = False
) -> None:
    """The silences that are active or pending, newest first."""
    from app.commands.api import Api

    with Api() as api:
        rows = [one for one in api.items(SILENCES, {}, MOST) if every or one["state"] != "expired"]
    show_all(rows if as_json else [_row(one) for one in rows], COLUMNS, "no silences", as_json=as_json)


@silence.command("extend")
def extend_silence(
    silence_id: SilenceId, length: For = None, until: Until = None, reason: Reason = "", as_json: Json = False
) -> None:
    """Give one another end, earlier or later, counted from now."""
    from app.commands.api import Api

    said = {"duration": length, "until": until, "reason": reason}
    body = {key: value for key, value in said.items() if value is not None}
    with Api() as api:
        moved = api.call("PATCH", f"{SILENCES}/{quote(silence_id, safe='')}", body=body)
    show(moved if as_json else _row(moved), as_json=as_json)


@silence.command("expire")
def expire_silence(silence_id: SilenceId, reason: Reason = "", as_json: Json = False) -> None:
    """End one now."""
    from app.commands.api import Api

    with Api() as api:
        ended = api.call("DELETE", f"{SILENCES}/{quote(silence_id, safe='')}", params={"reason": reason})
    show(ended if as_json else _row(ended), as_json=as_json)


@maintenance.command("list")
def list_windows(as_json: Json = False) -> None:
    """The windows of the policy and those announced, what is open, and what comes next."""
    from app.commands.api import Api

    with Api() as api:
        rows = api.items(MAINTENANCE, {}, MOST)
    shown = rows if as_json else [_window_row(one) for one in rows]
    show_all(shown, WINDOW_COLUMNS, "no maintenance windows", as_json=as_json)


@maintenance.command("add")
def add_window(
    name: Annotated[str, typer.Argument(help="What it is called in messages.")],
    comment: Comment,
    length: For = None,
    until: Until = None,
    start: From = None,
    notice: Annotated[
        str | None, typer.Option(help="Tell people so long before it begins; left out: at once.")
    ] = None,
    match: Annotated[
        list[str] | None, typer.Option(help="Mute only what matches, such as host~api-*.")
    ] = None,
    channel: Annotated[list[str] | None, typer.Option(help="Where the notice goes.")] = None,
    as_json: Json = False,
) -> None:
    """Announce a window of once, such as for an emergency."""
    from app.commands.api import Api

    said = {
        "name": name,
        "comment": comment,
        "duration": length,
        "until": until,
        "from": start,
        "notice": notice,
    }
    body: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    body |= {"matchers": [read_matcher(text) for text in match or ()], "channels": channel or []}
    with Api() as api:
        made = api.call("POST", MAINTENANCE, body=body)
    show(made if as_json else _window_row(made), as_json=as_json)


@maintenance.command("remove")
def remove_window(
    window_id: Annotated[str, typer.Argument(metavar="ID", help="Such as MNT-0001.")],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Take an announced window out, open or not. Those of the policy go with the policy."""
    from app.commands.api import Api

    with Api() as api:
        gone = api.call("DELETE", f"{MAINTENANCE}/{quote(window_id, safe='')}", params={"reason": reason})
    if as_json:
        show(gone, as_json=True)
    else:
        typer.echo(printable(f"removed {gone['id']}, {gone['name']}: it mutes nothing any more"))


def _what(matchers: list[dict[str, Any]]) -> str:
    return " ".join(f"{m['field']}{'~' if m['glob'] else '='}{','.join(m['values'])}" for m in matchers)


def _row(found: dict[str, Any]) -> dict[str, Any]:
    keys = ("id", "state", "starts_at", "ends_at", "author", "comment")
    return {**{key: found[key] for key in keys}, "what": _what(found["matchers"])}


def _window_row(found: dict[str, Any]) -> dict[str, Any]:
    starts = [one["starts_at"] for one in found["occurrences"]]
    open_now = found["open"]
    coming = [start for start in starts if open_now is None or start != open_now["starts_at"]]
    return {
        "id": found["id"],
        "name": found["name"],
        "when": found["recurs"] or "given times",
        "duration": found["duration"],
        "notice": found["notice"],
        "what": _what(found["matchers"]),
        "open_until": None if open_now is None else open_now["ends_at"],
        "next": coming[0] if coming else None,
        "author": found["author"],
        "comment": found["comment"],
    }
