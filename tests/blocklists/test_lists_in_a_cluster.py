"""External lists on a node of a Redis Cluster, which refuses whatever touches two slots at once."""

import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from list_stage import NOON, Process
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from app.embedded_redis import find_binary
from app.policies.blocklists import ListSource

SLOTS = 16_384
READY_S = 20
BUS = 10_000
"""So far above its port lies the port by which the nodes of a cluster talk."""


def free_port() -> int:
    """One whose bus is free too."""
    for _ in range(100):
        with socket.socket() as port, socket.socket() as bus:
            try:
                port.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
                bus.bind(("127.0.0.1", port.getsockname()[1] + BUS))
            except OSError:
                continue
            return int(port.getsockname()[1])
    pytest.fail("no free port")


def take_all_slots(port: int) -> None:
    """A cluster of one node is one soon after it has every slot."""
    end, begun = time.monotonic() + READY_S, False
    with SyncRedis(host="127.0.0.1", port=port) as client:
        while time.monotonic() < end:
            try:
                if not begun:
                    client.execute_command("CLUSTER ADDSLOTS", *range(SLOTS))
                    begun = True
                if "'cluster_state': 'ok'" in str(client.execute_command("CLUSTER INFO")):
                    return
            except RedisConnectionError:
                pass
            time.sleep(0.05)
    pytest.fail("the cluster is not ready")


@pytest.fixture
def node_port() -> Iterator[int]:
    folder, port = tempfile.mkdtemp(prefix="bz-cluster-"), free_port()
    process = subprocess.Popen(
        [
            *(find_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder),
            *("--cluster-enabled", "yes"),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        take_all_slots(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def node(node_port: int) -> AsyncIterator[Redis]:
    client = Redis(host="127.0.0.1", port=node_port)
    yield client
    await client.aclose()


async def test_what_touches_two_slots_is_refused(node: Redis) -> None:
    with pytest.raises(ResponseError):
        await node.mget(["bartizan:{act}:lists", "bartizan:{0}:findings"])


async def test_lists_come_are_claimed_and_go(node: Redis, tmp_path: Path) -> None:
    (tmp_path / "partners.txt").write_text("203.0.113.9\n")
    wanted = [ListSource("partners", None, tmp_path / "partners.txt")]
    first, second = (Process(node, lambda: NOON, wanted, name) for name in ("aa-0", "bb-0"))
    await first.refresher.look()
    await first.follower.step()
    assert first.origin("203.0.113.9") == "lists:partners"
    await second.refresher.look()
    wanted.clear()
    await first.refresher.look()
    assert set(await first.actions.lists.infos()) == {"partners"}, "the other host has not given it up yet"
    await second.refresher.look()
    assert await first.actions.lists.infos() == {}
    await first.follower.step()
    assert first.origin("203.0.113.9") is None
