"""From letters to channels: each channel by itself, so that a slow or dead one delays no other.

A letter is taken under a lease, held against what is true now (told.py), sent, and ended in one atomic step. What
fails for now waits longer each time; what can never arrive becomes a dead letter at once. At least once: docs/
delivery.md says when a letter can arrive twice.
"""

import asyncio
import random
from collections.abc import Callable, Mapping

import msgspec
import structlog

from actions.counters import Counters, NoCounters
from actions.delivery.letter_state import Reading, read_state
from actions.delivery.letters import Letters, Taken
from actions.delivery.message import Channel, Letter, Message, MessageKind
from actions.delivery.routing import LOG, Routes, Timing
from actions.storage import Client
from detectors.errors import DeliveryError, StorageError
from detectors.finding import Priority, Severity

TIMEOUT_S = 30.0
"""For one send. A channel has shorter timeouts of its own; this is for one that has none."""
LEASE_MS = 90_000
"""How long a letter is its taker's: longer than any send, the timeout and the settling after it."""
FIRST_BACKOFF_MS, LONGEST_BACKOFF_MS = 1_000, 300_000
LONGEST_HOLD_MS = 3_600_000
"""However long a receiver wants to be left alone."""
GIVE_UP_MS = 86_400_000
"""A letter that has failed for so long is dead. Source: PagerDuty and Slack both ask for patience; nobody acts upon
an alert of yesterday."""
RETIRE_AFTER_MS = 300_000
"""So long after its process first missed a channel, its letters are dead. Processes read a new policy within seconds
of each other, and one that is replaced by a newer one within minutes."""
LANES = 4
"""Letters of one channel that a process sends at a time."""
IDLE_MS = 500
LONGEST_ERROR = 500

log = structlog.get_logger("bartizan.sending")


def backoff_ms(attempts: int, jitter: float) -> int:
    """How long a letter waits after so many attempts: about 1 s, 2 s, 4 s ... 5 min. `jitter`: 0 to 1."""
    base = FIRST_BACKOFF_MS * 2 ** min(max(attempts, 1) - 1, 20)
    return int(min(LONGEST_BACKOFF_MS, max(FIRST_BACKOFF_MS, base * (0.75 + jitter / 2))))


class Sender:
    """Sends letters. Any number of processes may."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        letters: Letters,
        *,
        channels: Mapping[str, Channel],
        routes: Routes,
        timing: Timing,
        counters: Counters | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`channels`, `routes` and `timing` are to be set when the policy changes."""
        self._redis = redis
        self._now = now
        self._letters = letters
        self._counters = counters or NoCounters()
        self._jitter = jitter
        self._wakes: dict[str, asyncio.Event] = {}
        self._gone_since: dict[str, int] = {}
        self.channels = channels
        self.routes = routes
        self.timing = timing
        self.lease_ms = LEASE_MS
        self.timeout_s = TIMEOUT_S

    async def run(self, stop: asyncio.Event) -> None:
        """Sends until `stop` is set; what is being sent then is finished. Outlives every outage of Redis."""
        async with asyncio.TaskGroup() as tasks:
            workers: dict[str, asyncio.Task[None]] = {}
            while not stop.is_set():
                for name in list(self.channels):
                    if name not in workers or workers[name].done():
                        workers[name] = tasks.create_task(self._work(name, stop), name=f"channel-{name}")
                await _rest(stop, IDLE_MS)
            self.wake()

    def wake(self) -> None:
        """There may be something to send: look now."""
        for event in self._wakes.values():
            event.set()

    async def step(self) -> int:
        """Sends everything that is due now, one after the other; says how many letters it had in hand.

        Raises: StorageError; what was taken is due again when its lease ends.
        """
        count = 0
        for name in list(self.channels):
            while isinstance(taken := await self._take(name), Taken):
                await self._carry(taken)
                count += 1
        return count

    async def retire(self) -> None:
        """Makes dead letters of what waits for channels that the policy has no more. Raises: StorageError.

        Only after RETIRE_AFTER_MS: a channel that is new may be known to another process before it is to this one.
        """
        now, gone = self._now(), await self._letters.channels() - set(self.channels)
        self._gone_since = {name: self._gone_since.get(name, now) for name in gone}
        for name in sorted(gone):
            if now - self._gone_since[name] < RETIRE_AFTER_MS:
                continue
            while isinstance(taken := await self._take(name), Taken):
                error = f"the policy has no channel {name} any more"
                reading = await read_state(self._redis, self._letters, taken, is_log=name == LOG)
                await self._end(taken, reading, "dead", error=error)

    async def _work(self, name: str, stop: asyncio.Event) -> None:
        """Sends one channel's letters until stopped, or until the policy has no such channel any more."""
        wake = self._wakes.setdefault(name, asyncio.Event())
        sending: set[asyncio.Task[None]] = set()
        try:
            while not stop.is_set() and name in self.channels:
                wake.clear()
                for done in [task for task in sending if task.done()]:
                    sending.discard(done)
                    done.result()
                rest_ms = await self._start_one(name, sending, wake) if len(sending) < LANES else IDLE_MS
                if rest_ms:
                    await _rest(wake, rest_ms)
            if sending:
                await asyncio.wait(sending)
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    async def _start_one(self, name: str, sending: set[asyncio.Task[None]], wake: asyncio.Event) -> int:
        """Begins to send the letter that is due first; else answers for how many ms to rest."""
        try:
            found = await self._take(name)
        except StorageError as error:
            self._warn(error)
            return IDLE_MS
        if not isinstance(found, Taken):
            wait_ms = IDLE_MS if found is None else found - self._now()
            return min(IDLE_MS, max(10, wait_ms))
        task = asyncio.create_task(self._carry_on(found), name=f"letter-{found.id}")
        task.add_done_callback(lambda _: wake.set())
        sending.add(task)
        return 0

    async def _carry_on(self, taken: Taken) -> None:
        try:
            await self._carry(taken)
        except StorageError as error:
            self._warn(error)

    def _warn(self, error: StorageError) -> None:
        self._counters.count("storage_errors", where="sending")
        log.warning("letters wait", error=str(error))

    async def _take(self, name: str) -> Taken | int | None:
        return await self._letters.take(
            name,
            self._now(),
            lease_ms=self.lease_ms,
            rate=channel.rate if (channel := self.channels.get(name)) else None,
            group_interval_ms=self.timing.group_interval_ms,
        )

    async def _carry(self, taken: Taken) -> None:
        """Sends one letter, if it is still true, and ends it or puts it off. Raises: StorageError."""
        channel = self.channels.get(taken.channel)
        reading = await read_state(self._redis, self._letters, taken, is_log=taken.channel == LOG)
        if reading.untold:
            if await self._letters.has_earlier(taken, reading.untold):
                due = self._now() + FIRST_BACKOFF_MS
                await self._letters.retry(taken, self._now(), due=due, held_until=0, error="", notice=b"")
                return
            # nothing can come before it any more, but something may have since it was read
            reading = await read_state(self._redis, self._letters, taken, is_log=taken.channel == LOG)
        if channel is None or not reading.current:
            if not reading.current:
                await self._end(taken, reading, "superseded")
            return
        answer = await self._attempt(channel, reading.letter(taken))
        if isinstance(answer, str):
            await self._end(taken, reading, "delivered", ref=answer)
            return
        error = _words_of(answer)
        if isinstance(answer, DeliveryError) and answer.permanent:
            await self._bury(taken, reading, error)
        elif self._now() - taken.letter.since >= GIVE_UP_MS:
            await self._bury(taken, reading, f"given up after a day: {error}")
        else:
            after_ms = answer.retry_after_ms if isinstance(answer, DeliveryError) else None
            await self._put_off(taken, error, after_ms)

    async def _attempt(self, channel: Channel, letter: Letter) -> str | BaseException:
        """The receiver's reference, or what went wrong: whatever a channel raises must not end its worker."""
        sending = asyncio.ensure_future(channel.send(letter))
        try:
            done, _ = await asyncio.wait({sending}, timeout=self.timeout_s)
            if not done:
                return TimeoutError(f"no answer within {self.timeout_s:g} s")
        finally:
            if not sending.done():
                sending.cancel()
                await asyncio.wait({sending}, timeout=1)
        if sending.cancelled():
            return TimeoutError("the channel gave up")
        error = sending.exception()
        if error is None:
            return sending.result()
        if not isinstance(error, DeliveryError):
            log.error("channel failed", channel=letter.channel, letter=letter.id, exc_info=error)
        return error

    async def _put_off(self, taken: Taken, error: str, after_ms: int | None) -> None:
        now = self._now()
        if after_ms is None:
            due, held_until, result = now + backoff_ms(taken.attempts, self._jitter()), 0, "retried"
        else:
            due = held_until = now + min(LONGEST_HOLD_MS, max(1, after_ms))
            result = "held"
        notice = self._notice(taken.channel, error)
        ours, is_noticed = await self._letters.retry(
            taken, now, due=due, held_until=held_until, error=error, notice=notice.encode()
        )
        if ours:
            self._counters.count("messages", channel=taken.channel, result=result)
            log.warning("letter put off", channel=taken.channel, letter=taken.id, error=error)
        if is_noticed:
            log.error("channel unhealthy", channel=taken.channel, error=error)

    async def _bury(self, taken: Taken, reading: Reading, error: str) -> None:
        log.error("letter dead", channel=taken.channel, letter=taken.id, error=error)
        await self._end(taken, reading, "dead", error=error, notice=self._notice(taken.channel, error))

    async def _end(
        self, taken: Taken, reading: Reading, result: str, *, error: str = "", ref: str = "", notice: str = ""
    ) -> None:
        """Records what became of a letter, once. One that somebody else had ended meanwhile was sent twice."""
        now = self._now()
        is_real_time = taken.channel in self.routes.real_time()
        repeat_at = now + self.timing.repeat_interval_ms if is_real_time else 0
        ending = reading.ending(
            taken.channel, result, error=error, ref=ref, notice=notice, repeat_at=repeat_at
        )
        is_done, was_ill, _ = await self._letters.finish(taken, ending, now)
        if not is_done:
            self._counters.count("messages", channel=taken.channel, result="doubled")
            log.warning("letter ended by another", channel=taken.channel, letter=taken.id, result=result)
            return
        for note in ending.notes:
            self._counters.count("messages", channel=taken.channel, result=note.status)
        if was_ill:
            log.info("channel recovered", channel=taken.channel)

    def _notice(self, channel: str, error: str) -> str:
        """JSON of the message that tells the other channels; "" where there is none."""
        others = [name for name in self.routes.real_time() if name != channel and name in self.channels]
        others = others or [name for name in self.channels if name not in (channel, LOG)]
        if not others:
            return ""
        message = Message(
            kind=MessageKind.NOTICE,
            incident_id="",
            rule="",
            subject=channel,
            severity=Severity.HIGH,
            priority=Priority.P1,
            title=f"channel {channel} does not deliver",
            text=f"{error}\nWhat to do first: bartizan notify dead list, then mend the channel and retry.",
            at=self._now(),
            channels=tuple(others),
        )
        return msgspec.json.encode(message).decode()


def _words_of(error: BaseException) -> str:
    """What went wrong, for people. Of errors that are none of ours only the name: their text may hold anything."""
    if isinstance(error, DeliveryError | TimeoutError):
        return (str(error) or "failed")[:LONGEST_ERROR]
    return f"failed with {type(error).__name__}"


async def _rest(event: asyncio.Event, ms: int) -> None:
    """Waits so long, or until the event is set."""
    try:
        async with asyncio.timeout(ms / 1000):
            await event.wait()
    except TimeoutError:
        return
