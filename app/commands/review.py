"""`bartizan incidents report` and `stats`: what one incident was, and how well all of them were answered."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from app.commands.incidents import INCIDENTS, Incident
from app.commands.output import Json, print_fields, print_json, printable
from detectors.errors import ConfigError

FORMATS = ("md", "html", "json")


def write_report(
    incident: Incident,
    format_name: Annotated[str, typer.Option("--format", help="md, html or json.")] = "md",
    output: Annotated[
        Path | None, typer.Option("--output", help="A file to write it to, instead of the terminal.")
    ] = None,
) -> None:
    """The review of an incident: facts, times, timeline, evidence, actions, lessons, follow-ups."""
    from app.commands.api import Api

    if format_name not in FORMATS:
        raise typer.BadParameter(f"{format_name!r} is none of {', '.join(FORMATS)}", param_hint="--format")
    with Api() as api:
        text = api.text(f"{INCIDENTS}/{quote(incident, safe='')}/report", {"format": format_name})
    if output is None:
        for line in text.split("\n")[: -1 if text.endswith("\n") else None]:
            typer.echo(printable(line))
        return
    try:
        output.write_bytes(text.encode())
    except OSError as error:
        raise ConfigError(f"{output}: {error.strerror}") from error
    typer.echo(f"wrote {output}")


def show_statistics(
    window: Annotated[str, typer.Option(help="How far back, such as 30d.")] = "30d", as_json: Json = False
) -> None:
    """Times to acknowledge and to resolve, response targets met, false alarms by rule."""
    from app.commands.api import Api

    with Api() as api:
        found = api.call("GET", f"{INCIDENTS}/stats", params={"window": window})
    if as_json:
        print_json(found)
    else:
        print_fields(found)
