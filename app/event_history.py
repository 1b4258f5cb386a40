"""What the journal says of somebody: read in a thread, the newest hour first, within a budget. docs/investigation.md.

One pass serves all who are asked about. Most batches name none of them, which a search in their packed bytes tells
without decoding; only the others are taken apart. The thread rests as long as it works, so that the event loop gets
its turns: it has no lower priority, since a thread of low priority that holds the interpreter holds everybody up.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import hyperscan
import msgspec
import structlog

from actions.investigations.investigation import EventSummary, Subject
from actions.investigations.tally import Tally, signs_of
from app.event_search import EventSearch, is_credential
from app.journal.format import Entry
from app.journal.reader import MARK_GAP_MS, JournalReader, batch_of
from detectors.addresses import Networks, client_address
from detectors.detector import Surroundings
from detectors.engine import Engine, Site
from detectors.errors import ConfigError, DecodeError
from detectors.event import Event
from detectors.finding import SubjectKind
from detectors.timestamps import event_time_ms

CPU_S = 20.0
"""Of one pass, however many are asked about."""
WALL_S = 120.0
"""Less than a turn to investigate (actions/investigations/investigations.py)."""
READ_BYTES = 600 * 2**20
"""Compressed; more than the journal holds unless the operator asked for more."""
LONGEST_REST_S = 0.05
WORK_S = 0.005
"""It works for so long at a time, and then rests as long."""
EVENTS_OF_ONE = 500_000
"""Of one subject that are looked at; a host can have millions, and the newest say enough."""

UNREADABLE = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, hyperscan.error)
"""What an attacker's record might provoke; it must not end the pass."""

log = structlog.get_logger(__name__)


class Budget(NamedTuple):
    """What one pass may cost."""

    cpu_s: float = CPU_S
    wall_s: float = WALL_S
    read_bytes: int = READ_BYTES


class JournalHistory:
    """The journal of a data folder, of all its processes, as the investigations read it."""

    def __init__(
        self,
        folder: Path,
        trusted: Networks,
        budget: Budget | None = None,
        *,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        """`take_engine` must be called before it is asked. `cpu`: seconds that the calling thread has worked."""
        self._folder = folder
        self._trusted = trusted
        self._budget = budget or Budget()
        self._cpu = cpu
        self._reads_with: tuple[Engine, Site] | None = None

    def take_engine(self, engine: Engine, site: Site) -> None:
        """Reads with the patterns and paths of this policy from now on."""
        self._reads_with = engine, site

    async def about(self, subjects: Sequence[Subject], since_ms: int, until_ms: int) -> list[EventSummary]:
        """One summary for each subject. Cancelled, it stops reading soon."""
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self._read, list(subjects), since_ms, until_ms, stop)
        finally:
            stop.set()

    def _read(
        self, subjects: list[Subject], since_ms: int, until_ms: int, stop: threading.Event
    ) -> list[EventSummary]:
        assert self._reads_with is not None  # noqa: S101 - set where the world is built
        engine, site = self._reads_with
        secrets = engine.secrets.twin()
        around = Surroundings(
            site.login_paths,
            site.login_forms,
            trusted=self._trusted,
            secrets=secrets,
            scanner=engine.scanner.twin(),
        )
        asked = [_Asked(subject, Tally(lambda text: secrets.redact(text) or "")) for subject in subjects]
        try:
            reader = JournalReader(self._folder, begin_ms=since_ms, since_ms=since_ms, until_ms=until_ms)
            reading = _Pass(asked, around, self._budget, self._cpu, stop)
            reading.read(reader, since_ms, until_ms)
        except (ConfigError, OSError, *UNREADABLE) as error:
            log.error("journal_not_read", error=str(error) or type(error).__name__)
            why = f"the journal could not be read ({type(error).__name__})"
            return [one.summary(since_ms, until_ms, until_ms, why) for one in asked]
        log.info("journal_read", subjects=len(asked), events=reading.events, **reading.cost())
        return [reading.summary_of(one, reader, since_ms, until_ms) for one in asked]


class _Asked:
    """One subject and its sums."""

    def __init__(self, subject: Subject, tally: Tally) -> None:
        self.subject = subject
        self.tally = tally
        self.looked_at = self.left_out = 0

    def summary(self, since_ms: int, until_ms: int, complete_since_ms: int, cut: str) -> EventSummary:
        """What was taken of it."""
        found = self.tally.summary(
            source="journal", since_at=since_ms, until_at=until_ms, complete_since_at=complete_since_ms
        )
        if self.left_out:
            more = f"{self.left_out} events of it were not looked at"
            cut = f"{cut}; {more}" if cut else more
        return msgspec.structs.replace(found, cut=cut)


class _Pass:
    """One pass over the journal, for all that are asked about."""

    def __init__(
        self,
        asked: list[_Asked],
        around: Surroundings,
        budget: Budget,
        cpu: Callable[[], float],
        stop: threading.Event,
    ) -> None:
        self._asked = asked
        self._search = EventSearch([one.subject for one in asked], around.trusted)
        self._around = around
        self._budget = budget
        self._cpu = cpu
        self._stop = stop
        self._cpu_begun, self._begun = cpu(), time.monotonic()
        self._rested_at = time.thread_time()
        self._bytes = 0
        self._oldest_hour: int | None = None
        self._damaged = 0
        self._cut = ""
        self.events = 0

    def cost(self) -> dict[str, float]:
        """What it has cost so far."""
        return {
            "cpu_s": round(self._cpu() - self._cpu_begun, 2),
            "wall_s": round(time.monotonic() - self._begun, 2),
            "mb": round(self._bytes / 2**20, 1),
        }

    def read(self, reader: JournalReader, since_ms: int, until_ms: int) -> None:
        """Reads the newest hour first, until all is read or the budget is spent."""
        reader.on_read = self._note_bytes
        for hour_ms, entries in reader.newest_hour_first():
            for entry in entries:
                if since_ms <= entry.received_ms <= until_ms:
                    self._take(entry)
                self._rest()
                if self._is_over():
                    return
            self._oldest_hour = hour_ms

    def summary_of(self, one: _Asked, reader: JournalReader, since_ms: int, until_ms: int) -> EventSummary:
        """What was found of one, with what is known of the journal."""
        complete = since_ms
        if self._cut:
            complete = until_ms if self._oldest_hour is None else max(since_ms, self._oldest_hour)
        found = one.summary(since_ms, until_ms, complete, self._cut)
        coverage = reader.coverage
        gaps = [end - max(begun, complete) for begun, end in coverage.gaps() if end > complete]
        return msgspec.structs.replace(
            found,
            missing_ms=sum(gap for gap in gaps if gap > MARK_GAP_MS),
            dropped=sum(lost.events for lost in coverage.lost if lost.last_ms >= complete),
            damaged=coverage.damaged + self._damaged,
        )

    def _take(self, entry: Entry) -> None:
        self.events += entry.count
        is_wanted = self._search.may_be_in(entry)
        if not is_wanted and not entry.masked:
            return
        try:
            if is_wanted:
                batch = batch_of(entry)
                pairs = zip(batch.events, batch.records, strict=True)
            else:
                pairs = zip([m.event for m in entry.masked], [m.record for m in entry.masked], strict=True)
            for event, record in pairs:
                address, numbers = self._search.whose(event, record)
                for number in numbers:
                    self._count(self._asked[number], event, record, entry.received_ms, address)
        except (msgspec.MsgspecError, DecodeError, *UNREADABLE) as error:
            self._damaged += 1
            log.warning("journal_batch_unreadable", error=type(error).__name__)

    def _count(self, one: _Asked, event: Event, record: bytes, received_ms: int, address: str) -> None:
        if one.looked_at >= EVENTS_OF_ONE:
            one.left_out += 1
            return
        one.looked_at += 1
        at, _ = event_time_ms(event.timestamp, received_ms)
        address = address or client_address(event.client_ip, event.forwarded_for, self._around.trusted) or ""
        key = one.subject.value if is_credential(one.subject) and one.subject.kind == SubjectKind.KEY else ""
        one.tally.take(at, address, event, signs_of(event, record, self._around), key=key)
        self._rest()

    def _note_bytes(self, count: int) -> None:
        self._bytes += count

    def _rest(self) -> None:
        """Rests as long as it has worked, at most 50 ms; time in which others worked is no work of ours."""
        worked_s = time.thread_time() - self._rested_at
        if worked_s >= WORK_S:
            self._stop.wait(min(worked_s, LONGEST_REST_S))
            self._rested_at = time.thread_time()

    def _is_over(self) -> bool:
        if self._stop.is_set():
            self._cut = "the service was stopping"
        elif self._cpu() - self._cpu_begun > self._budget.cpu_s:
            self._cut = f"reading was cut after {self._budget.cpu_s:g} s of work"
        elif time.monotonic() - self._begun > self._budget.wall_s:
            self._cut = f"reading was cut after {self._budget.wall_s:g} s"
        elif self._bytes > self._budget.read_bytes:
            self._cut = f"reading was cut after {self._budget.read_bytes / 2**20:g} MB"
        return bool(self._cut)
