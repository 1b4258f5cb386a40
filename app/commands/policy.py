"""`bartizan policy`: is a policy right, and what does it mean?"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.output import Json, print_json, print_table, printable

if TYPE_CHECKING:
    from app.policies.policy import Policy
    from app.policies.tests import Result

policy = typer.Typer(help="Check and explain a policy.", no_args_is_help=True)
COLUMNS = [("RULE", "rule"), ("FIRES AT", "fires_at"), ("THEN", "then"), ("SEVERITY", "severity")]


@policy.command()
def check(
    file: Annotated[Path, typer.Argument(help="The policy to check.")] = Path("policy.yaml"),
    as_json: Json = False,
    is_strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 where a Sigma rule could not be loaded.")
    ] = False,
) -> None:
    """Say whether a policy would be taken, and run the tests of its own rules; exit 1 and the line where not.

    Sigma rules that cannot be loaded are named with the reason; the others load all the same.
    """
    from app.channels import missing_secrets
    from app.policies.dead_man import unreadable
    from app.policies.tests import failure_of, run_examples
    from detectors.errors import ConfigError

    try:
        found = _read(file)
    except ConfigError as error:
        if not as_json:
            raise
        print_json({"valid": False, "error": str(error)})
        raise typer.Exit(1) from error
    names = [rule.name for rule in found.rules]
    results = run_examples(found)
    failure = failure_of(found, results)
    warnings = [*missing_secrets(found.channels), *unreadable(found.dead_man)]
    if as_json:
        tests = [asdict(result) for result in results]
        if failure is None:
            print_json(
                {
                    "valid": True,
                    "digest": found.digest,
                    "rules": names,
                    "tests": tests,
                    "warnings": warnings,
                    **sigma_as_json(found),
                }
            )
        else:
            print_json({"valid": False, "error": failure, "tests": tests})
            raise typer.Exit(1)
    elif failure is not None:
        _print_failures(found, results)
        raise typer.Exit(1)
    else:
        tested = f"; {len(results)} tests passed" if results else ""
        stated = names[: len(names) - (len(found.sigma.rules) if found.sigma else 0)]
        typer.echo(f"{file}: good, {len(stated)} rules: {', '.join(stated)}{tested}")
        for line in sigma_lines(found):
            typer.echo(printable(line))
        for line in warnings:
            typer.echo(printable(f"warning: {line}"))
    if is_strict and found.sigma is not None and found.sigma.refused:
        raise typer.Exit(1)


def _print_failures(found: "Policy", results: "list[Result]") -> None:
    for result in results:
        if not result.passed:
            where = f"{found.source} line {result.line}: rules.{result.rule}.tests.{result.example}"
            typer.echo(printable(f"bartizan: {where}: {result.why}"), err=True)


def sigma_lines(found: "Policy") -> list[str]:
    """What the folder of Sigma rules brought, for people: how many, and each that could not be loaded with why."""
    sigma = found.sigma
    if sigma is None:
        return []
    parts = f", {sigma.parts_only} only as parts of correlations" if sigma.parts_only else ""
    head = f"Sigma rules of {sigma.folder}: {len(sigma.rules)} loaded{parts}, {len(sigma.refused)} refused"
    return [head, *(f"  {r.file}: {f'{r.rule}: ' * bool(r.rule)}{r.reason}" for r in sigma.refused)]


def sigma_as_json(found: "Policy") -> dict[str, Any]:
    """The same for programs; nothing where the policy names no folder."""
    sigma = found.sigma
    if sigma is None:
        return {}
    refused = [asdict(refusal) for refusal in sigma.refused]
    return {"sigma": {"loaded": len(sigma.rules), "parts_only": sigma.parts_only, "refused": refused}}


@policy.command()
def explain(
    file: Annotated[Path | None, typer.Argument(help="Default: the policy of the settings.")] = None,
    as_json: Json = False,
) -> None:
    """Say in words what each rule of a policy does, defaults included."""
    from app.policies.explained import explain_rule, explained, lines_of
    from app.policies.store import PolicyStore
    from app.settings import load_settings

    if file is not None:
        found = _read(file)
    else:
        settings = load_settings()
        found = PolicyStore(settings.policy, is_required=settings.policy_is_named).current
    rows = [explain_rule(rule) for rule in found.rules]
    around = explained(found)
    if as_json:
        for row in rows:
            print_json(row)
        print_json({"all_rules": asdict(around)})
        return
    typer.echo(f"{found.source} ({found.digest})\n")
    print_table(rows, COLUMNS, "no rules: nothing is watched")
    for row in rows:
        _print_details(row)
    typer.echo()
    for line in lines_of(around):
        typer.echo(printable(line))
    off = _off(found)
    if off:
        typer.echo(f"\nOff: {', '.join(off)}")


def _print_details(row: dict[str, Any]) -> None:
    """What does not fit the table: the title, the condition and the references of a rule that has them."""
    details = [(key, row[key]) for key in ("title", "where", "then_where", "references") if row.get(key)]
    if details:
        typer.echo(f"\n{row['rule']}")
    for key, text in details:
        words = {"then_where": "then", "references": "see"}.get(key, key)
        typer.echo(printable(f"  {words}: {', '.join(text) if key == 'references' else text}"))


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
    from app.policies.trial import run
    from app.settings import load_settings
    from detectors.errors import ConfigError

    try:
        since_ms = parse_duration(since)
    except ValueError as error:
        raise ConfigError(f"--since {since}: {error}") from error
    run(file, since_ms=since_ms, against=against, as_json=as_json, settings=load_settings())


def _read(file: Path) -> "Policy":
    from app.policies.policy import load_policy
    from detectors.errors import ConfigError

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ConfigError(f"{file}: {reason}") from error
    return load_policy(text, file.name, file.parent)


def _off(found: "Policy") -> list[str]:
    from detectors.defaults import DEFAULTS

    return [name for name in DEFAULTS if found.rule(name) is None]
