"""The real service and a real name server: a search engine's bot is spared, an impostor is not."""

import asyncio
import sys
from pathlib import Path

import httpx
from redis.asyncio import Redis

sys.path.append(str(Path(__file__).resolve().parent.parent / "actions"))
sys.path.append(str(Path(__file__).resolve().parent.parent / "house"))

from name_servers import GOOGLEBOT, IMPOSTORS, dnsmasq
from test_crashes import eventually
from test_full_run import post
from test_redis_keys import check_keys

from benchmarks.service import TOKENS, Service, running_service

AGENT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
MONITOR = {"client_ip": "192.0.2.10", "user_agent": "UptimeRobot/2.0"}
POLICY = """
security_alerts:
  auth_failures: {threshold: 10/minute, action: block_ip}
trusted_clients: [{user_agent: UptimeRobot/2, networks: [192.0.2.0/24], note: our monitor}]
"""


def read(service: Service, path: str) -> dict[str, object]:
    return httpx.get(f"{service.url}{path}", headers={"X-Api-Key": TOKENS["admin"]}).json()


def test_a_bot_is_spared_an_impostor_blocked_and_a_monitor_not_counted(tmp_path: Path, dnsmasq_binary: str):
    policy, impostor = tmp_path / "policy.yaml", IMPOSTORS["a lookalike domain"]
    policy.write_text(POLICY)
    failure = {"path": "/login", "method": "POST", "status": 401}
    with (
        dnsmasq(dnsmasq_binary) as server,
        running_service(policy=str(policy), dns_servers=server) as service,
    ):
        for address in (GOOGLEBOT, impostor):
            post(service, [{**failure, "client_ip": address, "user_agent": AGENT}] * 10)
        post(service, [{**failure, **MONITOR}] * 50)
        assert eventually(lambda: len(read(service, "/v1/admin/notifications")["items"]) == 1)
        assert eventually(lambda: len(read(service, "/v1/admin/blocks")["items"]) == 1)
        [block] = read(service, "/v1/admin/blocks")["items"]
        assert block["value"] == impostor
        incidents = {i["subject"]: i["id"] for i in read(service, "/v1/admin/incidents")["items"]}
        assert set(incidents) == {GOOGLEBOT, impostor}
        timeline = read(service, f"/v1/admin/incidents/{incidents[GOOGLEBOT]}/timeline")["items"]
        assert timeline[-1]["text"] == "not blocked: verified googlebot (crawl-203-0-113-9.googlebot.com)"
        metrics = httpx.get(f"{service.url}/metrics").text
        assert 'outcome="verified_bot",rule="auth_failures"} 1.0' in metrics
        assert 'bartizan_bot_checks_total{result="yes"} 1.0' in metrics
        asyncio.run(kept(service))


async def kept(service: Service) -> None:
    async with Redis(unix_socket_path=str(service.redis_socket)) as redis:
        assert await check_keys(redis) > 8
