"""The whole API against requests made up from its own description: no answer is a 500, and each keeps its word."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from redis import Redis as SyncRedis
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, response_schema_conformance

from app.main import create_app
from app.policies.policy import default_text
from app.settings import Settings

TOKEN = "admin-token-for-tests-0123456789"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def service(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the service, on a real socket in a thread of its own."""
    folder: Path = tmp_path_factory.mktemp("openapi")
    (folder / "policy.yaml").write_text(default_text())
    with SyncRedis.from_url(redis_server) as redis:
        redis.flushall()
    app = create_app(
        Settings(
            redis_url=redis_server, data_dir=folder / "data", policy=folder / "policy.yaml", admin_token=TOKEN
        )
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def described(service: str) -> Any:
    load_all_checks()
    return schemathesis.openapi.from_url(f"{service}/openapi.json")


@pytest.fixture(scope="module")
def real(service: str) -> dict[str, str]:
    """Ids that exist: an attack made them."""
    failures = [{"client_ip": "203.0.113.9", "path": "/login", "status": 401}] * 10
    with httpx.Client(base_url=service, headers=HEADERS, timeout=30) as client:
        cursor = client.get("/v1/blocklist").json()["cursor"]
        assert client.post("/v1/events", json=failures).json()["accepted"] == 10
        added = client.get("/v1/blocklist/changes", params={"since": cursor, "wait": 20}).json()["added"]
    return {"block_id": added[0]["id"], "incident_id": added[0]["incident_id"], "value": "203.0.113.77"}


def send(case: schemathesis.Case, service: str, real: dict[str, str]) -> None:
    """One request, with a token that may do everything, and what must be true of any answer."""
    if case.path == "/v1/blocklist/changes":
        case.query = {**(case.query or {}), "wait": 0}
    case.path_parameters = {
        **case.path_parameters,
        **{k: v for k, v in real.items() if k in case.path_parameters},
    }
    if isinstance(case.body, dict) and "value" in case.body and real:
        case.body["value"] = real["value"]
    answer = case.call(base_url=service, headers=HEADERS)
    assert answer.status_code not in (500, 503), answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"][0] == "application/problem+json", answer.text
    case.validate_response(answer, checks=[response_schema_conformance])


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("target", ["anything", "what_exists"])
def test_no_request_makes_a_500(
    described: Any, service: str, real: dict[str, str], mode: GenerationMode, target: str
) -> None:
    ids, asked = real if target == "what_exists" else {}, 0
    for operation in described.get_all_operations():

        @settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.ok().as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            send(case, service, ids)

        try:
            ask()
        except Unsatisfiable:  # nothing about a route without parameters can be wrong
            continue
        asked += 1
    assert asked >= 20
