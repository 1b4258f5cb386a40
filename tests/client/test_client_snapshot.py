"""The copy on disk: that a restart while Bartizan is away still blocks, and what is not believed."""

import asyncio
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_bartizan import decision
from scripted import WHOLE, Script, changes, follow, listing, poll

from bartizan_client import Allowed, Block, BlocklistFollower, BlockTable
from bartizan_client.decision import FOREVER, DecisionType, Scope
from bartizan_client.snapshot import Contents, Snapshot
from bartizan_client.snapshot_format import SnapshotFile, checksum, copy_of, read_table
from bartizan_client.wire import epoch_s


async def follow_on_disk(script: Script, path: Path, **settings: Any) -> BlocklistFollower:
    return await follow(script, snapshot=path, **settings)


def read(path: Path) -> tuple[dict[str, Any], BlockTable]:
    with path.open("rb") as file:
        saved = SnapshotFile(file)
        return saved.head, read_table(saved, lambda: 1_764_000_000.0)


async def test_the_list_is_on_disk_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "blocklist.json"
    until = "2099-01-01T00:00:00.000Z"
    added = [decision("2001:db8::/64", until=until), decision("192.0.2.1", until="2020-01-01T00:00:00.000Z")]
    allowlist = [{"value": "203.0.113.0/28", "until": None}]
    script = Script(listing("1-0", "203.0.113.9", allowlist=allowlist), changes("2-0", added=added))
    await follow_on_disk(script, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    head, saved = read(path)
    assert (head["cursor"], head["etag"]) == ("2-0", None)
    assert [(b.value, b.until_s) for b in saved.blocks()] == [
        ("203.0.113.9", FOREVER),
        ("192.0.2.1", epoch_s("2020-01-01T00:00:00.000Z")),
        ("2001:db8::/64", epoch_s(until)),
    ]
    assert saved.allowlist() == [Allowed("203.0.113.0/28", FOREVER)]


async def test_a_restart_while_bartizan_is_away_still_blocks(tmp_path: Path) -> None:
    path = tmp_path / "blocklist.json"
    await follow_on_disk(Script(listing("1-0", "203.0.113.9", "2001:db8::/64")), path)
    again = await follow_on_disk(Script(httpx.ConnectError("refused")), path)
    assert again.has_list
    assert not again.status().is_connected
    assert again.is_blocked("203.0.113.9")
    assert again.is_blocked("2001:db8::1")


async def test_an_unchanged_list_is_not_sent_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "blocklist.json"
    await follow_on_disk(Script(listing("1-0", "203.0.113.9")), path)
    script = Script(httpx.Response(304))
    again = await follow_on_disk(script, path)
    assert script.headers[0]["if-none-match"] == '"1-0"'
    assert script.asked == [WHOLE, poll("1-0")]
    assert again.is_blocked("203.0.113.9")


async def test_an_etag_is_not_shown_to_another_bartizan(tmp_path: Path) -> None:
    path = tmp_path / "blocklist.json"
    await follow_on_disk(Script(listing("1-0", "203.0.113.9")), path)
    head, _, rest = path.read_bytes()[:-4].partition(b"\n")
    spoilt = head.replace(b'"source": "', b'"source": "another-') + b"\n" + rest
    path.write_bytes(spoilt + checksum(spoilt).to_bytes(4, "little"))
    script = Script(listing("1-0"))
    await follow_on_disk(script, path)
    assert "if-none-match" not in script.headers[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": 2}',
        '{"format": 2, "cursor": "1-0"}\nxxxx',
        '{"format": 1, "cursor": "1-0"}',
        "[" * 9_000,
    ],
)
async def test_a_spoilt_snapshot_is_left_aside_and_replaced(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "blocklist.json"
    path.write_text(text)
    path.chmod(0o600)
    follower = await follow_on_disk(Script(httpx.ConnectError("refused")), path)
    assert not follower.has_list
    assert "is not used" in caplog.text
    await follow_on_disk(Script(listing("1-0")), path)
    assert read(path)[0]["cursor"] == "1-0"


async def test_a_snapshot_that_others_may_write_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "blocklist.json"
    await follow_on_disk(Script(listing("1-0", "203.0.113.9")), path)
    path.chmod(0o666)
    follower = await follow_on_disk(Script(httpx.ConnectError("refused")), path)
    assert not follower.has_list
    assert "others may write it" in caplog.text


async def test_a_snapshot_that_cannot_be_written_is_said_once_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    script = Script(listing("1-0"), changes("2-0", added=[decision("203.0.113.9")]))
    follower = await follow_on_disk(script, tmp_path / "file" / "blocklist.json")
    assert follower.is_blocked("203.0.113.9")
    assert caplog.text.count("no snapshot") == 1


async def test_a_pipe_in_place_of_the_snapshot_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "blocklist.json"
    os.mkfifo(path)
    follower = await follow_on_disk(Script(httpx.ConnectError("refused")), path)
    assert not follower.has_list


async def test_workers_with_the_same_list_write_it_once(tmp_path: Path) -> None:
    path = tmp_path / "blocklist.json"
    await follow_on_disk(Script(listing("1-0", "203.0.113.9")), path)
    before = path.stat().st_ino
    await follow_on_disk(Script(listing("1-0", "203.0.113.9")), path)
    assert path.stat().st_ino == before


async def test_the_snapshot_has_a_place_of_its_own_for_each_bartizan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one = Script(listing("1-0"))
    async with one.follower(snapshot="auto"), asyncio.timeout(10):
        await one.over.wait()
    (made,) = (tmp_path / "bartizan").iterdir()
    assert made.name.startswith("blocklist-")


def test_a_table_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    captcha, throttle = DecisionType.CAPTCHA, DecisionType.THROTTLE
    blocks = [
        Block("00000000000000ab", "203.0.113.9", "10 failed logins", "auth_failures", FOREVER),
        Block("an odd id", "203.0.113.0/24", "listed", None, 2e9, None, DecisionType.BAN, "lists:x"),
        Block("lists:x:192.0.2.128/25", "192.0.2.128/25", "listed", None, 2e9, origin="lists:x"),
        Block("2", "2001:db8:1:2::/64", "", None, 2e9),
        Block("3", "2001:db8::1", "", None, 2e9),
        Block("4", "2001:db8::/32", "", None, 2e9),
        Block("5", "198.51.100.1", "", None, 2e9, Scope.IP, captcha),
        Block("6", "FR", "", None, FOREVER, Scope.COUNTRY, throttle),
        Block("7", "alice", "", None, 2e9, Scope.USER),
    ]
    table = BlockTable(blocks, [Allowed("203.0.113.128/25", FOREVER)], lambda: 1e9)
    table.fallback[throttle] = True
    table.add(Block("8", "192.0.2.1", "only here", None, 2e9))
    table.remove("192.0.2.1")
    path = tmp_path / "list"
    Snapshot(path, "http://b.invalid", lambda: 1e9).save(Contents("1-0", None, copy_of(table)))
    _, again = read(path)
    assert again.blocks() == table.blocks()
    assert again.allowlist() == table.allowlist()
    assert again.fallback == table.fallback
    again.add(Block("9", "192.0.2.1", "listed", None, 2e9))
    assert [again.is_blocked(f"203.0.113.{n}") for n in (9, 8, 200)] == [True, True, False]
    assert len(again) == len(table) + 1


async def test_a_snapshot_that_was_cut_off_or_changed_is_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "blocklist"
    await follow_on_disk(Script(listing("1-0", "203.0.113.9", "198.51.100.0/24")), path)
    whole = path.read_bytes()
    spoilt = [whole[:-1], whole[: len(whole) // 2], whole[:-9] + b"x" + whole[-8:]]
    for data in spoilt:
        path.write_bytes(data)
        assert not (await follow_on_disk(Script(httpx.ConnectError("refused")), path)).has_list
