"""The client for threads: its thread, its end, and what becomes of it in a process that is forked."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_bartizan import TOKEN, Serving

from bartizan_client import BlocklistClient, SyncBlocklistClient


def client(serving: Serving, **options: Any) -> SyncBlocklistClient:
    return SyncBlocklistClient(serving.url, TOKEN, **{"snapshot": None} | options)


async def test_it_follows_in_a_thread_of_its_own(bartizan: Serving) -> None:
    fake = bartizan.fake
    await fake.block("203.0.113.9")
    with_thread = client(bartizan)
    assert await asyncio.to_thread(with_thread.is_blocked, "203.0.113.9")
    await fake.polled(await fake.block("203.0.113.10"))
    found = with_thread.find("203.0.113.10")
    assert found is not None
    assert found.id == "id-203.0.113.10"
    status = with_thread.status()
    assert (status.is_connected, status.entries, status.decisions) == (True, 2, {"ban": 2})
    await asyncio.to_thread(with_thread.close)
    assert with_thread.is_blocked("203.0.113.9"), "what is known stays known"


async def test_closing_twice_and_before_any_question_is_no_error(bartizan: Serving) -> None:
    unused = client(bartizan)
    unused.close()
    unused.close()
    assert unused.is_blocked("203.0.113.9") is False
    assert bartizan.fake.requests == []


async def test_a_bartizan_that_is_away_holds_nobody_up_for_long(bartizan: Serving) -> None:
    await bartizan.leave()
    away = client(bartizan, startup_wait_s=0.05)
    async with asyncio.timeout(10):
        assert await asyncio.to_thread(away.is_blocked, "203.0.113.9") is False
        await asyncio.to_thread(away.close)
    assert not away.has_list


async def test_many_threads_start_it_once(bartizan: Serving) -> None:
    shared = client(bartizan)
    await asyncio.gather(*(asyncio.to_thread(shared.is_blocked, "203.0.113.9") for _ in range(8)))
    assert bartizan.fake.requests.count(("GET", "/v1/blocklist")) == 1
    await asyncio.to_thread(shared.close)


async def test_an_asynchronous_hook_runs_in_the_thread(bartizan: Serving) -> None:
    ran = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def hook() -> None:
        loop.call_soon_threadsafe(ran.set)

    shared = client(bartizan)
    early = hook()
    shared.spawn(early)
    assert shared.counts["hooks_dropped"] == 1
    await asyncio.to_thread(shared.wait_started)
    shared.spawn(hook())
    await asyncio.wait_for(ran.wait(), 10)
    await asyncio.to_thread(shared.close)


async def test_the_asynchronous_client_answers_the_same(bartizan: Serving) -> None:
    await bartizan.fake.block("203.0.113.0/24")
    async with BlocklistClient(bartizan.url, TOKEN, snapshot=None) as plain:
        assert plain.is_blocked("203.0.113.9")
        found = plain.find("203.0.113.9")
        assert found is not None
        assert found.value == "203.0.113.0/24"
        assert not plain.is_blocked("198.51.100.1")
        assert plain.status().is_connected
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("bartizan")] == []


@pytest.mark.parametrize("how", ["end", "fork", "close"])
async def test_a_process_ends_quietly_and_its_child_follows_by_itself(
    bartizan: Serving, how: str, tmp_path: Path
) -> None:
    """In Python's development mode, where what is left behind would be complained about.

    From 3.12 on it also complains about every fork of a process with threads, which is what is tried here.
    """
    await bartizan.fake.block("203.0.113.9")
    program = Path(__file__).with_name("sync_process.py")
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-X",
            "dev",
            "-W",
            "ignore:This process:DeprecationWarning",
            str(program),
            bartizan.url,
            TOKEN,
            how,
            str(tmp_path / "list"),
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"True False\n"
        followers = 2 if how == "fork" else 1
        await bartizan.fake.polled(bartizan.fake.cursor, times=followers)
        await bartizan.fake.polled(await bartizan.fake.block("203.0.113.10"), times=followers)
        out, err = await process.communicate(b"go on\n")
    said = out.decode().splitlines()
    assert sorted(said) == (
        ["child True True", "parent True True"] if how == "fork" else ["parent True True"]
    )
    complaints = [line for line in err.decode().splitlines() if not line.startswith("Executing ")]
    assert complaints == [], "a busy machine is no fault, anything else is"
    assert process.returncode == 0
    assert (tmp_path / "list").exists()
