"""The way of every request that brings events, whatever its protocol: who sends it, its body, its records, the answer.

Success means counted. "Try again" is 503 with Retry-After and never 429 (Fluentd drops on it) or 500.
The answer comes within 2 seconds of the body's last byte. Work that takes longer goes on beside it: the sender is told
to try again, and its retry, which is the same body, is answered from what the work brought. So nothing is counted
twice, and nothing is lost even where the sender gives up.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import structlog
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app.auth import Caller, Role, authenticate, offered_by
from app.ingest.beginning import beginning_of
from app.ingest.body import WIRE_LIMIT_BYTES, BodyTooLarge, read_body
from app.ingest.decode import Decoded
from app.ingest.gate import Gate, Overloaded, Slot
from app.ingest.incoming import INLINE_BYTES, Unpacked, unpack, unpack_quickly
from app.ingest.refused import Refused
from app.ingest.shippers.shipper import Forbidden, Head, Outcome, Refusal, Shipper
from app.problems import RETRY_AFTER_S, ProblemError
from detectors.errors import DecodeError, StorageError
from detectors.event import Batch
from detectors.timestamps import parse_time
from detectors.windows import MARK_TTL_MS

if TYPE_CHECKING:
    from app.world import AppWorld

BODY_TIMEOUT_S = 60
"""For the whole body to arrive: the client timeout of Vector, Fluent Bit and Fluentd."""
ANSWER_S = 1.0
"""From the last byte of a body until its sender is told something: nobody waits for 2 s, however busy the process is.
The shortest client timeout is 10 s (OpenTelemetry SDKs)."""
LAST_S = 1.9
"""The same for a body that is being counted when its time is up. Redis begins with it within COUNT_WITHIN_MS of its
turn or not at all (detectors/windows.py), so a moment later it is known what became of it: a single record that was
put off and counted all the same would count twice."""
COUNTED_AT_ONCE = 8
"""Requests in the engine at a time, first come, first served. More make nothing faster, and each holds a connection."""
REMEMBERED = 256
REMEMBERED_BYTES = 64 * 1024 * 1024
"""Answers that came too late for their request, kept for its retry: so many, and of so many bytes together."""
RETRY_HEADERS = {"Retry-After": str(RETRY_AFTER_S)}
"""For an answer that says "try again"."""

_INGEST = (Role.INGEST,)
_BUSY = "More is under way than this process can take on; nothing was counted; send it again."
_AWAY = "Storage does not answer; nothing was counted; send it again."
_LATE = "The body is still being counted; send it again to hear what came of it. It is not counted twice."

log = structlog.get_logger(__name__)


async def take(request: Request, shipper: Shipper) -> Response:
    """The answer to one request of this protocol, whatever is wrong with it."""

    async def work(intake: "Intake", head: Head, caller: Caller) -> Response:
        return await intake.take(request, shipper, head, caller)

    return await answer(request, shipper, work)


async def answer(
    request: Request, shipper: Shipper, work: Callable[["Intake", Head, Caller], Awaitable[Response]]
) -> Response:
    """What this work on a known caller's request comes to; a refusal in the words of the protocol."""
    intake = intake_of(request)
    head = Head.of(request, intake.world.now())
    caller = None
    try:
        caller = identify(request)
        return await work(intake, head, caller)
    except Refused as refused:
        if refused.reason is not None:
            intake.world.metrics.events_rejected.labels(refused.reason).inc()
        if caller is not None:
            is_ours = refused.refusal is Refusal.TRY_AGAIN
            sent = b"" if is_ours or not refused.sent else beginning_of(refused.sent, head)
            intake.world.sources.note_refused(
                caller.token_id, shipper.name, refused.detail, head.received_ms, is_ours=is_ours, sent=sent
            )
        return shipper.refuse(refused.refusal, refused.detail, head)
    except ClientDisconnect:
        return Response(status_code=400)


def identify(request: Request) -> Caller:
    """The sender. Raises: Refused."""
    try:
        return authenticate(request, _INGEST)
    except ProblemError as error:
        if error.status_code == 403:
            refusal = Refusal.WRONG_ROLE
        elif offered_by(request):
            refusal = Refusal.UNKNOWN_CALLER
        else:
            refusal = Refusal.ANONYMOUS
        raise Refused(refusal, str(error.detail)) from error


def intake_of(request: Request) -> "Intake":
    """This process's intake, made at its first request."""
    state = request.app.state
    if not hasattr(state, "intake"):
        state.intake = Intake(state.world)
    intake: Intake = state.intake
    return intake


class Work(NamedTuple):
    """One body to be worked on."""

    caller: Caller
    shipper: Shipper
    head: Head
    data: bytes


class Intake:
    """Takes bodies for one process."""

    def __init__(self, world: "AppWorld", gate: Gate | None = None) -> None:
        self.world = world
        self.gate = gate or Gate()
        self._turns = asyncio.Semaphore(COUNTED_AT_ONCE)
        self._one_large = asyncio.Lock()
        """Two large bodies decoded at a time would both be late; one after the other, the first is not."""
        self._under_way: dict[str, asyncio.Task[Response]] = {}
        """Large bodies by their digest."""
        self._late: OrderedDict[str, tuple[int, Response]] = OrderedDict()
        """What large bodies came to whose requests had been told to try again, by their digest, and until when (epoch
        ms) the same body is a retry."""
        self._tasks: set[asyncio.Task[Response]] = set()

    async def take(self, request: Request, shipper: Shipper, head: Head, caller: Caller) -> Response:
        """Read, decode and count one body. Raises: Refused, ClientDisconnect."""
        slot = Slot(self.gate)
        begun = time.perf_counter()
        is_handed_over, data = False, b""
        try:
            with self.refusals():
                shipper.check(head)
                data = await _arrival(request, slot)
                work = Work(caller, shipper, head, data)
                slot.queue(len(work.data), is_small=len(work.data) <= INLINE_BYTES * shipper.wordiness)
                unpacked = unpack_quickly(shipper, caller.token_id, work.data, head)
                if unpacked is not None:
                    slot.take(len(unpacked.body))
                    async with asyncio.timeout(LAST_S):
                        decoded = shipper.read(unpacked.body, head)
                        return await self._answer(work, unpacked, decoded, patience_s=ANSWER_S)
                slot.queue(len(work.data), is_small=False)
            is_handed_over = True
            return await self._in_time(work, slot)
        except Refused as refused:
            refused.sent = refused.sent or data
            raise
        finally:
            if not is_handed_over:
                slot.release()
            self.world.metrics.ingest_duration.observe(time.perf_counter() - begun)

    async def _in_time(self, work: Work, slot: Slot) -> Response:
        """What a large body comes to. Raises: Refused, also where that takes too long; it then goes on by itself."""
        task = asyncio.create_task(self._work_on(work, slot))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        done, _ = await asyncio.wait({task}, timeout=ANSWER_S)
        if done:
            return task.result()
        task.add_done_callback(_look_at)
        log.info("answered_before_counted", kind=work.shipper.name, size_bytes=len(work.data))
        raise Refused(Refusal.TRY_AGAIN, _LATE)

    async def _work_on(self, work: Work, slot: Slot) -> Response:
        """Decompress, decode and count a large body, or wait for the same one that is under way."""
        shipper, head, begun = work.shipper, work.head, time.perf_counter()
        try:
            with self.refusals():
                async with self._one_large:
                    unpacked = await asyncio.to_thread(unpack, shipper, work.caller.token_id, work.data, head)
                slot.take(len(unpacked.body))
                slot.queue(len(unpacked.body), is_small=False)
                until, known = self._late.get(unpacked.digest, (0, None))
                if known is not None and self.world.now() < until:
                    return known
                same = self._under_way.get(unpacked.digest)
                if same is not None:
                    return await asyncio.shield(same)
                with self._known_as(unpacked.digest):
                    async with self._one_large:
                        reading = time.perf_counter()
                        decoded = await asyncio.to_thread(shipper.read, unpacked.body, head)
                    answer = await self._answer(work, unpacked, decoded)
                self.gate.learn(len(unpacked.body), time.perf_counter() - reading)
            if time.perf_counter() - begun > ANSWER_S:
                self._remember(unpacked.digest, answer)
            return answer
        finally:
            slot.release()

    @contextmanager
    def _known_as(self, digest: str) -> Iterator[None]:
        """Lets a retry of this body find this task while it is under way."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - called by a task
        self._under_way[digest] = task
        try:
            yield
        finally:
            del self._under_way[digest]

    def _remember(self, digest: str, answer: Response) -> None:
        self._late[digest] = (self.world.now() + MARK_TTL_MS, answer)
        while len(self._late) > 1 and sum(len(a.body) for _, a in self._late.values()) > REMEMBERED_BYTES:
            self._late.popitem(last=False)
        while len(self._late) > REMEMBERED:
            self._late.popitem(last=False)

    async def _answer(
        self, work: Work, unpacked: Unpacked, decoded: Decoded, patience_s: float | None = None
    ) -> Response:
        """Count what was decoded, and say so in the words of its protocol. Raises: as `count`."""
        metrics, shipper = self.world.metrics, work.shipper
        decoded = await shipper.sift(decoded, work.caller.token_id, unpacked.digest, work.head)
        rejected, is_duplicate = decoded.rejected, False
        if rejected:
            metrics.events_rejected.labels("undecodable").inc(len(rejected))
        if decoded.events:
            is_alone = len(decoded.events) + len(rejected) == 1
            can_be_told = decoded.is_named or shipper.repeats_are_retries or shipper.key(work.head)
            is_single = is_alone and not can_be_told
            is_duplicate = await self.count(
                work.caller,
                shipper.name,
                decoded,
                work.head.received_ms,
                None if is_single else unpacked.digest,
                patience_s,
            )
        self.world.sources.note(
            *(work.caller.token_id, shipper.name, decoded, work.head.received_ms),
            duplicate=is_duplicate,
            format_name=shipper.line_format(work.head),
        )
        outcome = Outcome.of(decoded, duplicate=is_duplicate)
        if rejected and not decoded.events:
            return shipper.nothing_readable(outcome, work.head)
        return shipper.success(outcome, work.head)

    async def count(
        self,
        caller: Caller,
        kind: str,
        decoded: Decoded,
        received_ms: int,
        mark: str | None,
        patience_s: float | None = None,
    ) -> bool:
        """Count events; whether they had been counted before.

        Raises: StorageError; Overloaded where their turn does not come within `patience_s` (None: however long).

        `mark`: identifies them over retries. None for a single record without a name of its own: ten identical
        one-line bodies can be ten real failures.
        """
        metrics, events = self.world.metrics, decoded.events
        last = parse_time(events[-1].timestamp)
        batch = Batch(events, decoded.records, received_ms, caller.token_id, mark, decoded.read_as)
        try:
            await self._turn(patience_s)
            try:
                processed = await self.world.engine.process(batch)
            finally:
                self._turns.release()
        except StorageError:
            metrics.events_rejected.labels("storage").inc(len(events))
            raise
        metrics.batches.labels("duplicate" if processed.duplicate else "applied").inc()
        if not processed.duplicate:
            metrics.events_ingested.labels(kind).inc(len(events))
            if last is not None:
                metrics.ingest_lag.set((received_ms - last) / 1000)
        return processed.duplicate

    async def _turn(self, patience_s: float | None) -> None:
        """Waits for it. Raises: Overloaded."""
        try:
            async with asyncio.timeout(patience_s):
                await self._turns.acquire()
        except TimeoutError as error:
            raise Overloaded from error

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Whatever keeps a body from being counted, as the reason for which it is refused."""
        try:
            yield
        except BodyTooLarge as error:
            raise Refused(Refusal.TOO_LARGE, str(error), sent=error.came) from error
        except Forbidden as error:
            raise Refused(Refusal.FORBIDDEN, str(error)) from error
        except DecodeError as error:
            raise Refused(Refusal.UNDECODABLE, str(error)) from error
        except Overloaded as error:
            raise Refused(Refusal.TRY_AGAIN, _BUSY) from error
        except (StorageError, TimeoutError) as error:
            self.world.metrics.storage_errors.labels("ingest").inc()
            reason = None if isinstance(error, StorageError) else "storage"
            raise Refused(Refusal.TRY_AGAIN, _AWAY, reason) from error


async def _arrival(request: Request, slot: Slot) -> bytes:
    """The body. Raises: BodyTooLarge, Overloaded (also for one that does not arrive in time)."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await read_body(request, WIRE_LIMIT_BYTES, slot.take)
    except TimeoutError as error:
        raise Overloaded from error


def _look_at(task: asyncio.Task[Response]) -> None:
    """The request is gone, so nobody else would ever look at the error."""
    if not task.cancelled() and task.exception() is not None:
        log.warning("late_body_not_counted", error=str(task.exception()))
