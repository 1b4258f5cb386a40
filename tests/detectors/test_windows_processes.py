"""Several processes count into one Redis at once, as several workers do."""

import subprocess
import sys

from redis.asyncio import Redis
from window_oracle import count_findings

from detectors.windows import findings_key, read_finding

WORKER = """
import asyncio, sys
from redis.asyncio import Redis
from detectors.finding import Action, Severity
from detectors.rule import Rule
from detectors.windows import Group, Windows, meta_of

async def main(url, worker, mark_of):
    redis = Redis.from_url(url)
    rule = Rule("auth_failures", 10, 60_000, (Action.BLOCK_IP,), Severity.HIGH)
    windows = Windows(redis, shards=4)
    for number in range(50):
        times = [1_764_000_000_000 + number * 20 + i for i in range(3)]
        groups = [Group(rule, s, rule.name, meta_of(rule, s), times, [], []) for s in ("a", "b", "c")]
        await windows.apply(groups, f"{mark_of}:{number}")
    await redis.aclose()

asyncio.run(main(*sys.argv[1:]))
"""


def run_workers(url: str, marks: list[str]) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, url, str(number), mark])
        for number, mark in enumerate(marks)
    ]
    assert [worker.wait(60) for worker in workers] == [0] * len(marks)


async def found(redis: Redis) -> dict[str, int]:
    counts: dict[str, int] = {}
    for shard in range(4):
        for entry_id, fields in await redis.xrange(findings_key(shard)):
            finding = read_finding(shard, entry_id, fields)
            counts[finding.subject] = counts.get(finding.subject, 0) + finding.count
    return counts


async def test_four_processes_with_news_of_their_own_count_every_event_once(redis: Redis, redis_server: str):
    run_workers(redis_server, ["w0", "w1", "w2", "w3"])
    every = sorted(
        1_764_000_000_000 + number * 20 + i for number in range(50) for i in range(3) for _ in range(4)
    )
    expected = sum(n for _, _, n in count_findings(every, 10, 60_000))
    assert expected == 600
    assert await found(redis) == {"a": 600, "b": 600, "c": 600}


async def test_four_processes_with_the_same_batches_count_them_once(redis: Redis, redis_server: str):
    run_workers(redis_server, ["same"] * 4)
    assert await found(redis) == {"a": 150, "b": 150, "c": 150}
