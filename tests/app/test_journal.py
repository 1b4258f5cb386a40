"""The journal on disk: what comes back, what is deleted, and what a crash or a full disk does to it."""

import errno
import fcntl
import json
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from journaling import HOUR_MS, START, Desk

from app.journal.journal import QUEUE_BYTES, Journal, open_journal
from app.journal.segments import SegmentWriter
from app.metrics import Metrics
from app.settings import Settings
from detectors.event import Batch, Event
from detectors.redact import Found, SecretFinder


def ndjson(count: int, seed: int = 0) -> bytes:
    rng = random.Random(seed)
    event = {"client_ip": "198.51.100.1", "status": 401, "path": "/login"}
    made = [{**event, "request_id": f"{rng.getrandbits(512):x}"} for _ in range(count)]
    return "\n".join(map(json.dumps, made)).encode()


COMBINED = b'203.0.113.9 - - [23/Nov/2026:10:00:0%d +0000] "GET /a HTTP/1.1" 404 12 "-" "x/1"'
BODIES = {
    "our own names": (ndjson(3), None),
    "a pretty-printed array": (json.dumps([{"client_ip": "192.0.2.1", "status": 401}], indent=1).encode(), None),
    "names of others": (b'{"remote_addr":"192.0.2.1","status":"403","request":"GET /x HTTP/1.1"}', None),
    "a message with a line": (json.dumps({"message": (COMBINED % 1).decode()}).encode(), None),
    "a status out of range": (b'{"client_ip":"192.0.2.1","status":9999}\n{"status":200}', None),
    "combined lines": (b"\n".join(COMBINED % n for n in range(3)), "combined"),
    "lines of any format": (b"\n".join([COMBINED % 1, b"what is this?", b"\xff\xfe"]), "auto"),
    "sshd": (b"Nov 20 10:00:01 h sshd[1]: Failed password for root from 192.0.2.9 port 22 ssh2", "sshd"),
    "numbers beyond 64 bits": (b'{"client_ip":"192.0.2.1","timestamp":%d}' % 10**30, None),
    "numbers of others beyond 64 bits": (b'{"remote_addr":"192.0.2.1","timestamp":%d}' % 10**30, None),
    "encoded text": (b'{"client_ip":"192.0.2.1","path":"/a?x=%27%20or%201=1--"}', None),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_what_was_counted_comes_back(tmp_path: Path, name: str):
    desk = Desk(tmp_path)
    batch = desk.write(*BODIES[name])
    [found] = desk.batches()
    if name == "numbers of others beyond 64 bits":
        batch.events[0].timestamp = None
    assert (found.events, found.records) == (batch.events, batch.records)
    assert (found.received_ms, found.source) == (START, "test")
    assert desk.counts == {"written": len(batch.events)}


def test_half_a_surrogate_pair_loses_no_batch(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.add(Batch([Event(user="a\ud800"), Event(user="b")], [b"1", b"2"], START, "test"))
    desk.writer.flush()
    [found] = desk.batches()
    assert [event.user for event in found.events] == ["a?", "b"]


def test_a_torn_last_frame_is_left_out_and_the_next_start_begins_a_new_segment(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.write(ndjson(2, 1))
    desk.write(ndjson(2, 2))
    desk.writer._file.close()
    [path] = desk.files()
    whole = path.read_bytes()
    for cut in (1, 7, 40):
        path.write_bytes(whole[:-cut])
        reader = desk.reader()
        assert [len(batch.events) for batch, _ in reader.batches()] == [2]
        assert reader.coverage.damaged == 1
    again = Desk(tmp_path)
    again.write(ndjson(5, 3))
    assert len(again.files()) == 2
    assert [len(batch.events) for batch in again.batches()] == [2, 5]


def test_bytes_turned_on_the_disk_are_noticed(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.write(ndjson(50, 1))
    [path] = desk.files()
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0x55
    path.write_bytes(damaged)
    reader = desk.reader()
    assert list(reader.batches()) == [] and reader.coverage.damaged == 1


def test_segments_are_of_one_hour_private_and_deleted_when_they_are_too_old(tmp_path: Path):
    desk = Desk(tmp_path, hours=2)
    for hour in range(5):
        desk.clock.now = START + hour * HOUR_MS
        desk.write(ndjson(1, hour))
    # What ended two hours ago is over: the hours 0 and 1 of 0 to 4.
    assert [int(path.name[:10]) - START // HOUR_MS for path in desk.files()] == [2, 3, 4]
    assert {path.stat().st_mode & 0o777 for path in desk.files()} == {0o600}
    assert desk.folder.stat().st_mode & 0o777 == 0o700
    assert len(desk.batches()) == 3


def test_the_journal_never_takes_more_room_than_allowed_and_keeps_the_newest(tmp_path: Path):
    most = 200_000
    desk = Desk(tmp_path, size_bytes=most)
    for number in range(60):
        desk.clock.now = START + number * 1000
        desk.write(ndjson(100, number))
        assert sum(path.stat().st_size for path in desk.files()) <= most
    received = [batch.received_ms for batch in desk.batches()]
    assert 10 < len(received) < 60
    assert received == [START + number * 1000 for number in range(60)][-len(received) :]


def test_a_segment_that_another_process_writes_is_never_deleted(tmp_path: Path):
    other = Desk(tmp_path, slot=1)
    other.write(ndjson(200, 1))
    desk = Desk(tmp_path, size_bytes=20_000)
    desk.clock.now += 30 * HOUR_MS
    desk.write(ndjson(1, 2))
    assert len(desk.files()) == 2
    other.writer._file.close()
    desk.clock.now += 60_000
    desk.write(ndjson(1, 3))
    assert len(desk.files()) == 1


def test_two_processes_are_read_in_order_of_receipt(tmp_path: Path):
    desks = [Desk(tmp_path, slot=slot) for slot in range(2)]
    for number in range(6):
        desks[number % 2].clock.now = START + number
        desks[number % 2].write(ndjson(1, number))
    reader = desks[1].reader()
    assert [batch.received_ms for batch, _ in reader.batches()] == [START + number for number in range(6)]


def test_quiet_time_is_covered_and_time_without_a_process_is_not(tmp_path: Path):
    desk = Desk(tmp_path)
    for minute in [*range(10), *range(20, 30)]:
        desk.clock.now = START + minute * 60_000
        desk.writer.flush()  # no events at all: only the mark
    reader = desk.reader(until_ms=START + 30 * 60_000)
    assert list(reader.batches()) == []
    assert reader.coverage.gaps() == [(START + 9 * 60_000, START + 20 * 60_000)]
    assert reader.coverage.covered_ms() == 19 * 60_000
    sizes = [path.stat().st_size for path in desk.files()]
    assert sum(sizes) < 20 * 64


@contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """No file may grow past this: the kernel writes what fits and then refuses, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_batches_are_dropped_counted_and_told_and_the_journal_goes_on(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.write(ndjson(3, 1))
    with full_disk(desk.files()[0].stat().st_size + 100):
        for number in (2, 3):
            desk.clock.now += 1000
            desk.write(ndjson(20, number))
    assert desk.counts == {"written": 3, "disk": 40}
    desk.clock.now += 1000
    desk.write(ndjson(4, 4))
    assert desk.counts == {"written": 7, "disk": 40}
    reader = desk.reader()
    assert [len(batch.events) for batch, _ in reader.batches()] == [3, 4]
    [lost] = reader.coverage.lost
    assert (lost.batches, lost.events) == (2, 40)
    assert (lost.first_ms, lost.last_ms) == (START + 1000, START + 2000)
    assert reader.coverage.damaged == 0


def test_a_writer_that_is_behind_loses_batches_and_never_holds_up_the_sender(tmp_path: Path):
    desk = Desk(tmp_path)
    journal = Journal(desk.writer)
    big = Batch([Event(message="x")], [b"x" * (QUEUE_BYTES // 4)], START, "test")
    for _ in range(6):  # nobody writes yet
        journal.add(big, {}, desk.secrets)
    assert desk.counts == {"queue_full": 3}
    with journal.running():
        pass
    assert desk.counts == {"queue_full": 3, "written": 3}
    [lost] = desk.reader().coverage.lost or _read(desk)
    assert (lost.batches, lost.events) == (3, 3)


def _read(desk: Desk) -> list[object]:
    reader = desk.reader()
    assert len(list(reader.batches())) == 3
    return list(reader.coverage.lost)


class BrokenFinder(SecretFinder):
    """Trips over a record."""

    def found_in(self, text: str) -> Found:
        raise ValueError(text)

    def twin(self) -> SecretFinder:
        return self


def test_a_batch_that_cannot_be_masked_is_dropped_and_the_next_one_is_kept(tmp_path: Path):
    desk = Desk(tmp_path)
    whole, desk.secrets = desk.secrets, BrokenFinder(desk.scanner, b"k" * 32)
    desk.write(b'{"message":"password=%41%41%41"}')
    desk.secrets = whole
    desk.write(b'{"message":"b"}')
    assert desk.counts == {"unreadable": 1, "written": 1}
    assert [batch.events[0].message for batch in desk.batches()] == ["b"]


def test_hours_of_zero_keep_nothing_and_delete_what_was_kept(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.write(ndjson(3))
    desk.writer.close()
    assert desk.files()
    settings = Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1", journal_hours=0)
    assert open_journal(settings, 0, desk.clock, Metrics()) is None
    assert desk.files() == []


def test_a_segment_that_cannot_be_locked_is_let_go_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    writer = SegmentWriter(tmp_path, 0, roll_bytes=100)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", refuse)
        for _ in range(3):
            with pytest.raises(OSError, match="No locks"):
                writer.append(b"frame", START)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert not list(tmp_path.iterdir())
    writer.append(b"frame", START)
    writer.close()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"frame"]
