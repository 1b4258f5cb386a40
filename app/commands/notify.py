"""`bartizan notify`: the channels, over the HTTP API."""

from typing import Annotated
from urllib.parse import quote

import typer

from app.commands.output import Json, print_fields, print_json, print_table, printable

notify = typer.Typer(help="Who was told what, the channels, and a test of one.", no_args_is_help=True)

CHANNELS = "/v1/admin/channels"
COLUMNS = [("NAME", "name"), ("TYPE", "type"), ("A MINUTE", "per_minute"), ("AT ONCE", "burst")]


@notify.command("list")
def list_channels(as_json: Json = False) -> None:
    """The channels of the policy in force, and how much each of them takes."""
    from app.commands.api import Api

    with Api() as api:
        found = api.call("GET", CHANNELS)["items"]
    if as_json:
        for channel in found:
            print_json(channel)
        return
    unbounded = {"per_minute": "any", "burst": "any"}
    print_table([{**channel, **(channel["rate"] or unbounded)} for channel in found], COLUMNS, "no channels")


@notify.command("test")
def try_channel(
    name: Annotated[str, typer.Argument(metavar="CHANNEL", help="As the policy names it.")],
    as_json: Json = False,
) -> None:
    """Send a test letter through a channel now; exit 1 and the reason where it does not arrive."""
    from app.commands.api import Api

    with Api(timeout_s=60.0) as api:
        result = api.call("POST", f"{CHANNELS}/{quote(name, safe='')}/test")
    if as_json:
        print_json(result)
    elif result["delivered"]:
        print_fields({key: result[key] for key in ("channel", "delivered", "ref") if result[key] != ""})
    else:
        again = "trying again is of no use" if result["permanent"] else "it may work later"
        typer.echo(printable(f"bartizan: {name}: not delivered: {result['error']} ({again})"), err=True)
    if not result["delivered"]:
        raise typer.Exit(1)
