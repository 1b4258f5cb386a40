"""`bartizan explain`: what becomes of a log line, which rules count it, and why others do not."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.output import Json, print_json, printable

if TYPE_CHECKING:
    from app.explain import Explanation
    from app.ingest.readings import Reading
    from app.policies.policy import Policy
    from app.settings import Settings

STDIN = "-"
MOST_BYTES = 1024 * 1024
"""Of one input; a whole log is for `bartizan replay`."""
MOST_REASONS = 8
"""Rules that do not count, shown where another does; `--rule` asks about one."""


def explain(
    lines: Annotated[
        list[str] | None,
        typer.Argument(
            help="Log lines, JSON objects or arrays, each in quotes; none or `-` reads standard input."
        ),
    ] = None,
    format_name: Annotated[
        str, typer.Option("--format", help="auto, events (JSON), combined, sshd ...")
    ] = "auto",
    policy_file: Annotated[
        Path | None, typer.Option("--policy", help="Instead of the policy of the settings.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="Ask about this rule only.")] = None,
    is_live: Annotated[
        bool,
        typer.Option("--live", help="Ask the running service: also says who is blocked or allowlisted now."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what a log line becomes, which rules count it for whom, and why others do not. Nothing is counted.

    Exit code 0 if something counts, 1 if nothing does, 2 for input that cannot be taken.
    """
    if is_live and policy_file is not None:
        raise typer.BadParameter("the running service has its own policy", param_hint="--policy")
    texts = [_checked(text) for text in _texts(lines or [STDIN])]
    answers = _live(texts, format_name, rule) if is_live else _offline(texts, format_name, policy_file, rule)
    if not answers:
        raise typer.BadParameter("there is nothing to explain")
    for number, found in enumerate(answers):
        if as_json:
            print_json(found)
        else:
            typer.echo("\n" * (number > 0) + "\n".join(map(printable, in_words(found, rule))))
    raise typer.Exit(0 if any(found["counts"] for found in answers) else 1)


def _texts(lines: list[str]) -> Iterator[bytes]:
    for line in lines:
        yield (
            sys.stdin.buffer.read(MOST_BYTES + 1)
            if line == STDIN
            else line.encode("utf-8", "surrogateescape")
        )


def _checked(text: bytes) -> bytes:
    if len(text) > MOST_BYTES:
        raise typer.BadParameter(f"over {MOST_BYTES} bytes; `bartizan replay` reads whole logs")
    return text


def _offline(
    texts: list[bytes], format_name: str, policy_file: Path | None, rule: str | None
) -> list[dict[str, Any]]:
    """The explanations under a policy, without any service. Touches no data but the compiled patterns."""
    import msgspec

    from app.ingest.readings import readings_of
    from app.policies.store import PolicyStore
    from app.settings import load_settings
    from detectors.errors import ConfigError, DecodeError
    from detectors.timestamps import wall_clock_ms

    settings, now = load_settings(), wall_clock_ms()
    try:
        readings = [reading for text in texts for reading in readings_of(text, format_name, now)]
    except DecodeError as error:
        raise typer.BadParameter(str(error), param_hint="--format") from error
    is_required = policy_file is not None or settings.policy_is_named
    policy = PolicyStore(policy_file or settings.policy, is_required=is_required).current
    try:
        found = asyncio.run(_asked(readings, policy, settings, now, rule))
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="--rule") from error
    return [with_time(msgspec.to_builtins(one)) for one in found]


async def _asked(
    readings: "list[Reading]", policy: "Policy", settings: "Settings", now: int, rule: str | None
) -> "list[Explanation]":
    """Over windows that are never asked: their client would connect at its first command.

    Raises: ConfigError where the policy does not name the rule.
    """
    from app.explain import Circumstances
    from app.explain import explain as ask
    from app.redis import connect
    from app.replay import NOBODYS_KEY, offline_engine
    from app.settings import fingerprint_key
    from app.world import never_block
    from detectors.addresses import Networks
    from detectors.geo import Geo

    is_beside_service = settings.fingerprint_key is not None or settings.data_dir.is_dir()
    redis = connect("redis://localhost")
    geo = Geo(settings.geoip_city_db, settings.geoip_asn_db)
    try:
        engine = offline_engine(
            policy,
            redis,
            trusted_proxies=settings.trusted_proxies,
            fingerprint_key=fingerprint_key(settings) if is_beside_service else NOBODYS_KEY,
            geo=geo,
        )
        around = Circumstances(policy, Networks(settings.trusted_proxies), never_block(policy, settings))
        return await ask(readings, engine, around, now, rule)
    finally:
        geo.close()
        await redis.aclose()


def _live(texts: list[bytes], format_name: str, rule: str | None) -> list[dict[str, Any]]:
    """The explanations of the running service."""
    from app.commands.api import Api

    found = []
    with Api() as api:
        for text in texts:
            body = {"line": text.decode("utf-8", "replace"), "format": format_name, "rule": rule}
            found += api.call("POST", "/v1/admin/explain", body=body)["records"]
    return found


def with_time(found: dict[str, Any]) -> dict[str, Any]:
    """An explanation with its time as the API writes it."""
    from detectors.timestamps import to_rfc3339

    return {**found, "at": None if found["at"] is None else to_rfc3339(found["at"])}


def in_words(found: dict[str, Any], rule: str | None = None) -> Iterator[str]:
    """One explanation as lines for people."""
    if found["rejected"] is not None:
        yield f"SET ASIDE: {found['rejected']}"
        return
    yield found["record"]
    yield f"read as: {found['read_as']}"
    for field in found["fields"]:
        names = list(field["names"])
        origin = f"  (from {', '.join(names)})" if names not in ([], [field["name"]]) else ""
        yield f"  {field['name']:<14} {field['value']}{origin}"
    if found["unread"]:
        yield f"  not understood: {', '.join(found['unread'])}"
    yield f"time:    {found['at']}, {found['time']}"
    note = f" ({found['client_note']})" if found["client_note"] and found["client"] else found["client_note"]
    state = f"; {found['client_state']}" if found["client_state"] else ""
    yield f"client:  {found['client'] or 'none: '}{note}{state}"
    for secret in found["secrets"]:
        yield f"secret:  {secret['kind']} {secret['fingerprint']} in the {secret['place']}, {secret['severity']}"
    yield from _rules_in_words(found, rule)


def _rules_in_words(found: dict[str, Any], rule: str | None) -> Iterator[str]:
    if not found["counts"]:
        yield "COUNTS FOR NOTHING"
    for one in found["rules"]:
        times = f" {one['times']} times" if one["times"] > 1 else ""
        verb = {
            "counts": f"COUNTS{times} for",
            "ends": "is the good one of",
            "measured": "is measured by",
            "remembered": "is remembered by",
        }[one["role"]]
        points = "" if one["points"] is None else f" ({one['points']:g} points)"
        yield f"{verb} {one['rule']}, {one['subject_kind']} {one['subject']}: {one['matched']}{points}"
        if one["role"] != "remembered":
            yield f"    fires at {one['fires_at']}; then {one['then']} ({one['severity']}, {one['mode']})"
        for text in one["notes"]:
            yield f"    {text}"
    reasons = found["reasons"]
    shown = reasons if rule is not None or not found["counts"] else reasons[:MOST_REASONS]
    for one in shown:
        yield f"not for {one['rule']}: {one['why']}"
    more = len(reasons) - len(shown) + found["more"]
    if more:
        yield f"not for {more} more; --rule NAME says why"
