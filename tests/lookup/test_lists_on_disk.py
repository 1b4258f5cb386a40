"""External lists on disk: what a process begins with, what it is told of, and what cannot be believed."""

import asyncio
import random
import stat
import time
from array import array
from pathlib import Path

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from actions.blocks.lists import ListInfo
from actions.world import World
from app.lookup.feed import Feed
from app.lookup.follower import Follower
from app.lookup.list_files import FOLDER, MAGIC, ListFiles
from app.lookup.list_keeper import AWAY_MS, ListKeeper
from app.lookup.packed import PackedList
from app.lookup.snapshot import SnapshotFile, SnapshotKeeper
from app.lookup.table import Table
from detectors.errors import StorageError
from detectors.finding import DecisionType

NOW = 1_764_000_000_000
HOUR, DAY = 3_600_000, 86_400_000
ADDRESSES = ("203.0.113.9", "0.0.0.0", "255.255.255.255", "::1:7")
VALUES = (*ADDRESSES, "198.51.100.0/24", "2001:db8::/48", "2001:db8:1::/64")
MILLION = 1_000_000
LONGEST_PAUSE_S, LONGEST_LOAD_S = 0.015, 3.0


def listed(*values: str, name: str = "drop", digest: str = "d1") -> PackedList:
    return PackedList.of(name, values or VALUES, reason=f"on {name}", fetched_at=NOW, digest=digest)


def info(values: bytes, digest: str = "d1", good_at: int = NOW, expires_ms: int = 3 * DAY) -> ListInfo:
    return ListInfo(
        name="drop",
        place="here",
        type=DecisionType.BAN,
        digest=digest,
        entries=values.count(b"\n"),
        fetched_at=NOW,
        good_at=good_at,
        expires_ms=expires_ms,
    )


class Process:
    """A process with its copy on disk: both files are written by it."""

    def __init__(self, redis: Redis, folder: Path, ms: int = NOW) -> None:
        self.ms = ms
        self.actions = World.make(redis, lambda: self.ms)
        self.feed = Feed(lambda: self.ms)
        self.follower = Follower(
            *(self.actions.feed, self.feed, lambda: self.ms), lists=self.actions.lists, sleep=self._pause
        )
        self.snapshot = SnapshotKeeper(self.feed, SnapshotFile(folder))
        self.keeper = ListKeeper(
            self.feed, ListFiles(folder), lambda: self.ms, lambda: self.follower.heard_at
        )

    async def _pause(self, seconds: float) -> None:
        """An outage takes no time."""

    async def begin(self) -> int:
        restored = await self.keeper.restore()
        await self.snapshot.restore()
        return restored

    async def save(self) -> None:
        await self.snapshot.save()
        await self.keeper.look(self.snapshot.saved)

    async def put(self, values: bytes, digest: str = "d1") -> None:
        await self.actions.lists.put(info(values, digest), values)
        await self.follower.step()
        self.keeper.note(await self.actions.lists.infos())

    def origin(self, address: str) -> str | None:
        found, _ = self.feed.table.lookup(address, self.ms)
        return None if found is None else found.origin


async def listing(redis: Redis, folder: Path) -> Process:
    """A process that has a list of one address."""
    process = Process(redis, folder)
    await process.follower.step()
    await process.put(b"203.0.113.9\n")
    return process


def test_what_was_saved_is_loaded_in_every_length(tmp_path: Path) -> None:
    files, packed = ListFiles(tmp_path), listed()
    assert not files.save(packed, NOW + DAY)
    path = tmp_path / FOLDER / "drop.list"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["drop.list"], "no draft is left"
    (copy,) = files.load()
    assert copy.ends_at == NOW + DAY
    loaded = copy.packed
    assert set(loaded.entries()) == set(packed.entries())
    for name in ("name", "type", "reason", "fetched_at", "until", "digest"):
        assert getattr(loaded, name) == getattr(packed, name)
    for key in packed.entries():
        assert loaded.covering(key[0], key[1]) == packed.covering(key[0], key[1])


@pytest.mark.parametrize(
    "damage", ["cut", "flipped", "other version", "empty", "folder", "other name", "head"]
)
def test_one_that_cannot_be_believed_is_as_good_as_none(tmp_path: Path, damage: str) -> None:
    files = ListFiles(tmp_path)
    files.save(listed(), None)
    files.save(listed(name="other"), None)
    path = tmp_path / FOLDER / "drop.list"
    data = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        changed = {
            "cut": data[:-9],
            "flipped": data[:-19] + bytes([data[-19] ^ 1]) + data[-18:],
            "other version": data.replace(MAGIC, b"bartizan list 0 little\n"),
            "empty": b"",
            "other name": (path.parent / "other.list").read_bytes(),
            "head": MAGIC,
        }[damage]
        path.write_bytes(changed)
    with capture_logs() as logs:
        assert [copy.packed.name for copy in files.load()] == ["other"]
    (said,) = logs
    assert (said["event"], said["path"]) == ("list_file_not_read", str(path))


def test_there_is_none_at_the_first_start(tmp_path: Path) -> None:
    assert ListFiles(tmp_path).load() == []


def test_a_name_that_is_no_file_name_is_written_nowhere(tmp_path: Path) -> None:
    assert "no file name" in ListFiles(tmp_path / "d").save(listed(name="../evil"), None)
    assert list(tmp_path.iterdir()) == []


async def test_a_restart_without_redis_has_it_and_redis_finds_nothing_to_change(
    redis: Redis, tmp_path: Path
) -> None:
    first = Process(redis, tmp_path)
    await first.follower.step()
    await first.put(b"203.0.113.9\n198.51.100.0/24\n")
    await first.save()
    second = Process(redis, tmp_path)
    assert await second.begin() == 1
    assert second.feed.is_ready
    assert second.origin("198.51.100.7") == "lists:drop"
    cursor = second.feed.cursor
    taken = second.feed.table.lists["drop"]
    with capture_logs() as logs:
        await second.follower.step()
    assert "blocklist_taken" not in {line["event"] for line in logs}
    assert second.feed.table.lists["drop"] is taken
    told = second.feed.known_changes(cursor)
    assert told is not None, "nobody starts over"
    assert b'"added":[],"removed":[]' in told


async def test_those_who_follow_hear_what_changed_while_it_was_down(redis: Redis, tmp_path: Path) -> None:
    first = Process(redis, tmp_path)
    await first.follower.step()
    await first.put(b"203.0.113.9\n203.0.113.8\n")
    await first.save()
    cursor = first.feed.cursor
    await first.actions.lists.put(info(b"203.0.113.8\n", "d2"), b"203.0.113.8\n")
    second = Process(redis, tmp_path)
    await second.begin()
    await second.follower.step()
    told = second.feed.known_changes(cursor)
    assert told is not None
    assert b'"removed":[{"id":"lists:drop:203.0.113.9"' in told
    assert second.origin("203.0.113.9") is None


async def test_a_list_that_is_newer_than_our_own_decisions_waits_for_them(
    redis: Redis, tmp_path: Path
) -> None:
    """Else somebody who follows comes with the older cursor and never hears of the change."""
    process = await listing(redis, tmp_path)
    await process.save()
    await process.put(b"203.0.113.8\n", "d2")
    await process.keeper.look(process.snapshot.saved)
    (copy,) = ListFiles(tmp_path).load()
    assert copy.packed.digest == "d1"
    await process.save()
    (copy,) = ListFiles(tmp_path).load()
    assert copy.packed.digest == "d2"


async def test_the_file_of_a_list_that_is_gone_is_deleted(redis: Redis, tmp_path: Path) -> None:
    process = await listing(redis, tmp_path)
    await process.save()
    await process.actions.lists.drop("drop")
    await process.follower.step()
    await process.save()
    assert list((tmp_path / FOLDER).iterdir()) == []


async def test_a_damaged_file_is_left_until_redis_has_spoken(redis: Redis, tmp_path: Path) -> None:
    first = await listing(redis, tmp_path)
    await first.save()
    path = tmp_path / FOLDER / "drop.list"
    path.write_bytes(b"nonsense")
    second = Process(redis, tmp_path)
    assert await second.begin() == 0
    await second.save()
    assert path.read_bytes() == b"nonsense"
    await second.follower.step()
    second.keeper.note(await second.actions.lists.infos())
    await second.save()
    assert [copy.packed.digest for copy in ListFiles(tmp_path).load()] == ["d1"]


async def test_a_list_that_is_too_old_is_not_put_in_force(redis: Redis, tmp_path: Path) -> None:
    first = await listing(redis, tmp_path)
    await first.save()
    late = Process(redis, tmp_path, NOW + 3 * DAY)
    assert await late.begin() == 0
    assert late.origin("203.0.113.9") is None
    early = Process(redis, tmp_path, NOW + 3 * DAY - 1)
    assert await early.begin() == 1


async def test_it_ends_while_redis_is_away_and_comes_back_with_it(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await listing(redis, tmp_path)
    await first.save()
    second = Process(redis, tmp_path)
    await second.begin()
    cursor = second.feed.cursor
    second.ms = NOW + 3 * DAY
    await second.keeper.look(second.snapshot.saved)
    assert second.origin("203.0.113.9") is None
    assert second.feed.known_changes(cursor) is None, "who follows takes the whole list"
    assert second.feed.known_changes(second.feed.cursor) is not None
    ended = second.feed.cursor
    await second.follower.step()
    assert second.origin("203.0.113.9") == "lists:drop", "Redis has the last word"
    assert second.feed.cursor == cursor
    assert second.feed.known_changes(ended) is None
    assert second.feed.known_changes(cursor) is not None


async def test_while_redis_is_there_it_is_not_this_process_that_ends_a_list(
    redis: Redis, tmp_path: Path
) -> None:
    process = await listing(redis, tmp_path)
    process.ms = NOW + 4 * DAY
    process.follower.heard_at = process.ms - AWAY_MS + 1
    await process.keeper.look(None)
    assert process.origin("203.0.113.9") == "lists:drop"
    process.follower.heard_at -= 1
    await process.keeper.look(None)
    assert process.origin("203.0.113.9") is None


async def test_a_file_follows_the_end_of_its_list_but_not_every_ten_seconds(
    redis: Redis, tmp_path: Path
) -> None:
    process = await listing(redis, tmp_path)
    await process.save()
    for later, expected in ((HOUR, 0), (2 * HOUR, 2 * HOUR), (0, 0)):
        process.keeper.note({"drop": info(b"203.0.113.9\n", good_at=NOW + later)})
        await process.save()
        (copy,) = ListFiles(tmp_path).load()
        assert copy.ends_at == NOW + expected + 3 * DAY


async def test_a_disk_that_refuses_is_told_of_once(redis: Redis, tmp_path: Path) -> None:
    process = await listing(redis, tmp_path)
    (tmp_path / FOLDER).write_bytes(b"a file in its place")
    with capture_logs() as logs:
        for _ in range(3):
            await process.save()
    assert [line["list"] for line in logs if line["event"] == "list_file_not_written"] == ["drop"]
    (tmp_path / FOLDER).unlink()
    await process.save()
    assert len(ListFiles(tmp_path).load()) == 1


async def test_an_outage_at_the_start_leaves_the_restored_lists(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await listing(redis, tmp_path)
    await first.save()
    second = Process(redis, tmp_path)
    await second.begin()

    async def away(*_: object) -> None:
        raise StorageError("away")

    monkeypatch.setattr(second.actions.feed, "snapshot", away)
    await second.follower.step()
    await second.save()
    assert second.origin("203.0.113.9") == "lists:drop"
    assert len(ListFiles(tmp_path).load()) == 1


@pytest.mark.parametrize("kind", ["addresses", "networks"])
async def test_a_million_entries_are_written_beside_other_work_and_read_fast(
    tmp_path: Path, kind: str
) -> None:
    chance = random.Random(11)
    v4, networks = array("I"), dict[int, dict[int, set[int]]]({4: {}, 6: {}})
    if kind == "addresses":
        v4 = array("I", sorted(chance.sample(range(2**32), MILLION)))
    else:
        networks[6] = {64: {chance.getrandbits(64) for _ in range(MILLION // 2)}}
        networks[6][0] = {chance.getrandbits(128) for _ in range(MILLION // 2)}
    packed = PackedList("drop", v4, networks, type=DecisionType.BAN, reason="r", fetched_at=NOW, digest="d")
    feed, files = Feed(lambda: NOW), ListFiles(tmp_path)
    feed.load("1-0", Table())
    feed.take_list("drop", packed)
    keeper, pauses, is_over = ListKeeper(feed, files, lambda: NOW, lambda: NOW), [0.0], asyncio.Event()

    async def other_work() -> None:
        while not is_over.is_set():
            begun = time.perf_counter()
            await asyncio.sleep(0.001)
            pauses.append(time.perf_counter() - begun)

    task = asyncio.create_task(other_work())
    await keeper.look("1-0")
    is_over.set()
    await task
    begun = time.perf_counter()
    (copy,) = files.load()
    loaded_s = time.perf_counter() - begun
    assert set(copy.packed.entries()) == set(packed.entries())
    assert sorted(pauses)[-2] < LONGEST_PAUSE_S * 3, "the machine may be busy"
    assert loaded_s < LONGEST_LOAD_S
