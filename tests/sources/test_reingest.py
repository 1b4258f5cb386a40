"""Rejected records once more: counted on their own time, once, and only where they are events now."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from tending import EVENTS, HOUR, MINUTE, NOON, RAW, SECOND, Tending, finder
from test_rejected import refused

from app.ingest.decode import BODY, ELEMENT, HEC_EVENT, RECORD, Decoded, Rejected
from app.sources.keys import day_of
from app.sources.reingest import Reingest, Reingested, decode_again
from app.sources.rejected import Kept, id_of
from app.sources.sources import Waiting, kept_of
from detectors.defaults import DEFAULTS
from detectors.engine import Engine, Processed
from detectors.errors import StorageError
from detectors.event import Batch
from detectors.windows import Windows

IP = "203.0.113.9"
EVENT = '{"client_ip":"203.0.113.9","status":401}'
LINE = b'203.0.113.9 - - [18/Nov/2026:11:%02d:00 +0000] "GET /login HTTP/1.1" 401 1'  # a format that was unknown before


def kept(
    record: str,
    *,
    format_name: str | None = None,
    is_cut: bool = False,
    at: int = NOON,
    form: str = RECORD,
) -> Kept:
    return Kept(
        id=id_of(EVENTS, at, "0a"),
        source=EVENTS,
        received_at=at,
        index=0,
        reason="not JSON",
        format_name=format_name,
        form=form,
        record=record,
        is_cut=is_cut,
    )


@pytest.fixture(scope="module")
def engine_of() -> Any:
    def make(redis: Redis) -> Engine:
        return Engine([DEFAULTS["auth_failures"]], Windows(redis), fingerprint_key=b"k" * 32)

    return make


@pytest.fixture
def engine(redis: Redis, engine_of: Any) -> Engine:
    made: Engine = engine_of(redis)
    return made


@pytest.fixture
def reingest(tending: Tending, engine: Engine) -> Reingest:
    return Reingest(tending.store, tending.rejected, engine.process, tending.now, tending.metrics)


async def all_of(tending: Tending) -> list[Kept]:
    return (await tending.rejected.page(limit=500))[0]


async def set_aside(tending: Tending, *records: bytes, format_name: str | None = None) -> None:
    kind = "events" if format_name is None else "raw"
    await tending.send(refused(*records, reason="no such format yet"), kind=kind, format_name=format_name)


async def test_what_is_an_event_now_counts_on_its_own_time(tending: Tending, reingest: Reingest):
    """Ten failed logins within a minute, an hour before they are counted."""
    lines = [LINE.replace(b":00 ", b":%02d " % (5 * n)) % 7 for n in range(10)]
    await set_aside(tending, *lines, format_name="combined")
    tending.ms += HOUR
    assert await reingest.run(await all_of(tending)) == Reingested(10, 0, 0)
    [finding] = await tending.findings()
    assert (finding.rule, finding.subject, finding.count) == ("auth_failures", IP, 10)
    assert day_of(finding.at) == "2026-11-18"
    assert NOON - HOUR < finding.at < NOON
    assert await all_of(tending) == []


async def test_a_record_without_a_time_counts_when_it_came(tending: Tending, reingest: Reingest):
    record = b'{"client_ip":"203.0.113.9","status":401}'
    for number in range(10):
        tending.ms = NOON + number * 10 * SECOND  # over 90 seconds: never ten within a minute
        await set_aside(tending, record)
    tending.ms += HOUR
    assert (await reingest.run(await all_of(tending))).accepted == 10
    assert await tending.findings() == []


async def test_twice_is_once(tending: Tending, reingest: Reingest):
    await set_aside(tending, *[b'{"client_ip":"203.0.113.9","status":401}'] * 9)
    found = await all_of(tending)
    both = await asyncio.gather(reingest.run(found), reingest.run(found))
    assert sum(one.accepted for one in both) == 9
    assert sum(one.duplicates for one in both) == 9
    assert (await reingest.run(found)).accepted == 0
    assert await tending.findings() == []
    assert (await tending.store.sums(EVENTS, [day_of(NOON)])).counts["reingested"] == 9


async def test_what_is_still_no_event_stays(tending: Tending, reingest: Reingest):
    await set_aside(tending, b'{"a":', b'{"client_ip":"203.0.113.9"}', b"7", b'"x"')
    assert await reingest.run(await all_of(tending)) == Reingested(1, 3, 0)
    assert [one.record for one in await all_of(tending)] == ['"x"', "7", '{"a":']


async def test_an_interrupted_call_is_completed_by_the_next(
    tending: Tending, engine: Engine, reingest: Reingest
):
    await set_aside(tending, *[b'{"client_ip":"203.0.113.9","status":401}'] * 9)
    calls = 0

    async def failing(batch: Batch) -> Processed:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise StorageError("away")
        return await engine.process(batch)

    broken = Reingest(tending.store, tending.rejected, failing, tending.now, tending.metrics)
    found = await all_of(tending)
    with pytest.raises(StorageError):
        await broken.run(found)
    assert len(await all_of(tending)) == 5
    assert (await reingest.run(await all_of(tending))).accepted == 5
    assert await tending.findings() == []  # nine, not ten


@pytest.mark.parametrize(
    "one",
    [
        kept('{"status":401}', is_cut=True),
        kept('{"status":401}', format_name="a format of yesterday"),
        kept("no line of it", format_name="combined"),
        kept(""),
        kept("[" * 5_000),
        kept("\ud800"),
    ],
    ids=["cut", "unknown format", "other line", "empty", "deep", "surrogate"],
)
def test_what_cannot_be_decoded_is_no_event(one: Kept):
    found = decode_again(one)
    assert found.rejected or not found.events


REFUSED = {
    "cut": (kept(EVENT, is_cut=True), "only its first 8192 bytes"),
    "element": (kept(EVENT, form=ELEMENT), "a broken part of its protocol's envelope"),
    "body": (kept(EVENT, form=BODY), "the beginning of a body that was refused as a whole"),
    "broken": (kept('{"a":'), "broken JSON"),
    "unknown format": (kept("x", format_name="of yesterday"), "unknown format"),
    "blank": (kept(" ", format_name="combined"), "there is no event in it"),
}


@pytest.mark.parametrize(("one", "why"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_counted_stays_and_it_is_said_why(
    tending: Tending, reingest: Reingest, one: Kept, why: str
):
    await tending.rejected.keep(EVENTS, [one])
    found = await reingest.run([one])
    assert (found.accepted, found.rejected) == (0, 1)
    [(item_id, error)] = found.errors
    assert item_id == one.id and why in error
    assert await all_of(tending) == [one]


async def test_the_first_twenty_are_named(tending: Tending, reingest: Reingest):
    found = await reingest.run([kept("x", at=NOON + n) for n in range(60)])
    assert (found.rejected, len(found.errors)) == (60, 20)


def test_an_event_of_splunks_is_read_with_its_envelope():
    """What was broken when it came, and is not any more."""
    record = '{"time":1795000000.5,"host":"web-1","event":{"client_ip":"203.0.113.9","status":401}}'
    [event] = decode_again(kept(record, form=HEC_EVENT)).events
    assert (event.client_ip, event.status, event.host, event.timestamp) == (IP, 401, "web-1", 1795000000.5)


def test_a_time_without_a_year_is_taken_for_that_of_its_receipt():
    line = "Nov 18 11:00:00 web1 sshd[1]: Failed password for root from 203.0.113.9 port 1 ssh2"
    [event] = decode_again(kept(line, format_name="sshd")).events
    assert event.timestamp == NOON - HOUR


@given(st.binary(max_size=300))
def test_whatever_was_kept_nothing_escapes(record: bytes):
    waiting = Waiting(id_of(RAW, NOON, "0a"), RAW, NOON, 0, "x", None, record, False)
    for format_name in (None, "auto", "combined", "sshd", "nginx_json"):
        one = kept_of(waiting, finder())
        found = decode_again(
            Kept(
                id=one.id,
                source=RAW,
                received_at=NOON,
                index=0,
                reason="x",
                format_name=format_name,
                record=one.record,
            )
        )
        assert isinstance(found, Decoded)


async def test_the_source_is_not_well_because_old_records_are(tending: Tending, reingest: Reingest):
    bad = Decoded([], [], [Rejected(0, "x", b'{"client_ip":"203.0.113.9","status":401}')] * 100)
    await tending.send(bad)
    await tending.pass_time(2 * MINUTE)
    await tending.send(bad)
    assert (await reingest.run(await all_of(tending))).accepted == 200
    await tending.look()
    assert (await tending.source()).state == "unreadable"
