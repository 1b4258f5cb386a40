"""`bartizan simulate attack`: one made-up attack, through a running service, from the first event to the report."""

import sys
from typing import Annotated

import typer

from app.simulation import AttackKind

simulate = typer.Typer(help="Made-up attacks on a running service.", no_args_is_help=True)


@simulate.command()
def attack(
    kind: Annotated[AttackKind, typer.Option(help="What to simulate.")] = AttackKind.CREDENTIAL_STUFFING,
    address: Annotated[
        str | None, typer.Option(help="Whose attack; one of TEST-NET-3 (203.0.113.0/24) where none is given.")
    ] = None,
    patience: Annotated[
        str, typer.Option(help="How long to wait for the escalation's own clock before escalating by hand.")
    ] = "30s",
    keep_block: Annotated[bool, typer.Option(help="Leave the block in force at the end.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask. People are told as the policy says.")
    ] = False,
) -> None:
    """Attack, incident, block, messages, escalation, acknowledgement, resolution; prints the report."""
    import random

    from app.commands.api import Api
    from app.durations import parse_duration
    from app.simulate import Simulation
    from app.simulation import address_for

    try:
        patience_s = parse_duration(patience) / 1000
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--patience") from error
    if not yes:
        _ask()
    chance = random.Random()  # noqa: S311 - a simulation, no secret
    with Api() as api:
        Simulation(
            api,
            kind,
            address or address_for(chance),
            chance,
            typer.echo,
            patience_s=patience_s,
            keep_block=keep_block,
        ).run()


def _ask() -> None:
    """Raises: typer.Abort where somebody says no, typer.Exit where nobody can be asked."""
    try:
        typer.confirm(
            "This tells the people that the policy names, as a real attack would. Go on?", abort=True
        )
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        typer.echo("\nbartizan: nobody said yes, so nothing was sent; --yes goes on without asking", err=True)
        raise typer.Exit(1) from None
