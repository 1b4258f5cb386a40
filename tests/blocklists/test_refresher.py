"""External lists from a real web server over a real Redis, to two processes: what comes, stays and goes."""

import asyncio
from pathlib import Path

import httpx
import pytest
from list_stage import DAY, HOUR, LIST, NOON, Process, Stage
from redis.asyncio import Redis

from actions.audit import Actor
from actions.blocks.networks import NeverBlock
from app.blocklists import fetching
from app.policies.blocklists import ListSource
from detectors.finding import DecisionType


async def test_one_process_fetches_and_all_enforce(stage: Stage) -> None:
    await stage.look()
    assert len(stage.publisher.asked) == 1
    for address in ("203.0.113.9", "198.51.100.77", "2001:db8::1"):
        assert stage.hits(address) == ["lists:drop"] * 2
    assert stage.hits("203.0.113.10") == [None, None]
    assert await stage.info() == {"entries": 3, "failures": 0, "error": "", "skipped": {}}


async def test_nothing_of_the_urls_secrets_is_kept_or_told(stage: Stage, redis: Redis) -> None:
    stage.publisher.status = 500
    await stage.look()
    stage.publisher.status = 200
    await stage.look(2 * HOUR)
    for key in await redis.keys("*"):
        kind = (await redis.type(key)).decode()
        value = await (redis.hgetall(key) if kind == "hash" else redis.dump(key))
        assert b"hunter" not in repr(value).encode()


@pytest.mark.parametrize("header", ["etag", "last_modified"])
async def test_what_has_not_changed_is_not_fetched_again(stage: Stage, header: str) -> None:
    value = '"v1"' if header == "etag" else "Mon, 23 Nov 2026 10:00:00 GMT"
    setattr(stage.publisher, header, value)
    await stage.look()
    cursor = stage.first.feed.cursor
    await stage.look(HOUR // 2)
    assert len(stage.publisher.asked) == 1
    await stage.look(HOUR)
    assert len(stage.publisher.asked) == 2
    assert stage.publisher.asked[1]["if-none-match" if header == "etag" else "if-modified-since"] == value
    assert stage.first.feed.cursor == cursor, "nobody hears of it"
    assert stage.hits("203.0.113.9") == ["lists:drop"] * 2


async def test_the_same_content_without_an_etag_is_no_news_either(stage: Stage) -> None:
    await stage.look()
    cursor = stage.first.feed.cursor
    stage.publisher.body = b"2001:db8::/48\n198.51.100.0/24\n203.0.113.9\n"
    await stage.look(2 * HOUR)
    assert (len(stage.publisher.asked), stage.first.feed.cursor) == (2, cursor)


async def test_a_new_version_takes_the_place_of_the_old_one(stage: Stage) -> None:
    await stage.look()
    cursor = stage.second.feed.cursor
    stage.publisher.body = LIST.replace(b"203.0.113.9", b"203.0.113.8")
    await stage.look(2 * HOUR)
    assert stage.hits("203.0.113.9") == [None, None]
    assert stage.hits("203.0.113.8") == ["lists:drop"] * 2
    told = stage.second.feed.known_changes(cursor)
    assert told is not None
    assert b'"203.0.113.8"' in told
    assert b"198.51.100.0" not in told


async def test_a_process_that_starts_later_has_it_and_so_has_one_that_lost_redis(stage: Stage) -> None:
    await stage.look()
    late = Process(stage.first.actions.redis, lambda: stage.ms, stage.sources, "c-0")
    await late.follower.step()
    assert late.origin("203.0.113.9") == "lists:drop"
    stage.publisher.body = b"203.0.113.8\n"
    await stage.look(2 * HOUR)
    late.follower._is_loaded = False
    await late.follower.step()
    assert (late.origin("203.0.113.9"), late.origin("203.0.113.8")) == (None, "lists:drop")


async def test_a_list_that_the_policy_no_longer_names_is_gone(stage: Stage) -> None:
    await stage.look()
    stage.sources.clear()
    await stage.look()
    assert stage.hits("203.0.113.9") == [None, None]
    assert await stage.first.actions.lists.infos() == {}


async def test_another_type_is_taken_at_once(stage: Stage) -> None:
    await stage.look()
    stage.sources[:] = [ListSource("drop", stage.publisher.url, None, type=DecisionType.CAPTCHA)]
    await stage.look()
    found, _ = stage.second.feed.table.lookup("203.0.113.9", NOON)
    assert found is not None
    assert found.type is DecisionType.CAPTCHA


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"status": 500}, "answered 500"),
        ({"status": 404}, "answered 404"),
        ({"status": 302, "location": "/list.txt"}, "cannot be reached (TooManyRedirects)"),
        ({"body": b"<html>maintenance</html>\n"}, "has no entry"),
        ({"body": b""}, "has no entry"),
        ({"body": b"[1,"}, "cannot be read: not JSON"),
        ({"body": b"203.0.113.1\n203.0.113.2\n203.0.113.3\n203.0.113.4\n"}, "has 4 entries, more than its cap of 3"),
        ({"endless": True, "is_gzipped": False}, "has more than 1 MiB"),
        ({"is_gzipped": True, "body": b"203.0.113.9\n" * 200_000}, "has more than 1 MiB"),
    ],
)  # fmt: skip
async def test_a_source_that_fails_leaves_the_last_good_copy(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], error: str
) -> None:
    monkeypatch.setattr(fetching, "LARGEST_BYTES", 1024 * 1024)
    stage.sources[:] = [ListSource("drop", stage.publisher.url, None, cap=3)]
    await stage.look()
    for name, value in change.items():
        setattr(stage.publisher, name, value)
    await stage.look(2 * HOUR)
    info = await stage.info()
    assert error in str(info["error"])
    assert (info["entries"], info["failures"]) == (3, 1)
    assert stage.hits("203.0.113.9") == ["lists:drop"] * 2


async def test_a_source_that_is_away_is_asked_sooner_than_usual_and_its_copy_ends(stage: Stage) -> None:
    await stage.look()
    stage.publisher.status = 503
    await stage.look(2 * HOUR)
    await stage.look(30_000)
    assert len(stage.publisher.asked) == 2
    await stage.look(30_000)
    assert len(stage.publisher.asked) == 3
    await stage.look(2 * DAY)
    assert stage.hits("203.0.113.9") == ["lists:drop"] * 2
    await stage.look(2 * DAY)
    assert stage.hits("203.0.113.9") == [None, None]
    assert (await stage.info())["entries"] == 0
    stage.publisher.status = 200
    await stage.look(2 * HOUR)
    assert stage.hits("203.0.113.9") == ["lists:drop"] * 2


async def test_what_must_never_be_blocked_is_left_out_and_counted(stage: Stage) -> None:
    stage.publisher.body = (
        LIST + b"127.0.0.1\n192.0.2.7\n192.0.0.0/16\n10.0.0.0/8\n4.0.0.0/6\nnonsense\nCountry:FR\n"
    )
    await stage.look()
    info = await stage.info()
    assert info["entries"] == 3
    assert info["skipped"] == {"never_block": 4, "too_wide": 1, "unreadable": 2}
    assert stage.hits("192.0.2.7") == [None, None]


async def test_the_allowlist_beats_a_list(stage: Stage) -> None:
    await stage.look()
    await stage.first.actions.reviews.allow("198.51.100.0/25", "office", Actor("alice", "admin"))
    await stage.look()
    assert stage.hits("198.51.100.7") == [None, None]
    assert stage.hits("198.51.100.200") == ["lists:drop"] * 2


async def test_a_file_is_looked_at_as_often_as_is_wanted(redis: Redis, tmp_path: Path) -> None:
    file, ms = tmp_path / "partners.txt", [NOON]
    file.write_text("203.0.113.9\n")
    process = Process(redis, lambda: ms[0], [ListSource("partners", None, file, every_ms=10_000)], "a-0")
    await process.refresher.look()
    await process.follower.step()
    assert process.origin("203.0.113.9") == "lists:partners"
    file.unlink()
    ms[0] += 20_000
    await process.refresher.look()
    infos = await process.actions.lists.infos()
    assert (infos["partners"].entries, infos["partners"].error) == (
        1,
        "cannot be read: No such file or directory",
    )


async def test_a_body_that_drips_is_given_up_and_keeps_no_other_list_waiting(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fetching, "LONGEST_S", 0.3)
    file = tmp_path / "partners.txt"
    file.write_text("203.0.113.8\n")
    stage.sources.append(ListSource("partners", None, file))
    stage.publisher.is_slow = True
    async with asyncio.timeout(20):
        await stage.look()
    assert (await stage.info())["error"] == "took more than 0.3 s"
    assert stage.hits("203.0.113.8") == ["lists:partners"] * 2


async def test_what_must_never_be_blocked_leaves_a_list_as_soon_as_the_policy_says_so(stage: Stage) -> None:
    stage.publisher.etag = '"v1"'
    await stage.look()
    for process in (stage.first, stage.second):
        process.never = NeverBlock([("never_block", "198.51.100.128/25")])
    await stage.look()
    assert stage.hits("198.51.100.200") == [None, None]
    assert (await stage.info())["skipped"] == {"never_block": 1}
    assert len(stage.publisher.asked) == 2
    for process in (stage.first, stage.second):
        process.never = NeverBlock()
    await stage.look()
    assert stage.hits("198.51.100.200") == ["lists:drop"] * 2


async def test_so_it_does_while_its_source_is_away(stage: Stage) -> None:
    await stage.look()
    stage.publisher.status = 500
    for process in (stage.first, stage.second):
        process.never = NeverBlock([("never_block", "198.51.100.128/25")])
    await stage.look()
    assert stage.hits("198.51.100.200") == [None, None]
    assert stage.hits("203.0.113.9") == ["lists:drop"] * 2
    info = await stage.info()
    assert (info["entries"], info["failures"]) == (2, 1)
    await stage.look()
    assert len(stage.publisher.asked) == 2, "the next attempt has its time"


async def test_processes_of_other_settings_do_not_fetch_against_each_other(stage: Stage) -> None:
    stage.second.never = NeverBlock([("never_block", "203.0.113.9")])
    for _ in range(6):
        await stage.look(5_000)
    assert len(stage.publisher.asked) <= 3


async def test_what_another_process_has_just_fetched_is_not_fetched_again(stage: Stage) -> None:
    """One that decided to fetch before its neighbour had done so."""
    taken = stage.first.actions.lists.take_turn

    async def late(name: str, process: str) -> bool:
        await stage.second.refresher.look()
        return await taken(name, process)

    stage.first.actions.lists.take_turn = late  # type: ignore[method-assign]
    await stage.first.refresher.look()
    assert len(stage.publisher.asked) == 1


async def test_a_place_that_fails_from_the_start_does_not_keep_the_old_ones_list_for_ever(
    stage: Stage,
) -> None:
    await stage.look()
    stage.sources[:] = [ListSource("drop", stage.publisher.url.replace("list.txt", "typo.txt"), None)]
    stage.publisher.status = 404
    await stage.look()
    info = await stage.info()
    assert (info["entries"], info["failures"]) == (3, 1)
    assert stage.hits("203.0.113.9") == ["lists:drop"] * 2
    await stage.look(30_000)
    assert len(stage.publisher.asked) == 2
    await stage.look(4 * DAY)
    assert stage.hits("203.0.113.9") == [None, None]


async def test_another_query_of_the_same_place_is_another_list(stage: Stage) -> None:
    await stage.look()
    stage.sources[:] = [ListSource("drop", f"{stage.publisher.url}&confidence=90", None)]
    stage.publisher.body = b"203.0.113.8\n"
    await stage.look()
    assert stage.hits("203.0.113.8") == ["lists:drop"] * 2


async def test_one_odd_line_leaves_the_others_in_force(stage: Stage) -> None:
    stage.publisher.body = LIST + b"fe80::1%eth0\n2001:db8:1::1%1\n::ffff:203.0.113.7\n" + b"9" * 1_000_000
    await stage.look()
    assert stage.hits("203.0.113.7") == ["lists:drop"] * 2
    assert (await stage.info())["error"] == ""


async def test_another_type_is_seen_by_one_who_was_away_meanwhile(stage: Stage) -> None:
    await stage.look()
    stage.sources[:] = [ListSource("drop", stage.publisher.url, None, type=DecisionType.CAPTCHA)]
    await stage.first.refresher.look()
    stage.second.follower._is_loaded = False
    await stage.second.follower.step()
    found, _ = stage.second.feed.table.lookup("203.0.113.9", NOON)
    assert found is not None
    assert found.type is DecisionType.CAPTCHA


async def test_a_list_asked_for_safely_is_not_taken_from_an_unsafe_place(redis: Redis) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://lists.example/list.txt"})
        return httpx.Response(200, content=LIST)

    process = Process(
        redis, lambda: NOON, [ListSource("drop", "https://lists.example/list.txt", None)], "a-0"
    )
    process.refresher._client = lambda: fetching.make_client(httpx.MockTransport(answer))
    await process.refresher.look()
    infos = await process.actions.lists.infos()
    assert infos["drop"].error == "was redirected from https to http"


async def test_how_lists_are_doing_is_shown_at_each_look(stage: Stage) -> None:
    await stage.look()
    await stage.look()
    assert stage.second.shown["drop"].entries == 3
