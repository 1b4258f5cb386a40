"""The copy of the blocklist on disk: what it says, and what becomes of one that cannot be believed."""

import random
import stat
from pathlib import Path

import pytest

from actions.blocks.decision import Decision
from actions.blocks.subjects import Scope
from app.lookup.feed import Feed
from app.lookup.snapshot import FILE, MAGIC, SnapshotFile, SnapshotKeeper
from app.lookup.table import Allowed, Table
from detectors.finding import DecisionType

NOW = 1_764_000_000_000


def decision(value: str, number: int = 1, **fields: object) -> Decision:
    scope = Scope.RANGE if "/" in value else Scope.IP
    return Decision(f"{number:016x}", value, NOW + number, **{"scope": scope, "created_at": NOW, **fields})  # type: ignore[arg-type]


def some_table() -> Table:
    table, chance = Table(), random.Random(5)
    for number in range(500):
        value = f"203.0.{chance.randrange(100)}.{chance.randrange(256)}"
        table.add(
            decision(value, number, reason=f"because {number % 7}", type=chance.choice([*DecisionType]))
        )
    table.add(decision("198.51.100.0/24", 600, rule="auth_failures", incident_id="INC-2026-0001"))
    table.add(decision("2001:db8:1:2::/64", 601, origin="import"))
    table.add(decision("2001:db8::1", 602))
    table.add(Decision("not of ours", "192.0.2.7", None))
    table.add(decision("FR", 603, scope=Scope.COUNTRY))
    table.allow(Allowed("203.0.113.0/24", NOW + 5))
    for number in range(0, 256, 3):
        table.remove(f"{number:016x}", f"203.0.0.{number}")
    table.remove(f"{602:016x}", "2001:db8::1")
    return table


def all_of(table: Table) -> dict[tuple[Scope, str], Decision]:
    return {(found.scope, found.value): found for found in table.blocks(0)}


def test_what_was_saved_is_loaded_and_goes_on_changing(tmp_path: Path) -> None:
    file, table = SnapshotFile(tmp_path), some_table()
    file.save("7-0", table.packed())
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    found = file.load()
    assert found is not None
    cursor, loaded = found
    assert cursor == "7-0"
    assert all_of(loaded) == all_of(table)
    assert loaded.allowlist(NOW) == table.allowlist(NOW)
    for changing in (table, loaded):
        changing.add(decision("192.0.2.99", 700))
        changing.remove("not of ours", "192.0.2.7")
        changing.add(decision("198.51.100.0/24", 701))
    assert all_of(loaded) == all_of(table)
    assert not list(table.differing(loaded))


def test_there_is_none_at_the_first_start(tmp_path: Path) -> None:
    assert SnapshotFile(tmp_path).load() is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "other version", "empty", "folder"])
def test_one_that_cannot_be_believed_is_as_good_as_none(tmp_path: Path, damage: str) -> None:
    file = SnapshotFile(tmp_path)
    file.save("7-0", some_table().packed())
    data = file.path.read_bytes()
    file.path.unlink()
    if damage == "folder":
        file.path.mkdir()
    else:
        changed = {
            "cut": data[:-9],
            "flipped": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
            "other version": data.replace(MAGIC, b"bartizan blocklist 0 little\n"),
            "empty": b"",
        }[damage]
        file.path.write_bytes(changed)
    assert file.load() is None


async def test_a_process_begins_with_it_and_redis_has_the_last_word(tmp_path: Path) -> None:
    first = Feed(lambda: NOW)
    keeper = SnapshotKeeper(first, SnapshotFile(tmp_path))
    await keeper.save()
    assert not (tmp_path / FILE).exists(), "nothing is known yet"
    first.load("7-0", some_table())
    await keeper.save()
    second = Feed(lambda: NOW)
    assert await SnapshotKeeper(second, SnapshotFile(tmp_path)).restore() == len(first.table)
    assert second.is_ready
    assert second.table.lookup("198.51.100.7", NOW)[0] is not None
    second.load("9-0", Table())
    assert second.table.lookup("198.51.100.7", NOW)[0] is None
    told = second.known_changes("7-0")
    assert told is not None
    assert b"198.51.100.0/24" in told


async def test_a_large_table_is_saved_from_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.lookup.snapshot.PACKED_AT_ONCE", 10)
    feed = Feed(lambda: NOW)
    feed.load("7-0", some_table())
    keeper = SnapshotKeeper(feed, SnapshotFile(tmp_path))
    await keeper.save()
    written = (tmp_path / FILE).stat().st_mtime_ns
    await keeper.save()
    assert (tmp_path / FILE).stat().st_mtime_ns == written, "nothing has changed since"
