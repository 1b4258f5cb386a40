"""Over a real connection to a real server: long polls, a Bartizan that goes and comes back, several workers."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fake_bartizan import TOKEN, Serving

from bartizan_client import BartizanMiddleware, BlocklistFollower


def follower(serving: Serving, **settings: Any) -> BlocklistFollower:
    return BlocklistFollower(serving.url, TOKEN, **{"snapshot": None} | settings)


async def test_a_block_and_its_end_are_in_force_in_every_worker_within_a_second(bartizan: Serving) -> None:
    fake = bartizan.fake
    async with follower(bartizan) as one, follower(bartizan) as two, follower(bartizan) as three:
        workers = (one, two, three)
        await fake.polled("0-0", times=3)
        for change in (fake.block, fake.unblock):
            before = time.perf_counter()
            await fake.polled(await change("203.0.113.9"), times=3)
            assert time.perf_counter() - before < 1
            assert {worker.is_blocked("203.0.113.9") for worker in workers} == {change == fake.block}


async def test_an_empty_poll_is_followed_by_the_next(bartizan: Serving) -> None:
    async with follower(bartizan, poll_wait_s=0.01, jitter=lambda: 0.0):
        await bartizan.fake.polled("0-0", times=3)
    assert bartizan.fake.requests[0] == ("GET", "/v1/blocklist")


async def test_a_cursor_too_old_brings_the_whole_list(bartizan: Serving) -> None:
    fake = bartizan.fake
    async with follower(bartizan) as worker:
        await fake.polled("0-0")
        await fake.block("203.0.113.9")
        fake.oldest = 5
        for number in range(1, 6):
            await fake.block(f"198.51.100.{number}")
        await fake.polled("6-0")
        assert worker.is_blocked("203.0.113.9")
        assert worker.status().entries == 6


async def test_it_blocks_while_bartizan_is_away_and_catches_up_when_it_is_back(
    bartizan: Serving, tmp_path: Path
) -> None:
    fake = bartizan.fake
    path = tmp_path / "blocklist.json"
    await fake.block("203.0.113.9")
    async with follower(bartizan, snapshot=path, jitter=lambda: 0.0) as worker:
        await fake.polled("1-0")
        await bartizan.leave()
        assert worker.is_blocked("203.0.113.9")
        async with follower(bartizan, snapshot=path) as restarted:
            await restarted.wait_started()
            assert not restarted.status().is_connected
            assert restarted.is_blocked("203.0.113.9")
        await fake.unblock("203.0.113.9")
        await fake.block("203.0.113.10")
        await bartizan.come()
        await fake.polled("3-0")
        assert not worker.is_blocked("203.0.113.9")
        assert worker.is_blocked("203.0.113.10")


async def test_a_wrong_token_never_gets_a_list(bartizan: Serving) -> None:
    async with BlocklistFollower(bartizan.url, "wrong", snapshot=None) as worker:
        await worker.wait_started()
        assert not worker.has_list
        assert worker.status().failures == 1


async def test_the_end_of_a_follower_ends_its_poll_and_leaves_no_task(bartizan: Serving) -> None:
    async with follower(bartizan):
        await bartizan.fake.polled("0-0")
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("bartizan")] == []


@pytest.mark.parametrize("lifespan", ["on", "off"])
async def test_a_process_ends_quietly_with_and_without_a_lifespan(bartizan: Serving, lifespan: str) -> None:
    """In Python's development mode, where a task or connection left behind would be complained about."""
    await bartizan.fake.block("203.0.113.9")
    program = Path(__file__).with_name("one_request.py")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", str(program), bartizan.url, TOKEN, lifespan),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (out.decode(), err.decode()) == ("403\n", "")
    assert process.returncode == 0


async def test_the_middleware_follows_over_a_real_connection(bartizan: Serving) -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = BartizanMiddleware(inner, url=bartizan.url, token=TOKEN, snapshot=None)
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Any:
        raise AssertionError

    scope = {"type": "http", "headers": [], "client": ("203.0.113.9", 1)}
    await app(scope, receive, send)
    await bartizan.fake.polled(await bartizan.fake.block("203.0.113.0/24"))
    await app(scope, receive, send)
    await bartizan.fake.polled(await bartizan.fake.unblock("203.0.113.0/24"))
    await app(scope, receive, send)
    await app.follower.stop()
    assert statuses == [204, 403, 204]
