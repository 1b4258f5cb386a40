"""`bartizan policy`: is a policy right, and what does it mean?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli_output import Json, print_json, print_table

if TYPE_CHECKING:
    from app.policy import Policy
    from detectors.rule import Rule

policy = typer.Typer(help="Check and explain a policy.", no_args_is_help=True)
COLUMNS = [("RULE", "rule"), ("FIRES AT", "fires_at"), ("THEN", "then"), ("SEVERITY", "severity")]


@policy.command()
def check(
    file: Annotated[Path, typer.Argument(help="The policy to check.")] = Path("policy.yaml"),
    as_json: Json = False,
) -> None:
    """Say whether a policy would be taken; exit 1 and the line where it would not."""
    from detectors.errors import ConfigError

    try:
        found = _read(file)
    except ConfigError as error:
        if not as_json:
            raise
        print_json({"valid": False, "error": str(error)})
        raise typer.Exit(1) from error
    names = [rule.name for rule in found.rules]
    if as_json:
        print_json({"valid": True, "digest": found.digest, "rules": names})
    else:
        typer.echo(f"{file}: good, {len(names)} rules: {', '.join(names)}")


@policy.command()
def explain(
    file: Annotated[Path | None, typer.Argument(help="Default: the policy of the settings.")] = None,
    as_json: Json = False,
) -> None:
    """Say in words what each rule of a policy does, defaults included."""
    from app.policy_store import PolicyStore
    from app.settings import load_settings

    if file is not None:
        found = _read(file)
    else:
        settings = load_settings()
        found = PolicyStore(settings.policy, is_required=settings.policy_is_named).current
    rows = [explain_rule(rule) for rule in found.rules]
    if as_json:
        for row in rows:
            print_json(row)
        return
    typer.echo(f"{found.source} ({found.digest})\n")
    print_table(rows, COLUMNS, "no rules: nothing is watched")
    off = _off(found)
    if off:
        typer.echo(f"\nOff: {', '.join(off)}")


@policy.command(name="try")
def try_out(
    file: Annotated[Path, typer.Argument(help="The changed policy.")],
    since: Annotated[str, typer.Option(help="How far to look back, such as 6h or 2d.")] = "24h",
    against: Annotated[
        Path | None, typer.Option(help="Compare with this one instead of the policy in force.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a changed policy would have done with the last hours' events, which the journal holds."""
    from app.durations import parse_duration
    from app.policy_try import run
    from app.settings import load_settings
    from detectors.errors import ConfigError

    try:
        since_ms = parse_duration(since)
    except ValueError as error:
        raise ConfigError(f"--since {since}: {error}") from error
    run(file, since_ms=since_ms, against=against, as_json=as_json, settings=load_settings())


def _read(file: Path) -> "Policy":
    from app.policy import load_policy
    from detectors.errors import ConfigError

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ConfigError(f"{file}: {reason}") from error
    return load_policy(text, file.name)


def _off(found: "Policy") -> list[str]:
    from detectors.defaults import DEFAULTS

    return [name for name in DEFAULTS if found.rule(name) is None]


def explain_rule(rule: "Rule") -> dict[str, Any]:
    """One rule in words: when it fires, and what follows."""
    from app.durations import format_duration
    from detectors.finding import Action, Mode
    from detectors.rule import Kind

    window = format_duration(rule.window_ms)
    per = " and ".join(kind.value for kind in rule.group_by)
    fires_at = {
        Kind.COUNT: f"{rule.threshold} in {window}, per {per}",
        Kind.DISTINCT: f"{rule.threshold} different {rule.distinct or ''} in {window}, per {per}",
        Kind.RATIO: f"{rule.threshold}% of at least {rule.min_volume} in {window}, per {per}",
        Kind.STREAK: f"{rule.threshold} in a row, per {per}",
        Kind.SEQUENCE: f"{rule.threshold} in {window} and then the other, per {per}",
    }[rule.kind]
    actions = []
    for action in rule.actions:
        text = action.value
        if action is Action.BLOCK_IP:
            longest = format_duration(rule.max_duration_ms)
            text += f" for {format_duration(rule.duration_ms)}, doubling up to {longest}"
        actions.append(text)
    then = ", ".join(actions)
    if rule.mode is not Mode.ENFORCE:
        then = f"{rule.mode.value} only: {then}"
    return {"rule": rule.name, "fires_at": fires_at, "then": then, "severity": rule.severity.value}
