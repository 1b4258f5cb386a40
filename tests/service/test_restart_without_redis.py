"""A process that starts while Redis is away knows from its copy on disk whom it blocked."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import httpx
from test_crashes import eventually

from app.embedded_redis import embedded
from app.policies.policy import default_text
from benchmarks.service import TOKENS, Service, running_service


def call(service: Service, role: str, method: str, path: str, **body: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKENS[role]}"}
    return httpx.request(method, service.url + path, headers=headers, json=body or None, timeout=10)


def lookup(service: Service, address: str) -> dict[str, object]:
    answer = call(service, "lookup", "GET", f"/v1/lookup/{address}")
    found: dict[str, object] = answer.json() if answer.status_code == 200 else {}
    return found


def test_a_restart_while_redis_is_away_lets_no_attacker_in() -> None:
    # A socket's path has at most 108 bytes; pytest's folders are longer.
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        redis = ExitStack()
        url = redis.enter_context(embedded(Path(folder))).url
        stack.callback(redis.close)
        service = stack.enter_context(running_service(redis_url=url))
        for value in ("203.0.113.9", "198.51.100.0/24"):
            made = call(
                service, "responder", "POST", "/v1/admin/blocks", value=value, reason="seen", duration="1h"
            )
            assert made.status_code == 201
        call(service, "admin", "POST", "/v1/admin/allowlist", value="198.51.100.7", note="office")
        assert eventually(lambda: lookup(service, "198.51.100.7").get("allowlisted") is True)
        service.stop()
        redis.close()
        service.start_again()
        assert lookup(service, "203.0.113.9")["blocked"] is True
        assert lookup(service, "198.51.100.8")["blocked"] is True
        assert lookup(service, "198.51.100.7")["blocked"] is False
        assert lookup(service, "203.0.113.10")["blocked"] is False


def test_nor_one_that_stands_on_an_external_list(tmp_path: Path) -> None:
    (tmp_path / "partners.txt").write_text("192.0.2.77\n2001:db8:7::/48\n")
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"{default_text()}\nblocklists: {{partners: {{file: partners.txt, every: 10s}}}}\n")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        redis = ExitStack()
        url = redis.enter_context(embedded(Path(folder))).url
        stack.callback(redis.close)
        service = stack.enter_context(running_service(redis_url=url, policy=str(policy)))
        assert eventually(lambda: lookup(service, "192.0.2.77").get("blocked") is True)
        service.stop()
        redis.close()
        service.start_again()
        for address in ("192.0.2.77", "2001:db8:7::1"):
            found = lookup(service, address)
            assert found["blocked"] is True
            assert found["decision"]["origin"] == "lists:partners"  # type: ignore[index]
        assert lookup(service, "192.0.2.78")["blocked"] is False
