"""What commands print: tables for people, JSON for programs. Text from logs cannot control the terminal."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table, one object a line.")]


def printable(value: object) -> str:
    """A value as one line of visible characters; a log's author must not write to the terminal."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def print_json(value: object) -> None:
    """One JSON value on one line; non-ASCII and control characters escaped."""
    typer.echo(json.dumps(value, separators=(",", ":"), ensure_ascii=True))


def print_table(rows: Iterable[dict[str, Any]], columns: Sequence[tuple[str, str]], empty: str) -> None:
    """Rows as a table. `columns`: (heading, key). On a pipe the table is not cut to a width."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, _ in columns:
        table.add_column(heading, overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(Text(printable(row.get(key))) for _, key in columns))
        count += 1
    if not count:
        typer.echo(empty)
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=400)
    console.print(table)


def print_fields(value: dict[str, Any]) -> None:
    """One object as `key: value` lines; lists of texts with commas, other lists and objects as JSON."""
    width = max((len(key) for key in value), default=0) + 1
    for key, item in value.items():
        if isinstance(item, list) and all(isinstance(part, str) for part in item):
            item = ", ".join(item)
        text = json.dumps(item) if isinstance(item, dict | list) else printable(item)
        typer.echo(f"{key + ':':<{width}} {text}")
