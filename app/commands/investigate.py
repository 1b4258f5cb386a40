"""`bartizan investigate` and `bartizan incidents dossier`: what is known of somebody, over the HTTP API."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from app.commands.incidents import INCIDENTS, Incident, incidents
from app.commands.output import print_json

if TYPE_CHECKING:
    from app.commands.api import Api

INVESTIGATIONS = "/v1/admin/investigations"
LOOK_S = 1.0
Markdown = Annotated[bool, typer.Option("--md", help="A page of Markdown instead of JSON.")]


@incidents.command("dossier")
def incident_dossier(
    incident: Incident,
    markdown: Markdown = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Have it made anew first, and wait for it.")] = False,
) -> None:
    """What is known of an incident's subject, and what to do next."""
    from app.commands.api import Api

    path = f"{INCIDENTS}/{quote(incident, safe='')}"
    with Api() as api:
        if fresh:
            asked = api.call("POST", f"{path}/investigate")
            _wait(lambda: _is_newer(api, path, str(asked["asked_at"])))
        _print(api, f"{path}/dossier", markdown=markdown)


def investigate(
    entity: Annotated[
        str, typer.Argument(metavar="ENTITY", help="203.0.113.9, user=alice, key=... or host=...")
    ],
    markdown: Markdown = False,
    wait_s: Annotated[
        int, typer.Option("--wait", min=0, max=3600, help="Seconds to wait for the dossier.")
    ] = 180,
) -> None:
    """Look at an address, an account, a key or a host, without an incident."""
    from app.commands.api import Api, ApiError

    with Api() as api:
        asked = api.call("POST", INVESTIGATIONS, body={"entity": entity})
        path = f"{INVESTIGATIONS}/{quote(asked['id'], safe='')}"
        state = "waiting"

        def is_over() -> bool:
            nonlocal state
            state = api.call("GET", path)["state"]
            return bool(state != "waiting")

        _wait(is_over, wait_s)
        if state != "done":
            raise ApiError(f"{asked['id']} is {state}; look again with GET {path}")
        _print(api, f"{path}/dossier", markdown=markdown)


def _is_newer(api: "Api", path: str, asked_at: str) -> bool:
    from app.commands.api import ApiError

    try:
        dossier = api.call("GET", f"{path}/dossier")
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return dossier["events"] is not None and str(dossier["made_at"]) >= asked_at


def _wait(is_over: Callable[[], bool], most_s: float = 180) -> None:
    """Asks once a second until it is over, or for so long."""
    until = time.monotonic() + most_s
    while not is_over() and time.monotonic() < until:
        time.sleep(LOOK_S)


def _print(api: "Api", path: str, *, markdown: bool) -> None:
    if markdown:
        # Escaped for readers of Markdown; what controls a terminal was taken out as well (actions/markdown.py).
        typer.echo(api.text(path, {"format": "md"}), nl=False)
    else:
        print_json(api.call("GET", path))
