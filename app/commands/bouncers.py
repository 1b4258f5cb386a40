"""`bartizan bouncers list`, over the HTTP API."""

from typing import Any

import typer

from app.commands.blocks import Limit, show_all
from app.commands.output import Json

bouncers = typer.Typer(help="CrowdSec bouncers that enforce the blocklist.", no_args_is_help=True)

BOUNCERS = "/v1/admin/bouncers"
COLUMNS = [
    *(("TYPE", "type"), ("VERSION", "version"), ("ADDRESS", "address"), ("TOKEN", "token_name")),
    *(("MODE", "mode"), ("LAST SEEN", "last_seen"), ("LAST PULL", "last_pull"), ("DROPPED", "dropped")),
]


@bouncers.callback()
def main() -> None:
    """CrowdSec bouncers that enforce the blocklist."""


@bouncers.command("list")
def list_bouncers(limit: Limit = 100, as_json: Json = False) -> None:
    """Every bouncer of the last 30 days: when it asked last, and what it says it has dropped."""
    from app.commands.api import Api

    with Api() as api:
        rows = api.items(BOUNCERS, {}, limit)
    if not as_json:
        rows = [{**row, "dropped": _dropped(row["usage"])} for row in rows]
    show_all(rows, COLUMNS, "no bouncer has asked for anything", as_json=as_json)


def _dropped(usage: list[dict[str, Any]]) -> str:
    """`1,204 packet, 96,320 byte`: over all origins."""
    sums: dict[str, float] = {}
    for item in usage:
        if item["name"] == "dropped":
            unit = item["unit"] or ""
            sums[unit] = sums.get(unit, 0) + item["value"]
    return ", ".join(f"{value:,.0f} {unit}".strip() for unit, value in sorted(sums.items()))
