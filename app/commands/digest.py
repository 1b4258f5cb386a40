"""`bartizan digest`: what a digest says, and a copy of it now, over the HTTP API."""

import enum
from typing import Annotated, Any

import typer

from app.commands.output import Json, print_json, printable

digest = typer.Typer(help="The daily and the weekly digest.", no_args_is_help=True)

DIGESTS = "/v1/admin/digests"


class Rhythm(enum.StrEnum):
    """How often a digest comes."""

    DAILY = "daily"
    WEEKLY = "weekly"


Weekly = Annotated[bool, typer.Option("--weekly/--daily", help="Which of the two.")]
Day = Annotated[
    str | None,
    typer.Option("--date", help="A day of the period, such as 2026-11-24; else the last that is over."),
]


@digest.command()
def preview(
    weekly: Weekly = False,
    day: Day = None,
    html: Annotated[bool, typer.Option("--html", help="The page instead of the text.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a digest says, or says so far; send nothing."""
    from app.commands.api import Api

    with Api() as api:
        found = api.call("GET", f"{DIGESTS}/{_rhythm(weekly)}", params={"date": day})
    _show(found, html=html, as_json=as_json)


@digest.command()
def send(weekly: Weekly = False, day: Day = None, as_json: Json = False) -> None:
    """Send a copy to the digest's channels now; the one that is due still comes."""
    from app.commands.api import Api

    with Api() as api:
        found = api.call("POST", f"{DIGESTS}/{_rhythm(weekly)}/send", params={"date": day})
    if as_json:
        print_json(found)
    else:
        typer.echo(f"queued: {printable(found['headline'])}")


def _rhythm(weekly: bool) -> Rhythm:
    return Rhythm.WEEKLY if weekly else Rhythm.DAILY


def _show(found: dict[str, Any], *, html: bool, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    body = found["html"] if html else found["text"]
    for line in [found["headline"], "", *body.splitlines()] if not html else body.splitlines():
        typer.echo(printable(line))
