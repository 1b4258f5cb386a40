"""`bartizan mock-receiver`: the stand-ins on real ports, one printed line for each thing received."""

from contextlib import ExitStack

import typer
import uvicorn

from app.commands.output import printable
from app.mock_receiver.receiver import Receiver
from app.mock_receiver.smtp import mail_server
from app.mock_receiver.verdict import Received
from app.serve import listen
from detectors.errors import ConfigError
from detectors.timestamps import to_rfc3339


def run(*, host: str, port: int, smtp_port: int | None, secret: str) -> None:
    """Serve until interrupted. Raises: ConfigError where a port cannot be had or aiosmtpd is missing."""
    receiver = Receiver(
        secrets=secret.split(",") if secret else (), tell=lambda got: typer.echo(line_of(got))
    )
    with ExitStack() as stack:
        listener = stack.enter_context(listen(host, port))
        if smtp_port is not None:
            server = mail_server(receiver, host, smtp_port)
            try:
                server.start()
            except OSError as error:
                raise ConfigError(
                    f"cannot listen on {host}:{smtp_port}: {error.strerror or error}"
                ) from error
            stack.callback(server.stop)
            typer.echo(f"mail server         {host}:{smtp_port}, no encryption")
        typer.echo(addresses(host, listener.getsockname()[1]))
        config = uvicorn.Config(receiver.app(), log_level="warning", lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])


def addresses(host: str, port: int) -> str:
    """What to put where the real service's address would stand."""
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    return "\n".join(
        [
            f"PagerDuty base_url  {url}",
            f"Slack webhook       {url}/slack/services/T000/B000/secret",
            f"Discord webhook     {url}/discord/api/webhooks/1/secret",
            f"signed webhook      {url}/webhook",
            f"dead man's switch   {url}/ping/any",
            f"what came in        {url}/received, {url}/violations; {url}/chaos misbehaves",
        ]
    )


def line_of(received: Received) -> str:
    """`2026-11-23T10:00:00.000Z slack     200 ok        [P1 high] auth_failures: 203.0.113.9`."""
    word = "ok" if received.ok else "VIOLATION" if received.violations else "refused"
    said = [received.summary, *received.violations, *(f"note: {note}" for note in received.notes)]
    text = printable(" | ".join(part for part in said if part))[:1_000]
    return f"{to_rfc3339(received.at)} {received.channel:<9} {received.status} {word:<9} {text}"
