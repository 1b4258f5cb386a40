"""Real FastAPI, Flask and Django applications with the client, under load, while the real service is killed.

No request fails, nobody who is blocked is let through, and nobody else is refused.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from guarded_apps import COMMANDS, Load, running, skip_without

from benchmarks.service import TOKENS, Service, running_service

SENDERS = 3
PUSH_BOUND_MS = 100
"""From the answer of the admin API to the first refusal, at the 95th percentile; 13 to 20 ms on two busy cores."""
PUSHES = 20


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running_service() as started:
        yield started


@pytest.fixture(params=COMMANDS)
def app(request: pytest.FixtureRequest, service: Service, tmp_path: Path) -> Iterator[str]:
    skip_without(request.param)
    with running(
        request.param,
        tmp_path,
        BLOCKLIST_URL=service.url,
        BLOCKLIST_TOKEN=TOKENS["lookup"],
        REPORT_TOKEN=TOKENS["ingest"],
    ) as url:
        yield url


def addresses(service: Service) -> Iterator[str]:
    """New ones in every test; those of one service are blocked for good."""
    used = service.environment.setdefault("USED", "0")
    for number in range(int(used), 250):
        service.environment["USED"] = str(number + 1)
        yield f"203.0.113.{number}"


async def block(http: httpx.AsyncClient, service: Service, value: str, **more: Any) -> str:
    """Through the admin API; the block's id."""
    answer = await http.post(
        f"{service.url}/v1/admin/blocks",
        json={"value": value, "duration": "1h", "reason": "test", **more},
        headers={"Authorization": f"Bearer {TOKENS['admin']}"},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> float:
    """Milliseconds until it held."""
    begun = time.perf_counter()
    while not await condition():
        assert time.perf_counter() - begun < seconds, "it did not happen"
        await asyncio.sleep(0.002)
    return (time.perf_counter() - begun) * 1000


async def refused_everywhere(load: Load, http: httpx.AsyncClient, address: str) -> None:
    """Until twenty requests in a row are refused: each worker of the application has the block."""

    async def all_refused() -> bool:
        return {await load.send(http, address) for _ in range(20)} == {403}

    await until(all_refused)


async def test_an_application_under_load_while_bartizan_is_killed(app: str, service: Service) -> None:
    """Three attackers: one who tries passwords at the application itself, one before and one after the kill."""
    new = addresses(service)
    guesser, early, late = next(new), next(new), next(new)
    load = Load(app, [f"198.51.100.{number}" for number in range(50)])
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
        senders = [asyncio.create_task(load.run()) for _ in range(SENDERS)]

        async def guess() -> bool:
            headers = {"x-forwarded-for": guesser}
            answer = await http.post(f"{app}/login", params={"user": "alice"}, headers=headers)
            assert answer.status_code in (401, 403)
            return answer.status_code == 403

        await until(guess)
        for attacker in (guesser, early):
            if attacker == early:
                await block(http, service, early)
            await refused_everywhere(load, http, attacker)
            load.attackers.add(attacker)

        service.kill()
        before = load.seen.total()
        await until(lambda: _has_sent(load, before + 300))
        await asyncio.to_thread(service.start_again)
        await block(http, service, late)
        await refused_everywhere(load, http, late)
        load.attackers.add(late)
        before = load.seen.total()
        await until(lambda: _has_sent(load, before + 300))
        load.is_over = True
        await asyncio.gather(*senders)
    assert load.wrong == []
    assert load.seen["benign", 200] > 300
    assert load.seen["attacker", 403] > 100


async def _has_sent(load: Load, count: int) -> bool:
    return load.seen.total() >= count


async def test_a_block_and_its_end_are_in_force_within_a_tenth_of_a_second(
    app: str, service: Service
) -> None:
    admin = {"Authorization": f"Bearer {TOKENS['admin']}"}
    load, took = Load(app, []), []
    new = addresses(service)
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
        first = next(new)
        assert await load.send(http, first) == 200
        for address in [next(new) for _ in range(PUSHES)]:
            id = await block(http, service, address)
            took.append(await until(lambda a=address: _is(load, http, a, 403)))
            answer = await http.delete(f"{service.url}/v1/admin/blocks/{id}?reason=test", headers=admin)
            assert answer.status_code < 300, answer.text
            await until(lambda a=address: _is(load, http, a, 200))
    assert sorted(took)[int(PUSHES * 0.95) - 1] < PUSH_BOUND_MS, took


async def _is(load: Load, http: httpx.AsyncClient, address: str, status: int) -> bool:
    return await load.send(http, address) == status
