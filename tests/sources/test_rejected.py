"""Rejected records: kept without credentials, bounded, shown newest first."""

import asyncio
import base64

import pytest
from redis.asyncio import Redis
from tending import DAY, EVENTS, NOON, RAW, SECOND, TOKEN, Tending, finder

from app.ingest.decode import BODY, ELEMENT, HEC_EVENT, Decoded, Rejected
from app.sources import rejected as rejected_module
from app.sources.keys import rejected_key
from app.sources.rejected import LONGEST_BYTES, Kept, id_of, is_id
from app.sources.sources import MARGIN_BYTES, PER_FLUSH, Waiting, kept_of
from detectors.errors import StorageError

KEY = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
"""The shape of a GitHub token."""


def refused(*records: bytes, reason: str = "not JSON") -> Decoded:
    return Decoded([], [], [Rejected(index, reason, record) for index, record in enumerate(records)])


def waiting(record: bytes, *, is_cut: bool = False) -> Waiting:
    return Waiting(id_of(EVENTS, NOON, "0a"), EVENTS, NOON, 0, "not JSON", None, record, is_cut)


def kept(number: int, source: str = EVENTS, size: int = 10) -> Kept:
    at = NOON + number
    return Kept(
        id=id_of(source, at, f"{number:08x}"),
        source=source,
        received_at=at,
        index=0,
        reason=f"at line {number}",
        record="x" * size,
    )


async def records(tending: Tending, **wanted: str) -> list[str]:
    return [one.record for one in (await tending.rejected.page(**wanted))[0]]


async def bytes_kept(redis: Redis) -> int:
    return int(await redis.get(rejected_key("bytes")) or 0)


async def test_a_record_is_kept_with_why_and_whence(tending: Tending):
    await tending.send(refused(b"{", b"x"), kind="raw", format_name="combined")
    [last, first] = (await tending.rejected.page())[0]
    assert (first.record, first.index, last.record, last.index) == ("{", 0, "x", 1)
    assert (first.source, first.received_at, first.reason) == (RAW, NOON, "not JSON")
    assert first.format_name == "combined"
    assert is_id(first.id) and first.id != last.id


async def test_no_credential_is_written_down(redis: Redis, tending: Tending):
    await tending.send(refused(f'{{"token":"{KEY}", "a":'.encode(), f"GET /?k={KEY}".encode()))
    found = (await tending.rejected.page())[0]
    assert all(one.is_masked and "[REDACTED:" in one.record for one in found)
    for key in await redis.keys("*"):
        assert KEY.encode() not in (await redis.dump(key) or b"")


def test_a_credential_across_the_cut_is_masked_whole():
    record = b" " * (LONGEST_BYTES - 20) + KEY.encode() + b" " * MARGIN_BYTES
    found = kept_of(waiting(record[: LONGEST_BYTES + MARGIN_BYTES], is_cut=True), finder())
    assert KEY[:12] not in found.record
    assert (found.is_cut, found.is_masked) == (True, True)
    assert LONGEST_BYTES - len(KEY) < len(found.record) <= LONGEST_BYTES


def test_masks_do_not_bring_a_halved_credential_in_front_of_the_cut():
    """What is looked at behind the cut would slide in front of it, as masks are shorter than what they stand for."""
    pem = (
        b"-----BEGIN PRIVATE KEY-----\n"
        + b"MIIEvQIBADANBgkqhkiG9w0B\n" * 140
        + b"-----END PRIVATE KEY-----\n"
    )
    record = (pem * 4)[: LONGEST_BYTES + MARGIN_BYTES]
    found = kept_of(waiting(record, is_cut=True), finder())
    assert "MIIEvQIBADANBgkqhkiG9w0B" not in found.record and found.is_masked


@pytest.mark.parametrize("form", [HEC_EVENT, ELEMENT, BODY])
async def test_base64_is_left_out_of_what_is_no_record(tending: Tending, form: str):
    hidden = base64.b64encode(f'{{"authorization":"{KEY}","n":"{"x" * 60}"}}'.encode())
    rejected = Rejected(0, "not JSON", b'{"data":"' + hidden + b'"', form)
    await tending.send(Decoded([], [], [rejected]))
    [found] = (await tending.rejected.page())[0]
    assert (found.record, found.form) == (f'{{"data":"[{len(hidden)} characters]"', form)


async def test_of_a_refused_body_the_beginning_is_kept_once(tending: Tending):
    def refuse(sent: bytes, kind: str = "events", *, is_ours: bool = False) -> None:
        tending.sources.note_refused(TOKEN, kind, "no JSON", tending.ms, is_ours=is_ours, sent=sent)

    for sent in (b"a", b"a", b"b " * 10_000, b"b " * 10_000, b"", b"a"):
        refuse(sent)
    refuse(b"a", "raw")
    await tending.sources.flush()
    found = (await tending.rejected.page(source=EVENTS))[0]
    assert [(one.record[:1], one.form, one.is_cut) for one in found] == [
        ("a", BODY, False),
        ("b", BODY, True),
        ("a", BODY, False),
    ]
    assert await records(tending, source=RAW) == ["a"]


@pytest.mark.parametrize(
    ("record", "shown"),
    [(b"caf\xe9", "caf\\xe9"), (b"\x93\x00\xff", "\\x93\x00\\xff"), ("é".encode(), "é"), (b"", "")],
    ids=["latin-1", "msgpack", "utf-8", "empty"],
)
def test_bytes_that_are_not_utf8_stand_as_escapes(record: bytes, shown: str):
    assert kept_of(waiting(record), finder()).record == shown


async def test_a_long_record_is_cut(tending: Tending):
    await tending.send(refused(b"y" * 100_000))
    [found] = (await tending.rejected.page())[0]
    assert (len(found.record), found.is_cut) == (LONGEST_BYTES, True)


async def test_they_are_shown_newest_first_a_page_at_a_time(tending: Tending):
    for number in range(25):
        await tending.rejected.keep(EVENTS, [kept(number)])
        await tending.rejected.keep(RAW, [kept(number, RAW)])
    for wanted, number in (({}, 50), ({"source": RAW}, 25), ({"source": EVENTS}, 25)):
        seen, cursor = [], None
        while True:
            found, cursor = await tending.rejected.page(cursor=cursor, limit=7, **wanted)  # type: ignore[arg-type]
            seen += found
            if cursor is None:
                break
        assert len({one.id for one in seen}) == number
        assert [one.received_at for one in seen] == sorted((one.received_at for one in seen), reverse=True)


async def test_a_reason_narrows_them_with_its_numbers_or_without(tending: Tending):
    await tending.rejected.keep(EVENTS, [kept(number) for number in range(12)])
    assert len(await records(tending, reason="at line N")) == 12
    assert len(await records(tending, reason="at line 7")) == 12
    assert await records(tending, reason="something else") == []


@pytest.mark.parametrize("cursor", ["x", "!", "Og", "é"])
async def test_a_cursor_that_is_not_ours_is_refused(tending: Tending, cursor: str):
    with pytest.raises(ValueError, match="cursor"):
        await tending.rejected.page(cursor=cursor)


async def test_a_source_keeps_its_newest_thousand(redis: Redis, tending: Tending):
    await tending.rejected.keep(RAW, [kept(0, RAW)])
    for start in range(0, 1_200, 100):
        await tending.rejected.keep(EVENTS, [kept(number) for number in range(start, start + 100)])
    assert await redis.hlen(rejected_key()) == 1_001
    oldest = await tending.rejected.get([kept(number).id for number in (199, 200)])
    assert [one.received_at - NOON for one in oldest] == [200]
    assert [one.source for one in await tending.rejected.get([kept(0, RAW).id])] == [RAW]


async def test_all_together_have_a_bound_in_bytes(
    redis: Redis, tending: Tending, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rejected_module, "MOST_BYTES", 50_000)
    for number in range(100):
        source = EVENTS if number % 2 else RAW
        await tending.rejected.keep(source, [kept(number, source, size=2_000)])
    sizes = [len(value) for value in (await redis.hgetall(rejected_key())).values()]
    assert await bytes_kept(redis) == sum(sizes) <= 50_000
    assert len(sizes) == await redis.zcard(rejected_key("order")) == await redis.zcard(rejected_key("names"))
    [newest] = (await tending.rejected.page(limit=1))[0]
    assert newest.received_at == NOON + 99


async def test_they_go_after_a_day(redis: Redis, tending: Tending):
    await tending.rejected.keep(EVENTS, [kept(0)])
    tending.ms += DAY + 1
    await tending.rejected.keep(RAW, [kept(DAY + 1, RAW)])
    assert [one.source for one in (await tending.rejected.page())[0]] == [RAW]
    tending.ms += DAY + 1
    assert await records(tending) == []
    assert await tending.rejected.sweep() == 1
    assert await redis.hlen(rejected_key()) == await redis.zcard(rejected_key("order")) == 0
    assert await bytes_kept(redis) == 0


async def test_every_key_expires(redis: Redis, tending: Tending):
    await tending.rejected.keep(EVENTS, [kept(0)])
    for key in await redis.keys("*rejected*"):
        assert DAY - 10_000 < await redis.pttl(key) <= DAY


async def test_keeping_or_removing_twice_is_once(redis: Redis, tending: Tending):
    await asyncio.gather(*(tending.rejected.keep(EVENTS, [kept(0), kept(1)]) for _ in range(20)))
    assert await redis.hlen(rejected_key()) == 2
    removed = await asyncio.gather(*(tending.rejected.remove([kept(0).id]) for _ in range(20)))
    assert sum(removed) == 1
    assert len(await records(tending)) == 1
    assert await bytes_kept(redis) == await redis.hstrlen(rejected_key(), kept(1).id)


async def test_a_flood_waits_its_turn_and_what_has_no_room_is_counted(
    tending: Tending, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.sources.sources.WAITING_BYTES", 150 * 1_000)
    await tending.send(refused(*[b"z" * 1_000] * 200))
    assert len((await tending.rejected.page(limit=500))[0]) == PER_FLUSH
    await tending.sources.flush()
    assert len((await tending.rejected.page(limit=500))[0]) == 150
    value = tending.metrics.registry.get_sample_value
    assert value("bartizan_rejected_records_total", {"result": "kept"}) == 150
    assert value("bartizan_rejected_records_total", {"result": "dropped"}) == 50
    tending.ms += SECOND
    await tending.send(refused(b"again"))
    assert await records(tending, source=EVENTS) != []


async def test_records_that_take_long_to_mask_wait_for_the_next_second(tending: Tending):
    tending.seconds = [0.0, 0.001, 0.002, 1.0]
    await tending.send(refused(b"a", b"b", b"c", b"d", b"e"))
    assert await records(tending) == ["c", "b", "a"]
    await tending.sources.flush()
    assert await records(tending) == ["e", "d", "c", "b", "a"]


async def test_of_a_body_with_too_many_the_last_are_kept(tending: Tending):
    tending.sources.note(TOKEN, "events", refused(*(b"%d" % n for n in range(3_000))), NOON)
    for _ in range(30):
        await tending.sources.flush()
    found = (await tending.rejected.page(limit=2_000))[0]
    assert (len(found), found[0].record, found[-1].record) == (1_000, "2999", "2000")


async def test_records_wait_while_redis_is_away(tending: Tending, monkeypatch: pytest.MonkeyPatch):
    async def away(*_: object) -> None:
        raise StorageError("away")

    with monkeypatch.context() as patched:
        patched.setattr(tending.rejected, "keep", away)
        with pytest.raises(StorageError):
            await tending.send(refused(b"a", b"b"))
    await tending.sources.flush()
    assert sorted(await records(tending)) == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["", "x", EVENTS, f"{EVENTS}:1-0a", f"{EVENTS}:{NOON}-", f"{EVENTS}:{NOON}-0a\n", "*:0-0"]
)
def test_what_is_no_id_is_not_taken_for_one(text: str):
    assert not is_id(text)
