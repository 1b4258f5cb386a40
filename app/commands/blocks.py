"""`bartizan blocks` and `bartizan allow`: the blocklist and the allowlist, over the HTTP API."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from app.commands.output import Json, print_fields, print_json, print_table

blocks = typer.Typer(help="The blocklist.", no_args_is_help=True)
allow = typer.Typer(help="The allowlist: what is never blocked.", no_args_is_help=True)

BLOCKS = "/v1/admin/blocks"
ALLOWLIST = "/v1/admin/allowlist"
EXIT_BLOCKED = 10
COLUMNS = [
    *(
        ("ID", "id"),
        ("VALUE", "value"),
        ("TYPE", "type"),
        ("STATUS", "status"),
        ("RULE", "rule"),
        ("REVIEW", "review"),
    ),
    *(("STRIKES", "strikes"), ("UNTIL", "until"), ("WHY", "reason")),
]
ALLOW_COLUMNS = [
    ("VALUE", "value"),
    ("NOTE", "note"),
    ("BY", "actor"),
    ("SINCE", "created_at"),
    ("UNTIL", "until"),
]

Reason = Annotated[str, typer.Option("--reason", "--note", help="Why; it goes into the audit trail.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")]


def show(value: Any, *, as_json: bool) -> None:
    """One answer, for a program or for a person."""
    if as_json:
        print_json(value)
    elif isinstance(value, dict):
        print_fields(value)


def show_all(
    rows: list[dict[str, Any]], columns: list[tuple[str, str]], empty: str, *, as_json: bool
) -> None:
    """Many answers, one JSON object a line or one table."""
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table(rows, columns, empty)


@blocks.command("list")
def list_blocks(
    status: Annotated[
        str | None, typer.Option(help="active, expired, lifted, proposed, rejected.")
    ] = "active",
    rule: Annotated[str | None, typer.Option(help="Only blocks of this rule.")] = None,
    origin: Annotated[str | None, typer.Option(help="rule, admin, api or import.")] = None,
    contains: Annotated[str | None, typer.Option(help="Only blocks that cover this address.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Whatever their status.")] = False,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """The blocks, newest first."""
    from app.commands.api import Api

    wanted = {"status": None if every else status, "rule": rule, "origin": origin, "contains": contains}
    with Api() as api:
        rows = api.items(BLOCKS, wanted, limit)
    show_all(rows, COLUMNS, "no blocks", as_json=as_json)


@blocks.command("show")
def show_block(block: Annotated[str, typer.Argument(metavar="ID|ADDRESS")], as_json: Json = False) -> None:
    """One block with its reason and evidence."""
    from app.commands.api import Api

    with Api() as api:
        found = api.call("GET", f"{BLOCKS}/{quote(_block_id(api, block), safe='')}")
    show(found, as_json=as_json)


@blocks.command()
def add(
    value: Annotated[str, typer.Argument(metavar="ADDRESS|CIDR")],
    reason: Reason,
    duration: Annotated[str, typer.Option("--for", "--duration", help="How long, such as 4h.")] = "4h",
    force: Annotated[bool, typer.Option(help="Block even a very wide network.")] = False,
    kind: Annotated[str, typer.Option("--type", help="ban, captcha or throttle.")] = "ban",
    scope: Annotated[str | None, typer.Option(help="Country, AS or User, of another value.")] = None,
    as_json: Json = False,
) -> None:
    """Block an address or a network, or what a scope says."""
    from app.commands.api import Api

    body: dict[str, Any] = {"value": value, "duration": duration, "reason": reason, "type": kind}
    if scope:
        body["scope"] = scope
    if force:
        body["force"] = True
    with Api() as api:
        made = api.call("POST", BLOCKS, body=body)
    show(made, as_json=as_json)


@blocks.command()
def remove(
    block: Annotated[str, typer.Argument(metavar="ID|ADDRESS")], reason: Reason, as_json: Json = False
) -> None:
    """Lift a block."""
    from app.commands.api import Api

    with Api() as api:
        block_id = _block_id(api, block)
        answer = api.call("DELETE", f"{BLOCKS}/{quote(block_id, safe='')}", params={"reason": reason})
    if as_json:
        print_json(answer if answer is not None else {"id": block_id, "status": "lifted"})
    else:
        typer.echo(f"lifted {block_id}")


@blocks.command()
def check(address: Annotated[str, typer.Argument()], as_json: Json = False) -> None:
    """Whether an address is blocked now, and why; exit 10 where it is."""
    from app.commands.api import Api

    with Api() as api:
        found = api.call("GET", f"/v1/lookup/{quote(address, safe='')}")
    if as_json:
        print_json(found)
    else:
        decision = found.get("decision") or {}
        state = "blocked" if found["blocked"] else "allowlisted" if found["allowlisted"] else "not blocked"
        tail = f" until {decision.get('until')}: {decision.get('reason')}" if found["blocked"] else ""
        print_fields({str(found["ip"]): state + tail})
    if found["blocked"]:
        raise typer.Exit(EXIT_BLOCKED)


def _block_id(api: Any, text: str) -> str:
    """The id of the block meant: itself, or that of the active block on this address or network."""
    from ipaddress import ip_network

    from detectors.errors import ConfigError

    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return text
    for row in api.items(BLOCKS, {"status": "active", "contains": str(network.network_address)}, 1000):
        if ip_network(row["value"], strict=False) == network:
            return str(row["id"])
    raise ConfigError(f"{text} is not blocked")


@allow.command("list")
def list_allowed(limit: Limit = 1000, as_json: Json = False) -> None:
    """What is never blocked, and why."""
    from app.commands.api import Api

    with Api() as api:
        rows = api.items(ALLOWLIST, {}, limit)
    show_all(rows, ALLOW_COLUMNS, "the allowlist is empty", as_json=as_json)


@allow.command("add")
def add_allowed(
    value: Annotated[str, typer.Argument(metavar="ADDRESS|CIDR")],
    note: Annotated[str, typer.Option(help="Who this is; required.")],
    duration: Annotated[
        str | None, typer.Option("--for", help="How long, such as 7d; else for good.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Never block this; the blocks inside it are lifted."""
    from app.commands.api import Api

    body = {"value": value, "note": note}
    if duration:
        body["duration"] = duration
    with Api() as api:
        made = api.call("POST", ALLOWLIST, body=body)
    show(made, as_json=as_json)


@allow.command("remove")
def remove_allowed(
    value: Annotated[str, typer.Argument(metavar="ADDRESS|CIDR")], reason: Reason, as_json: Json = False
) -> None:
    """Take a network off the allowlist."""
    from app.commands.api import Api

    with Api() as api:
        answer = api.call("DELETE", ALLOWLIST, params={"value": value, "reason": reason})
    if as_json:
        print_json(answer if answer is not None else {"value": value})
    else:
        typer.echo(f"removed {value}")
