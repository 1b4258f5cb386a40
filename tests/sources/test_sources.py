"""What is kept of a source in Redis, from several processes."""

import asyncio

import pytest
from redis.asyncio import Redis
from tending import DAY, EVENTS, HOUR, MINUTE, NOON, RAW, SECOND, TOKEN, Tending, batch

from app.ingest.decode import Decoded, Rejected
from app.sources.keys import day_key, day_of, days_before, source_key, sources_key
from app.sources.store import KEPT_MS, SourceStore, Sums
from app.sources.tally import Tally
from detectors.errors import StorageError


async def sums(tending: Tending, source: str = EVENTS, days: int = 1) -> Sums:
    return await tending.store.sums(source, days_before(tending.ms, days))


async def test_a_source_is_a_token_and_a_protocol(tending: Tending):
    await tending.send(batch(good=2, useless=1, rejected=1))
    await tending.send(batch(good=3), kind="raw")
    assert [(one.id, one.token_id, one.kind, one.state) for one in await tending.store.all()] == [
        (EVENTS, TOKEN, "events", "ok"),
        (RAW, TOKEN, "raw", "ok"),
    ]
    found = await sums(tending)
    assert {name: number for name, number in found.counts.items() if number} == {
        "accepted": 3,
        "rejected": 1,
        "no_client_ip": 1,
        "no_status": 1,
    }
    assert found.reasons == {"not JSON": 1}


async def test_processes_add_up(redis: Redis, tending: Tending):
    others = [Tending(redis) for _ in range(20)]
    await asyncio.gather(*(one.send(batch(good=5, rejected=1)) for one in others))
    found = await sums(tending)
    assert (found.counts["accepted"], found.counts["rejected"]) == (100, 20)
    assert (await tending.source()).seconds == 20


async def test_a_retry_counts_as_speaking_and_as_nothing_else(tending: Tending):
    await tending.send(batch(good=2, rejected=2))
    tending.ms += MINUTE
    await tending.send(batch(good=2, rejected=2), duplicate=True)
    found = await sums(tending)
    assert (found.counts["accepted"], found.counts["rejected"], found.counts["duplicates"]) == (2, 2, 2)
    assert (await tending.source()).last_seen == NOON + MINUTE
    assert len((await tending.rejected.page())[0]) == 2


async def test_sums_are_by_day_and_reasons_are_bounded(tending: Tending):
    for day in range(3):
        tending.ms = NOON + day * DAY
        rejected = [Rejected(0, f"reason {chr(97 + day)}{chr(97 + n)}", b"x") for n in range(25)]
        await tending.send(Decoded([], [], rejected))
    assert [(await sums(tending, days=days)).counts["rejected"] for days in (1, 2, 7)] == [25, 50, 75]
    assert len((await sums(tending)).reasons) == 21
    assert (await sums(tending)).reasons["other"] == 5


async def test_every_key_of_a_source_goes_thirty_days_after_its_last_request(redis: Redis, tending: Tending):
    await tending.send()
    for key in (source_key(EVENTS), day_key(EVENTS, day_of(NOON))):
        assert KEPT_MS - 10_000 < await redis.pttl(key) <= KEPT_MS
    tending.ms += KEPT_MS + 1
    await tending.store.forget()
    assert await redis.zcard(sources_key()) == 0


async def test_there_are_only_so_many_sources(
    redis: Redis, tending: Tending, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.sources.store.MOST_SOURCES", 3)
    for number in range(5):
        await tending.store.apply({f"tok_{number}/raw": Tally(NOON + number, NOON + number)})
    assert await redis.zrange(sources_key(), 0, -1) == [b"tok_2/raw", b"tok_3/raw", b"tok_4/raw"]


async def test_the_longest_pause_is_that_of_the_day_in_which_it_ended(tending: Tending):
    await tending.store.listen()
    for pause in (MINUTE, 5 * MINUTE, 2 * MINUTE):
        await tending.send()
        await tending.pass_time(pause)
    await tending.send()
    assert (await sums(tending)).pause_ms == 5 * MINUTE


async def test_a_pause_within_one_telling_counts_too(tending: Tending):
    tending.sources.note(TOKEN, "events", batch(good=1), NOON)
    tending.sources.note(TOKEN, "events", batch(good=1), NOON + 40 * SECOND)
    await tending.sources.flush()
    assert (await sums(tending)).pause_ms == 40 * SECOND


async def test_a_pause_in_which_nobody_listened_is_none(tending: Tending):
    await tending.store.listen()
    await tending.send()
    tending.ms += 3 * HOUR
    await tending.send()  # sent before anybody looked again
    assert (await sums(tending)).pause_ms == 0
    assert await tending.store.listen() == NOON + 3 * HOUR
    await tending.pass_time(2 * MINUTE)
    await tending.send()
    assert (await sums(tending)).pause_ms == 2 * MINUTE


async def test_a_pause_across_an_outage_begins_with_its_end(tending: Tending):
    await tending.store.listen()
    await tending.send()
    tending.ms += HOUR
    await tending.store.listen()
    await tending.pass_time(4 * MINUTE)
    await tending.send()
    assert (await sums(tending)).pause_ms == 4 * MINUTE


class Away(SourceStore):
    """Redis, away for a while."""

    is_away = True

    async def apply(self, tallies: dict[str, Tally]) -> None:  # type: ignore[override]
        if self.is_away:
            raise StorageError("away")
        await super().apply(tallies)


async def test_what_cannot_be_told_waits(redis: Redis, tending: Tending):
    store = Away(redis, tending.now)
    tending.sources.store = store
    for number in range(3):
        tending.ms = NOON + number * SECOND
        with pytest.raises(StorageError):
            await tending.send(batch(good=1, rejected=1))
    store.is_away = False
    await tending.sources.flush()
    found = await sums(tending)
    assert (found.counts["accepted"], found.counts["rejected"]) == (3, 3)
    assert (await tending.source()).first_seen == NOON


async def test_what_was_noted_is_told_when_the_process_ends(tending: Tending):
    stop = asyncio.Event()
    stop.set()
    tending.sources.note(TOKEN, "events", batch(good=1), NOON)
    await tending.sources.run(stop)
    assert (await sums(tending)).counts["accepted"] == 1


async def test_what_is_missing_shows_in_the_metrics(tending: Tending):
    await tending.send(batch(good=1, useless=2))
    value = tending.metrics.registry.get_sample_value
    for name in ("client_ip", "status"):
        assert value("bartizan_events_missing_total", {"field": name}) == 2


async def test_of_many_who_listen_one_has_the_turn(redis: Redis, tending: Tending):
    others = [Tending(redis) for _ in range(100)]
    said = await asyncio.gather(*(one.store.listen(turn_ms=4 * SECOND) for one in others))
    assert sorted(said, key=str) == [NOON, *[None] * 99]
    tending.ms += 4 * SECOND
    assert await tending.store.listen(turn_ms=4 * SECOND) == NOON


@pytest.mark.parametrize(
    ("after_ms", "since"),
    [
        (3_999, None),
        (4_000, 0),
        (MINUTE, 0),
        (MINUTE + 1, MINUTE + 1),
        (-1, None),
        (-MINUTE + 1, None),
        (-MINUTE - 1, -MINUTE - 1),
    ],
)
async def test_since_when_somebody_listens(tending: Tending, after_ms: int, since: int | None):
    await tending.store.listen(turn_ms=4 * SECOND)
    tending.ms += after_ms
    said = await tending.store.listen(turn_ms=4 * SECOND)
    assert said == (None if since is None else NOON + since)
