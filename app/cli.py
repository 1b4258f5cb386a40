"""The command line: `bartizan COMMAND`. What a command needs is imported when it runs.

Exit codes: 0 done, 1 an error (`explain`: nothing counts), 2 wrong usage, 10 the address is blocked.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.block_files import blocks
from app.commands.blocklists import blocklists
from app.commands.blocks import allow
from app.commands.bouncers import bouncers
from app.commands.delivery import route
from app.commands.digest import digest
from app.commands.explain import explain
from app.commands.incidents import incidents
from app.commands.investigate import investigate
from app.commands.notify import notify
from app.commands.policy import policy
from app.commands.review import show_statistics, write_report
from app.commands.silences import maintenance, silence
from app.commands.simulate import simulate
from app.commands.sources import rejected, sources
from app.commands.tokens import tokens
from detectors.errors import BartizanError

app = typer.Typer(
    name="bartizan",
    help="Watches logs, blocks attackers, tells people, keeps the record.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(blocks, name="blocks")
app.add_typer(allow, name="allow")
app.add_typer(blocklists, name="blocklists")
incidents.command("report")(write_report)
incidents.command("stats")(show_statistics)
app.add_typer(incidents, name="incidents")
app.add_typer(silence, name="silence")
app.add_typer(maintenance, name="maintenance")
app.add_typer(notify, name="notify")
app.add_typer(route, name="route")
app.add_typer(digest, name="digest")
app.add_typer(policy, name="policy")
app.add_typer(tokens, name="tokens")
app.add_typer(bouncers, name="bouncers")
app.add_typer(sources, name="sources")
app.add_typer(rejected, name="rejected")
app.add_typer(simulate, name="simulate")
app.command()(investigate)
app.command()(explain)


@app.command()
def serve(
    access_log: Annotated[bool, typer.Option(help="Log every request.")] = False,
) -> None:
    """Start the service, with its own Redis where BARTIZAN_REDIS_URL names none."""
    from app.worker import nothing_is_garbage

    with nothing_is_garbage():
        from app.serve import serve as run
        from app.settings import load_settings

        run(load_settings(), access_log=access_log)


@app.command()
def replay(
    files: Annotated[list[str], typer.Argument(help="Log files, plain or gzipped; `-` is standard input.")],
    format_name: Annotated[
        str, typer.Option("--format", help="auto, events (JSON), combined, sshd ...")
    ] = "auto",
    policy_file: Annotated[
        Path | None, typer.Option("--policy", help="Instead of the default policy.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Another policy: who would newly be blocked, who no longer.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One finding (or difference) a line.")] = False,
) -> None:
    """What the policy would have found in log files; touches no live state."""
    from app.replay import run

    run(files, format_name=format_name, policy=policy_file, against=against, as_json=as_json)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check settings, Redis, policy, databases, clock and service; exit 1 where something is wrong."""
    from app.commands.doctor import examine

    raise typer.Exit(examine(as_json=as_json))


@app.command("mock-receiver")
def mock_receiver(
    port: Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65535)] = 9999,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    smtp_port: Annotated[
        int | None, typer.Option(help="Also take mail on this port (needs aiosmtpd).", min=1, max=65535)
    ] = None,
    secret: Annotated[
        str, typer.Option(help="What the signed webhook's secret must be.", envvar="MOCK_RECEIVER_SECRET")
    ] = "",
) -> None:
    """Stand in for PagerDuty, Slack, Discord, a signed webhook and a mail server, as strictly as they are."""
    from app.mock_receiver.running import run

    run(host=host, port=port, smtp_port=smtp_port, secret=secret)


def main() -> None:
    """The console script. Our own errors are one line on stderr and exit code 1."""
    try:
        app()
    except BartizanError as error:
        sys.stderr.write("".join(f"bartizan: {line}\n" for line in str(error).splitlines()))
        sys.exit(1)


if __name__ == "__main__":
    main()
