"""systemd-journal-upload: entries of any bytes in pieces of any size, each counted exactly once."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from app.auth import TokenTable
from app.ingest import routes
from app.ingest.gate import Gate, Slot
from app.ingest.path_key import PathKey
from app.ingest.shippers import journal_entries, journal_positions, journal_upload
from app.ingest.shippers.journal_entries import EntryReader, read_entry
from app.ingest.shippers.journal_positions import Mark, Position, Positions, place_of, position_key
from app.ingest.taking import Intake
from app.metrics import Metrics
from app.problems import install_problem_handlers
from app.settings import Settings
from detectors.errors import DecodeError, StorageError
from tests.house.test_redis_keys import check_keys
from tests.ingest.remembering import UNHEARD
from tests.ingest.shippers.test_journal_compression import COMPRESSORS
from tests.ingest.test_ingest_routes import NOW, Engine

TOKEN = "ingest-token-for-tests-0123456789"
SOURCE, BOOT = "8442cc41cac54aa0875dbaad7257c001", "ab" * 16
START_US = 1_795_435_000_000_000
FAILED = "Failed password for root from 203.0.113.9 port 4711 ssh2"
HEADERS = {
    "User-Agent": "systemd-journal-upload 252.38-1~deb12u1",
    "Content-Type": "application/vnd.fdo.journal",
    "Transfer-Encoding": "chunked",
    "Accept": "text/plain",
    "Expect": "100-continue",
}


def cursor(number: int, source: str = SOURCE, boot: str = BOOT, clock_us: int = 0) -> str:
    clock = clock_us or START_US + number * 1000
    return f"s={source};i={number:x};b={boot};m={number:x};t={clock:x};x=9edfaf5fb88c7bd0"


def entry(number: int, message: str | bytes = FAILED, **more: str) -> bytes:
    """As journal-upload-journal.c, write_entry() puts it on the wire; what is no printable text has its size."""
    source, boot = more.pop("source", SOURCE), more.pop("boot", BOOT)
    clock_us = int(more.pop("clock_us", 0)) or START_US + number * 1000
    raw = message.encode() if isinstance(message, str) else message
    fields = {"SYSLOG_IDENTIFIER": "sshd", "_UID": "0", "_HOSTNAME": "web-1", "_PID": "312", **more}
    lines = [
        f"__CURSOR={cursor(number, source, boot, clock_us)}",
        f"__REALTIME_TIMESTAMP={clock_us}",
        f"__MONOTONIC_TIMESTAMP={number}",
        f"_BOOT_ID={boot}",
        *(f"{name}={value}" for name, value in fields.items()),
    ]
    is_text = b"\n" not in raw and not any(byte < 0x20 for byte in raw) and raw.isascii()
    last = b"MESSAGE=" + raw if is_text else b"MESSAGE\n" + len(raw).to_bytes(8, "little") + raw
    return "\n".join(lines).encode() + b"\n" + last + b"\n\n"


def read(*pieces: bytes) -> list[dict[bytes, bytes]]:
    reader = EntryReader()
    return [found for piece in pieces for found in reader.feed(piece)]


class Recorder(Engine):
    """Remembers what counted: a batch with a known mark does not. May break before or after it has counted."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: set[str] = set()
        self.counted: Counter[str] = Counter()
        self.breaks: Iterable[str] = ()

    async def process(self, batch: Any) -> Any:
        how = next(iter(self.breaks), "")
        if how == "before":
            raise StorageError("away")
        is_known = batch.mark in self.marks
        if not is_known:
            self.batches.append(batch)
            self.counted.update(event.message or "" for event in batch.events)
            if batch.mark is not None:
                self.marks.add(batch.mark)
        if how == "after":
            raise StorageError("killed")
        return SimpleNamespace(duplicate=is_known, counted=0, findings=[])


@pytest.fixture
def engine() -> Recorder:
    return Recorder()


@pytest.fixture
def app(engine: Recorder, redis: Redis) -> FastAPI:
    made = FastAPI()
    made.add_middleware(PathKey)
    install_problem_handlers(made)
    made.include_router(routes.router)
    tokens = TokenTable(Settings(ingest_token=TOKEN, viewer_token="viewer" + TOKEN))
    made.state.world = SimpleNamespace(
        engine=engine, tokens=tokens, now=lambda: NOW, metrics=Metrics(), redis=redis, sources=UNHEARD
    )
    return made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t", headers=HEADERS) as made:
        yield made


async def upload(
    client: httpx.AsyncClient, *pieces: bytes, path: str = f"/k/{TOKEN}/upload"
) -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return await client.post(path, content=body())


def messages(engine: Recorder) -> list[str | None]:
    return [event.message for batch in engine.batches for event in batch.events]


async def test_an_attack_in_the_journal_is_counted(client: httpx.AsyncClient, engine: Recorder) -> None:
    answer = await upload(client, entry(1), entry(2, "Connection closed by 203.0.113.9 port 4711 [preauth]"))
    assert (answer.status_code, answer.text) == (202, "OK.\n")
    assert answer.headers["content-type"].startswith("text/plain")
    [batch] = engine.batches
    attempt, closed = batch.events
    assert (attempt.client_ip, attempt.user, attempt.outcome) == ("203.0.113.9", "root", "failure")
    assert (attempt.category, attempt.host, attempt.timestamp) == ("authentication", "web-1", START_US + 1000)
    assert (closed.outcome, closed.client_ip) == (None, None)
    kept = msgspec.json.decode(batch.records[0])
    assert (kept["MESSAGE"], kept["SYSLOG_IDENTIFIER"], kept["_PID"]) == (FAILED, "sshd", "312")
    assert (batch.received_ms, "__CURSOR" in kept) == (NOW, False)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
async def test_pieces_of_any_size_are_the_same_entries(
    client: httpx.AsyncClient, engine: Recorder, size: int
) -> None:
    body = b"".join(entry(n, f"line {n}\n\nnext=\n" if n % 2 else f"line {n}") for n in range(1, 6))
    await upload(client, *(body[at : at + size] for at in range(0, len(body), size)))
    assert messages(engine) == [f"line {n}\n\nnext=\n" if n % 2 else f"line {n}" for n in range(1, 6)]


async def test_what_waits_for_a_second_is_counted_before_the_request_ends(
    client: httpx.AsyncClient, engine: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_upload, "WAIT_S", 0.0)
    is_counted = asyncio.Event()

    async def process(batch: Any) -> Any:
        is_counted.set()
        return await Recorder.process(engine, batch)

    monkeypatch.setattr(engine, "process", process)

    async def follow() -> AsyncIterator[bytes]:
        for number in (1, 2):
            is_counted.clear()
            yield entry(number)[:-5]
            yield entry(number)[-5:]
            await is_counted.wait()

    assert (await client.post(f"/k/{TOKEN}/upload", content=follow())).status_code == 202
    assert [len(batch.events) for batch in engine.batches] == [1, 1]


async def test_a_long_stream_is_counted_in_parts(
    client: httpx.AsyncClient, engine: Recorder, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_upload, "ENTRIES_AT_A_TIME", 10)
    assert (await upload(client, *(entry(n, f"line {n}") for n in range(1, 36)))).status_code == 202
    assert [len(batch.events) for batch in engine.batches] == [10, 10, 10, 5]
    assert len({batch.mark for batch in engine.batches}) == 4
    assert app.state.intake.gate.in_flight == 0


async def test_what_is_sent_again_counts_once(
    client: httpx.AsyncClient, engine: Recorder, redis: Redis
) -> None:
    await upload(client, *(entry(n, f"line {n}") for n in range(1, 6)))
    answer = await upload(client, *(entry(n, f"line {n}") for n in range(3, 9)))
    assert answer.status_code == 202
    assert engine.counted == Counter(f"line {n}" for n in range(1, 9))
    assert (await upload(client, entry(8, "line 8"))).status_code == 202
    assert engine.counted["line 8"] == 1
    assert await check_keys(redis) == 1


async def test_another_boot_or_source_or_token_has_numbers_of_its_own(
    client: httpx.AsyncClient, engine: Recorder
) -> None:
    await upload(client, entry(9, "a"))
    await upload(client, entry(5, "b", boot="cd" * 16), entry(5, "c", source="ef" * 16))
    assert engine.counted == Counter("abc")


async def test_a_machine_put_back_to_a_snapshot_is_heard(client: httpx.AsyncClient, engine: Recorder) -> None:
    await upload(client, entry(100, "before"))
    later = str(START_US + 900_000)
    await upload(client, entry(50, "after", clock_us=later))
    await upload(client, entry(50, "after", clock_us=later), entry(51, "next", clock_us=later))
    assert engine.counted == Counter(["before", "after", "next"])


async def test_a_clock_that_is_set_back_hides_nothing(client: httpx.AsyncClient, engine: Recorder) -> None:
    first = [
        entry(1, "1"),
        entry(2, "2", clock_us=str(START_US - 10**9)),
        entry(3, "3", clock_us=str(START_US)),
    ]
    await upload(client, *first)
    await upload(client, *first, entry(4, "4", clock_us=str(START_US - 10**9)))
    assert engine.counted == Counter("1234")


@pytest.mark.parametrize("how", ["before", "after"])
async def test_broken_off_in_the_middle_each_entry_counts_once(
    client: httpx.AsyncClient, engine: Recorder, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_upload, "ENTRIES_AT_A_TIME", 3)
    engine.breaks = iter(["", how])
    answer = await upload(client, *(entry(n, f"line {n}") for n in range(1, 9)))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    # The program starts again at the cursor that it has saved, and its pieces come otherwise.
    await upload(client, b"".join(entry(n, f"line {n}") for n in range(1, 12)))
    assert engine.counted == Counter(f"line {n}" for n in range(1, 12))


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_breaks_and_whenever_each_entry_counts_exactly_once(
    client: httpx.AsyncClient, engine: Recorder, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(journal_upload, "ENTRIES_AT_A_TIME", rng.randint(1, 6))
    monkeypatch.setattr(journal_upload, "JOURNALS_AT_A_TIME", 1)

    def breaks() -> Iterable[str]:
        while True:
            yield rng.choice(["", "", "", "before", "after"])

    engine.breaks = breaks()
    original = Positions.move

    async def move(self: Positions, source: str, before: Position, after: Position) -> None:
        how = rng.choice(["", "", "", "", "before", "after"])
        if how != "before":
            await original(self, source, before, after)
        if how:
            raise StorageError("killed")

    monkeypatch.setattr(Positions, "move", move)
    total, saved, shown = 40, 0, 1
    sources = [rng.choice([SOURCE, "ef" * 16]) for _ in range(total + 1)]
    for _ in range(400):
        end = shown = rng.randint(max(shown, saved + 1), total)  # what was there once is sent again
        body = b"".join(entry(n, f"line {n}", source=sources[n]) for n in range(saved + 1, end + 1))
        size = rng.randint(100, 2000)
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        if rng.random() < 0.2:
            end, pieces = saved, [*pieces[: len(pieces) // 2], b"stop"]
        if (await upload(client, *pieces)).status_code == 202:
            saved = end
        if saved == total:
            break
    assert saved == total
    assert engine.counted == Counter(f"line {n}" for n in range(1, total + 1))


async def test_where_the_end_of_a_broken_piece_does_not_come_again_it_is_not_lost(
    client: httpx.AsyncClient, engine: Recorder
) -> None:
    engine.breaks = ("before",)
    await upload(client, *(entry(n, f"line {n}") for n in range(1, 9)))
    engine.breaks = ()
    await upload(client, *(entry(n, f"line {n}") for n in range(1, 5)))
    await upload(client, *(entry(n, f"line {n}") for n in range(1, 10)))
    assert engine.counted == Counter(f"line {n}" for n in range(1, 10))


async def test_two_requests_for_one_journal_at_a_time_count_nothing_twice(redis: Redis) -> None:
    first, second = Positions(redis, "tok_1"), Positions(redis, "tok_1")
    await first.move("s:b", Position(), Position(Mark(0, 0), Mark(5, 5)))
    with pytest.raises(StorageError, match="another request"):
        await second.move("s:b", Position(), Position(Mark(0, 0), Mark(9, 9)))
    assert await second.read("s:b") == Position(Mark(0, 0), Mark(5, 5))
    assert await redis.pttl(position_key("tok_1", "s:b")) > journal_positions.TTL_MS - 60_000


async def test_entries_without_a_cursor_are_counted(client: httpx.AsyncClient, engine: Recorder) -> None:
    """`journalctl -o export` has cursors; what others make may have none."""
    bare = b"MESSAGE=one\n\nMESSAGE=two\n\n"
    for _ in range(2):
        assert (await upload(client, bare)).status_code == 202
    assert engine.counted == Counter(["one", "two"])
    for _ in range(2):
        await upload(client, b"MESSAGE=single\n")
    assert engine.counted["single"] == 2


async def test_who_may_not_send_is_told_so_in_a_line(client: httpx.AsyncClient, engine: Recorder) -> None:
    for path, status in (("/upload", 401), ("/k/wrong/upload", 401), (f"/k/viewer{TOKEN}/upload", 403)):
        answer = await upload(client, entry(1), path=path)
        assert answer.status_code == status
        assert answer.text.count("\n") == 1
    assert engine.batches == []
    answer = await client.post("/upload", content=entry(1), headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 202


async def test_a_token_that_is_revoked_ends_its_request(
    client: httpx.AsyncClient, engine: Recorder, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_upload, "ENTRIES_AT_A_TIME", 1)

    async def body() -> AsyncIterator[bytes]:
        yield entry(1)
        app.state.world.tokens = TokenTable(Settings(ingest_token="another" + TOKEN))
        yield entry(2)

    assert (await client.post(f"/k/{TOKEN}/upload", content=body())).status_code == 401
    assert len(engine.batches) == 1


async def test_storage_away_or_too_much_under_way_is_503(
    client: httpx.AsyncClient, engine: Recorder, app: FastAPI
) -> None:
    engine.breaks = ("before",)
    assert (await upload(client, entry(1))).status_code == 503
    app.state.intake = Intake(app.state.world, Gate(limit=100))
    other = Slot(app.state.intake.gate)
    other.take(90)
    answer = await upload(client, entry(1))
    assert (answer.status_code, answer.headers["retry-after"].isdecimal()) == (503, True)
    assert app.state.intake.gate.in_flight == 90


@pytest.mark.parametrize(
    "body",
    [b'{"MESSAGE":"x"}\n', b"message\nxxxxxxxxxxxxxxxx", b"MESSAGE\n" + b"\xff" * 8, b"x" * 1_100_000],
    ids=["JSON", "no name", "an absurd size", "no line"],
)
async def test_what_is_no_journal_is_400(client: httpx.AsyncClient, engine: Recorder, body: bytes) -> None:
    assert (await upload(client, body)).status_code == 400
    assert engine.batches == []


async def test_an_unknown_compression_is_400(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"/k/{TOKEN}/upload", content=b"x", headers={"Content-Encoding": "br"})
    assert answer.status_code == 400
    assert "Compression=" in answer.text and "accept-encoding" not in answer.headers


@pytest.mark.parametrize("encoding", COMPRESSORS)
async def test_a_compressed_journal_is_counted_as_it_comes(
    client: httpx.AsyncClient, engine: Recorder, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_upload, "ENTRIES_AT_A_TIME", 10)
    compress = COMPRESSORS[encoding]
    entries = [entry(number, f"line {number}") for number in range(1, 36)]
    pieces = [compress(b"".join(entries[at : at + 7])) for at in range(0, 35, 7)]
    client.headers["Content-Encoding"] = encoding
    assert (await upload(client, *pieces)).status_code == 202
    body = b"".join(pieces)
    assert (await upload(client, *(body[at : at + 50] for at in range(0, len(body), 50)))).status_code == 202
    assert engine.counted == Counter(f"line {n}" for n in range(1, 36))


async def test_of_a_compressed_journal_that_is_cut_short_the_whole_entries_count(
    client: httpx.AsyncClient, engine: Recorder
) -> None:
    client.headers["Content-Encoding"] = "lz4"
    body = COMPRESSORS["lz4"](entry(1, "one")) + COMPRESSORS["lz4"](entry(2, "two"))
    assert (await upload(client, body[:-3])).status_code == 400
    assert engine.counted == Counter(["one"])


async def test_an_empty_request_is_a_success(client: httpx.AsyncClient, engine: Recorder) -> None:
    assert (await upload(client)).status_code == 202
    assert engine.batches == []


def test_sshd_is_believed_of_root_only() -> None:
    """`logger -t sshd` is open to everybody on the machine."""
    for uid, address in (("0", "203.0.113.9"), ("33", None)):
        [found] = read(entry(1, FAILED, _UID=uid, _COMM="logger"))
        event, _ = read_entry(found, NOW)
        assert (event.client_ip, event.message) == (address, FAILED)


def test_what_a_named_program_says_is_read_as_its_own_format_only() -> None:
    line = '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "POST /login HTTP/1.1" 401 1'
    for program, status in (("nginx", 401), ("myapp", None)):
        [found] = read(entry(1, line, SYSLOG_IDENTIFIER=program))
        assert read_entry(found, NOW)[0].status == status
    [found] = read(entry(1, line, SYSLOG_IDENTIFIER="4f0c2a", CONTAINER_NAME="web"))
    event, _ = read_entry(found, NOW)
    assert (event.status, event.client_ip, event.host) == (401, "203.0.113.9", "web-1")


def test_json_of_an_application_is_read_and_may_not_name_another_machine() -> None:
    text = '{"client_ip":"203.0.113.9","status":401,"host":"forged"}'
    [found] = read(entry(1, text, SYSLOG_IDENTIFIER="myapp"))
    event, _ = read_entry(found, NOW)
    assert (event.client_ip, event.status, event.host) == ("203.0.113.9", 401, "web-1")


def test_a_message_of_any_bytes_is_text() -> None:
    [found] = read(entry(1, b"caf\xe9\n\0=\n\nMESSAGE=forged"))
    event, _ = read_entry(found, NOW)
    assert event.message == "caf\ufffd\n\0=\n\nMESSAGE=forged"
    [found] = read(entry(1, b"x\n\nMESSAGE=second\n\n__CURSOR=forged\n\n"))
    assert found[b"__CURSOR"].startswith(b"s=8442")


def test_a_value_that_is_too_long_is_cut_and_what_follows_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_entries, "LONG_VALUE_BYTES", 3000)
    monkeypatch.setattr(journal_entries, "CUT_BYTES", 1000)
    for message in (b"x" * 20_000, b"\n" * 20_000):
        body = entry(1, message) + entry(2)
        for size in (1, 333, 100_000):
            reader = EntryReader()
            found = []
            for at in range(0, len(body), size):
                found += reader.feed(body[at : at + size])
                assert reader.held < 3000 + 2 * size + 500
            assert [len(each[b"MESSAGE"]) for each in found] == [1000, len(FAILED)]
            assert not reader.is_within


def test_a_cursor_that_is_none_is_none() -> None:
    assert place_of({b"__CURSOR": cursor(0x2A).encode()}) == (
        f"{SOURCE}:{BOOT}",
        Mark(0x2A, START_US + 0x2A * 1000),
    )
    for text in ("", "s=1;i=2", cursor(1) + "x", cursor(1).replace("i=1", "i=" + "f" * 17)):
        assert place_of({b"__CURSOR": text.encode()}) is None


@settings(deadline=None)
@given(
    st.lists(
        st.binary(max_size=60) | st.sampled_from([b"\n", b"=", b"MESSAGE\n", b"\x05" + b"\0" * 7, entry(1)])
    )
)
def test_no_bytes_whatever_raise_anything_but_what_is_promised(pieces: list[bytes]) -> None:
    try:
        found = read(*pieces)
    except DecodeError:
        return
    for each in found:
        read_entry(each, NOW)
        place_of(each)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(1, 50))
def test_a_message_comes_through_whatever_its_bytes_and_pieces(message: bytes, size: int) -> None:
    sized = b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n\n"
    assert read(*(sized[at : at + size] for at in range(0, len(sized), size))) == [{b"MESSAGE": message}]
