"""The follower, with a scripted Bartizan, no clock and no waiting: what it asks, and when it asks again."""

import asyncio

import httpx
import pytest
from fake_bartizan import decision
from scripted import WHOLE, Answer, Script, changes, follow, listing, poll

from bartizan_client.feed import FeedError
from bartizan_client.pauses import pause_s


async def test_it_fetches_the_list_and_then_follows_its_changes() -> None:
    script = Script(
        listing("1-0", "203.0.113.9", allowlist=[{"value": "192.0.2.0/24", "until": None}]),
        changes("2-0", added=[decision("203.0.113.10"), decision("2001:db8::/64"), decision("192.0.2.1")]),
        changes("3-0", removed=[{"id": "id-203.0.113.9", "value": "203.0.113.9"}]),
        changes("4-0", allow_removed=[{"value": "192.0.2.0/24"}]),
        changes("5-0", allow_added=[{"value": "203.0.113.0/24", "until": "2099-01-01T00:00:00.000Z"}]),
    )
    follower = await follow(script)
    assert script.asked == [WHOLE, *map(poll, ["1-0", "2-0", "3-0", "4-0", "5-0"])]
    assert {headers["authorization"] for headers in script.headers} == {"Bearer lookup-token"}
    blocked = ["203.0.113.9", "203.0.113.10", "2001:db8::1", "192.0.2.1"]
    assert [follower.is_blocked(address) for address in blocked] == [False, False, True, True]
    status = follower.status()
    assert (status.has_list, status.is_connected, status.entries, status.cursor) == (True, True, 3, "5-0")
    assert script.slept == []


async def test_a_poll_may_take_its_time_and_a_list_may_not() -> None:
    script = Script(listing("1-0"))
    await follow(script)
    assert [timeout["read"] for timeout in script.timeouts] == [20, 50]
    assert all(timeout["connect"] == 5 for timeout in script.timeouts)


async def test_a_block_that_is_made_longer_ends_later() -> None:
    longer = decision("203.0.113.9", until="2099-01-01T00:00:00.000Z")
    short = decision("203.0.113.9", until="2020-01-01T00:00:00.000Z")
    follower = await follow(Script(listing("1-0", blocks=[short]), changes("2-0", added=[longer])))
    assert follower.is_blocked("203.0.113.9")
    assert follower.status().entries == 1


async def test_what_is_over_is_forgotten_once_a_minute_without_any_message() -> None:
    now_s = 1_764_000_000.0
    soon = decision("203.0.113.9", until="2025-11-24T16:00:01.000Z")
    script = Script(
        listing("1-0", "203.0.113.8"), changes("2-0", added=[soon]), changes("3-0"), changes("4-0")
    )
    handle = script.handle
    entries: list[int] = []

    async def later(request: httpx.Request) -> httpx.Response:
        nonlocal now_s
        now_s += 40
        entries.append(follower.status().entries)
        return await handle(request)

    follower = script.follower(now=lambda: now_s, transport=httpx.MockTransport(later))
    async with follower, asyncio.timeout(10):
        await script.over.wait()
    assert entries == [0, 1, 2, 2, 1]


async def test_a_cursor_too_old_brings_the_whole_list() -> None:
    script = Script(listing("1-0", "203.0.113.9"), listing("9-0", "203.0.113.10", reset=True))
    follower = await follow(script)
    assert script.asked == [WHOLE, poll("1-0"), poll("9-0")]
    assert [follower.is_blocked(f"203.0.113.{n}") for n in (9, 10)] == [False, True]


async def test_resets_without_end_are_asked_for_ever_more_slowly() -> None:
    script = Script(listing("1-0"), *(listing("1-0", "203.0.113.9", reset=True) for _ in range(5)))
    follower = await follow(script)
    assert script.slept == [0.5, 1.0, 2.0, 4.0]
    assert follower.is_blocked("203.0.113.9")


async def test_a_poll_that_comes_back_at_once_with_nothing_makes_no_busy_loop() -> None:
    script = Script(listing("1-0"), changes("1-0"), changes("1-0"), changes("2-0"))
    await follow(script)
    assert script.slept == [0.5, 0.5]


async def test_an_entry_that_came_and_went_in_one_answer_is_looked_up_in_the_whole_list() -> None:
    gone = {"id": "id-203.0.113.9", "value": "203.0.113.9"}
    script = Script(
        listing("1-0"),
        changes("2-0", added=[decision("203.0.113.9")], removed=[gone]),
        listing("2-0"),
    )
    follower = await follow(script)
    assert script.asked == [WHOLE, poll("1-0"), WHOLE, poll("2-0")]
    assert not follower.is_blocked("203.0.113.9")


async def test_a_block_that_took_the_place_of_another_and_was_lifted_leaves_none_behind() -> None:
    lifted = {"id": "a-later-one", "value": "203.0.113.9"}
    follower = await follow(Script(listing("1-0", "203.0.113.9"), changes("4-0", removed=[lifted])))
    assert not follower.is_blocked("203.0.113.9")


async def test_a_block_that_took_the_place_of_another_stays() -> None:
    lifted = {"id": "id-203.0.113.9", "value": "203.0.113.9"}
    newer = decision("203.0.113.9", id="newer")
    script = Script(listing("1-0", "203.0.113.9"), changes("3-0", added=[newer], removed=[lifted]))
    found = (await follow(script)).find("203.0.113.9")
    assert found is not None
    assert found.id == "newer"


async def test_a_wrong_entry_is_left_out_and_counted() -> None:
    wrong = [decision("nowhere"), decision("203.0.113.1", until="soon"), {"value": "203.0.113.2"}, 7, None]
    right = decision("203.0.113.9")
    script = Script(
        listing("1-0", blocks=[*wrong, right]),
        changes("2-0", added=[decision("x"), 1, decision("203.0.113.8")], removed=[{"value": "?"}, 2]),
    )
    follower = await follow(script)
    assert follower.status().skipped == 5 + 4
    assert [follower.is_blocked(f"203.0.113.{n}") for n in (1, 2, 8, 9)] == [False, False, True, True]


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("hangs"),
        httpx.RemoteProtocolError("Server disconnected"),
        httpx.Response(503),
        httpx.Response(500, text="no"),
        httpx.Response(429),
        httpx.Response(302, headers={"location": "http://elsewhere.invalid"}),
    ],
)
async def test_what_is_known_stays_in_force_while_bartizan_is_away(failure: Answer) -> None:
    script = Script(listing("1-0", "203.0.113.9"), failure, failure, failure, failure, changes("2-0"))
    follower = script.follower()
    async with follower, asyncio.timeout(10):
        await script.over.wait()
        assert follower.is_blocked("203.0.113.9")
    assert script.slept == [0.5, 1.0, 2.0, 4.0]
    assert follower.status().failures == 0


async def test_after_a_connection_error_it_goes_on_where_it_was() -> None:
    script = Script(listing("1-0"), httpx.ConnectError("refused"), changes("2-0"))
    await follow(script)
    assert script.asked == [WHOLE, poll("1-0"), poll("1-0"), poll("2-0")]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(422),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(200, json=[1]),
        httpx.Response(200, json={"cursor": 7}),
        httpx.Response(200, json={"cursor": "2-0", "added": {}}),
        httpx.Response(200, json={"reset": True, "cursor": "2-0"}),
    ],
)
async def test_an_answer_that_makes_no_sense_is_followed_by_the_whole_list(answer: httpx.Response) -> None:
    script = Script(listing("1-0", "203.0.113.9"), answer, listing("3-0", "203.0.113.9"))
    follower = await follow(script)
    assert script.asked == [WHOLE, poll("1-0"), WHOLE, poll("3-0")]
    assert follower.is_blocked("203.0.113.9")


async def test_a_wrong_token_is_said_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    follower = await follow(Script(httpx.Response(401), httpx.Response(403)))
    assert not follower.has_list
    assert "answered 401 (is it a token with the role lookup?)); there has never been a list" in caplog.text


async def test_retry_after_is_kept() -> None:
    script = Script(httpx.Response(503, headers={"retry-after": "20"}), listing("1-0"))
    await follow(script, jitter=lambda: 0.0)
    assert script.slept == [20.0]


@pytest.mark.parametrize("text", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1e9", "٣", ""])
async def test_a_retry_after_that_cannot_be_read_is_left_aside(text: str) -> None:
    headers = [(b"retry-after", text.encode())]
    script = Script(httpx.Response(503, headers=headers), listing("1-0"))
    await follow(script)
    assert script.slept == [0.5]


@pytest.mark.parametrize(
    ("failures", "retry_after_s", "jitter", "expected"),
    [
        (1, 0, 0, 0.25),
        (1, 0, 1, 0.5),
        (2, 0, 1, 1),
        (5, 0, 1, 8),
        (6, 0, 1, 15),
        (10_000, 0, 1, 15),
        (10_000, 0, 0, 7.5),
        (1, 30, 0, 30),
        (1, 30, 1, 37.5),
    ],
)
def test_pauses_double_up_to_a_bound_and_differ_by_jitter(
    failures: int, retry_after_s: float, jitter: float, expected: float
) -> None:
    assert pause_s(failures, retry_after_s, jitter) == expected


async def test_an_unforeseen_error_ends_the_task_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    script = Script(listing("1-0", "203.0.113.9"), ZeroDivisionError("a bug"))
    follower = script.follower()
    follower.start()
    task = follower._task
    assert task is not None
    async with asyncio.timeout(10):
        await asyncio.wait([task])
    assert not follower.is_running
    assert follower.is_blocked("203.0.113.9")
    assert "the follower ended" in caplog.text
    follower.start()
    assert not follower.is_running, "not before a pause"
    follower._broken_s -= 60
    follower.start()
    assert follower.is_running
    await follower.stop()


async def test_starting_twice_starts_once_and_stopping_twice_is_no_error() -> None:
    script = Script(listing("1-0"))
    follower = script.follower()
    follower.start()
    task = follower._task
    follower.start()
    assert follower._task is task
    await follower.stop()
    await follower.stop()
    assert [t for t in asyncio.all_tasks() if t.get_name().startswith("bartizan")] == []


async def test_a_long_list_is_read_beside_the_event_loop() -> None:
    values = [f"203.0.{n >> 8}.{n & 255}" for n in range(2000)]
    follower = await follow(Script(listing("1-0", *values)))
    assert follower.status().entries == 2000
    assert all(map(follower.is_blocked, values))


async def test_an_error_of_the_feed_says_what_happened() -> None:
    assert FeedError("x").status == 0
    assert not FeedError("x", 503, 2.0).is_misunderstanding()
    assert FeedError("x", 422).is_misunderstanding()
