"""A service that is polled goes down and comes back: two real workers open one incident, and resolve it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

from test_crashes import eventually
from test_full_run import incidents

from benchmarks.service import running_service


class Answer(BaseHTTPRequestHandler):
    """Answers what its server is told to."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(type(self).status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def site() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_an_outage_is_an_incident_that_ends_by_itself(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    with site() as port:
        policy.write_text(
            f"health_check: {{endpoint: /api/health, base_url: 'http://127.0.0.1:{port}', interval: 1s, timeout: 1s, "
            "retries: 0, alert_threshold: 3}\n"
        )
        with running_service(policy=str(policy), workers="2") as service:

            def statuses() -> list[object]:
                return [incident["status"] for incident in incidents(service)]

            Answer.status = 503
            assert eventually(lambda: statuses() == ["triggered"], seconds=30)
            Answer.status = 200
            assert eventually(lambda: statuses() == ["resolved"], seconds=30)
