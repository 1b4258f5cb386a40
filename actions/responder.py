"""From a finding to its effects: reads the findings streams and runs the actions that each finding names.

A finding is taken off its stream only when all its actions are done, so a crash in between means that it is
taken again. Every action is idempotent, so that twice is once. Those about somebody who was dealt with within the
last second are held and merged (held.py), so that a flood about known ones does not delay the first about another.
Those that block, or are immediate, are taken out of turn where many others wait (Intake.urgent); those about somebody
who claims to be a well-known bot wait for the DNS beside (beside.py), so that no name server makes others wait. One
that says that its subject has recovered runs no action: it resolves the incident (recovery.py).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from actions import alert_admin, block_ip, create_incident, investigate
from actions.blocks.verified_bots import Claim
from actions.chores import Chores, pause
from actions.held import Row, merged_of
from actions.incidents import recovery
from actions.incidents.incident import Incident
from actions.intake import Entries, Intake
from actions.world import World
from detectors.errors import StorageError
from detectors.finding import TELLING, Action, Finding, Mode

CLAIM_IDLE_MS = 5_000
"""A finding that its taker has left for so long is taken by another. Handling one takes milliseconds, holding it one
second."""
CLAIM_EVERY_MS = 1_000
"""How often to look for findings that others have left."""
MERGED_AT_ONCE = 8
"""Merged findings handled before the stream is read again: it may hold a first one about somebody new."""
BLOCK_MS = 1_000
LONGEST_PAUSE_S = 5.0

Run = Callable[[Finding, Incident, World], Awaitable[None]]

ACTIONS: dict[Action, Run] = {
    Action.BLOCK_IP: block_ip.run,
    Action.ALERT_ADMIN: alert_admin.run,
    Action.INVESTIGATE: investigate.run,
    Action.CREATE_INCIDENT: create_incident.run,
    Action.CREATE_INCIDENT_IMMEDIATE: create_incident.run_immediate,
}

log = structlog.get_logger("bartizan.responder")


class Responder:
    """Handles findings, and sees to the chores beside (chores.py). Any number of processes may help."""

    def __init__(
        self,
        world: World,
        *,
        shards: int = 1,
        consumer: str = "one",
        claim_idle_ms: int = CLAIM_IDLE_MS,
        actions: dict[Action, Run] | None = None,
    ) -> None:
        """`consumer`: this process's name, different from every other's running at the same time.

        A name that stays the same over restarts resumes its own findings at once; others wait for
        `claim_idle_ms`.
        """
        self._world = world
        self._intakes = [Intake(world, shard, consumer, claim_idle_ms) for shard in range(shards)]
        self._actions = ACTIONS if actions is None else actions
        self._turned_at: dict[int, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; outlives every outage of Redis.

        A finding being handled is finished first, and so are those held. Cancelling instead is safe as well: what
        was begun or held is taken again later.
        """
        jobs = {f"responder-{n}": self._follow(n, intake, stop) for n, intake in enumerate(self._intakes)}
        jobs |= Chores(self._world).jobs(stop)
        async with asyncio.TaskGroup() as tasks:
            for name, job in jobs.items():
                task = tasks.create_task(job, name=name)
                task.add_done_callback(lambda task: _stop_where_failed(task, stop))

    def quiet_ms(self, now: int) -> int | None:
        """For how long the shard that has been left the longest has not had its turn; None where one never had."""
        if len(self._turned_at) < len(self._intakes):
            return None
        return max(0, now - min(self._turned_at.values()))

    async def drain(self) -> int:
        """Handles every finding that waits or was left behind, and delivers the messages; says how many findings.

        Raises: StorageError.
        """
        handled = 0
        for intake in self._intakes:
            await self._prepare(intake)
            while resumed := await self._resume(intake):
                handled += resumed
            while taken := await self._take(intake, block_ms=0):
                handled += taken
                await self._handle_due(intake)
            await self._handle_held(intake)
            await intake.beside.finish()
        await self._world.deliver()
        return handled

    async def handle(self, finding: Finding, *others: Finding) -> None:
        """Carries one finding through: its incident first, then each action. Twice is once.

        Several of one subject that differ in nothing of the policy are carried through as one. An action that
        fails is counted, logged and put on the timeline, and the others go on.
        Raises: StorageError; then they must be handled again, in any company.
        """
        world, merged = self._world, merged_of(finding, *others)
        if finding.recovered:
            await self._recover(finding, *others)
            return
        world.counters.count("findings", 1 + len(others), rule=finding.rule, mode=finding.mode.value)
        if finding.mode == Mode.OBSERVE:
            for observed in (finding, *others):
                await world.observed.record(observed)
            return
        await world.neighbours.remember(merged)
        if await recovery.is_history(world, merged):
            return
        opened = await world.incidents.open_or_join(
            finding,
            *others,
            tell=not TELLING.isdisjoint(finding.actions),
            immediate=Action.CREATE_INCIDENT_IMMEDIATE in finding.actions,
        )
        merged = msgspec.structs.replace(merged, id=opened.finding_id)
        for action in finding.actions:
            await self._act(action, merged, opened.incident)
        await recovery.settle(world, merged)

    async def _recover(self, *findings: Finding) -> None:
        """Resolves what has recovered; in mode observe there is nothing to resolve."""
        for finding in findings:
            if finding.mode != Mode.OBSERVE:
                await recovery.resolve_recovered(self._world, finding)

    async def _act(self, action: Action, finding: Finding, incident: Incident) -> None:
        try:
            await self._actions[action](finding, incident, self._world)
        except StorageError:
            raise
        except Exception as error:
            self._world.counters.count("action_failures", action=action.value)
            log.exception("action failed", action=action.value, finding=finding.id, incident=incident.id)
            text = f"{action} failed: {type(error).__name__}"
            once = f"{finding.id} {action} failed"
            await self._world.timeline.note_once(incident.id, once, "action_failed", text)

    async def _follow(self, shard: int, intake: Intake, stop: asyncio.Event) -> None:
        """Takes one shard's findings until stopped; starts over, slower each time, while Redis is away."""
        pause_s, prepared = 0.1, False
        try:
            while not stop.is_set():
                try:
                    if not prepared:
                        await self._prepare(intake)
                        prepared = True
                    await self._turn(intake)
                    self._turned_at[shard] = self._world.now()
                    pause_s = 0.1
                except StorageError as error:
                    self._warn("findings wait", error, again_in_s=pause_s)
                    prepared = False
                    await pause(stop, pause_s)
                    pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            await self._handle_held(intake)
            await intake.beside.finish()
        except StorageError as error:
            self._warn("findings wait for the next start", error)
        finally:
            await intake.beside.cancel()

    async def _turn(self, intake: Intake) -> None:
        """What others have left, what is urgent, what is next, and what was held for long enough."""
        intake.beside.check()
        await self._resume_in_turn(intake)
        await self._handle_new(intake, await intake.urgent())
        await self._take(intake, block_ms=intake.held.wait_ms(self._world.now(), BLOCK_MS))
        await self._handle_due(intake)

    def _warn(self, what: str, error: StorageError, **fields: Any) -> None:
        self._world.counters.count("storage_errors", where="responder")
        log.warning(what, error=str(error), **fields)

    async def _prepare(self, intake: Intake) -> None:
        """Makes the group, and takes again what this very consumer had begun or held."""
        await intake.prepare()
        after = b"0"
        while entries := await intake.begun(after):
            after = entries[-1][0]
            await self._handle_left(intake, entries, taken_over=False)

    async def _resume_in_turn(self, intake: Intake) -> None:
        """Takes over what others have left: at the start, then once a second, and at once where there was much."""
        last = intake.claimed_at
        if last is None or not 0 <= self._world.now() - last < CLAIM_EVERY_MS:
            await self._resume(intake)

    async def _resume(self, intake: Intake) -> int:
        """Takes over what others have begun and left; says how many were handled."""
        entries = await intake.left_behind()
        await self._handle_left(intake, entries, taken_over=True)
        return len(entries)

    async def _handle_left(self, intake: Intake, entries: Entries, *, taken_over: bool) -> None:
        """Handles what somebody had begun, one by one: if one of them kills its taker, it is found out."""
        for entry_id, fields in entries:
            row = await intake.read(entry_id, fields)
            if row is None or (taken_over and await intake.is_given_up(row, fields)):
                continue
            await self._handle_rows(intake, [row])

    async def _take(self, intake: Intake, block_ms: int) -> int:
        """Takes new findings in turn, and handles them; says how many it took."""
        entries = await intake.new(block_ms)
        await self._handle_new(intake, entries)
        return len(entries)

    async def _handle_new(self, intake: Intake, entries: Entries) -> None:
        """Handles the first finding about each subject, the urgent ones before others, and holds the rest."""
        firsts: list[list[Row]] = []
        now = self._world.now()
        for entry_id, fields in entries:
            row = await intake.read(entry_id, fields)
            if row is None:
                continue
            if row.finding.recovered and (before := intake.held.take_before(row.finding)):
                firsts.append(before)
            if intake.held.must_wait(row.finding, now):
                intake.held.hold(row)
            else:
                intake.held.note_handled(row.finding, now)
                firsts.append([row])
        for rows in sorted(firsts, key=lambda rows: _turn_of(rows[0].finding)):
            await self._handle_rows(intake, rows)

    async def _handle_due(self, intake: Intake) -> None:
        """Handles some of the findings that were held for long enough, and more where too much is held."""
        while True:
            for rows in intake.held.take(self._world.now(), MERGED_AT_ONCE):
                await self._handle_rows(intake, rows)
            if not intake.held.is_full:
                return

    async def _handle_held(self, intake: Intake) -> None:
        """Handles everything that is held."""
        for rows in intake.held.take_all():
            await self._handle_rows(intake, rows)

    async def _handle_rows(self, intake: Intake, rows: list[Row]) -> None:
        """Handles findings as one, or has it done beside where a name server must be asked first."""
        claim = self._world.verified_bots.claim_of(merged_of(*(row.finding for row in rows)))
        if claim is not None and not intake.beside.is_full:
            intake.in_hand.update(row.entry_id for row in rows)
            intake.beside.start(self._carry_through(intake, rows, claim))
            return
        if claim is not None:
            await self._world.verified_bots.pass_over(claim)
        await self._carry_through(intake, rows)

    async def _carry_through(self, intake: Intake, rows: list[Row], claim: Claim | None = None) -> None:
        """Handles findings as one, where somebody claims to be a bot once the DNS was asked.

        What fails with an error of our own is counted, logged and left on the stream: it is taken again like what
        others have left, and set aside in the end. Raises: StorageError.
        """
        try:
            if claim is None:
                await self._finish(intake, rows)
                return
            await self._world.verified_bots.ask(claim)
            async with intake.beside.turn:
                await self._finish(intake, rows)
        except StorageError:
            raise
        except Exception:
            finding = rows[0].finding
            for action in finding.actions:
                self._world.counters.count("action_failures", action=action.value)
            log.exception("finding failed", rule=finding.rule, finding=finding.id, findings=len(rows))
            intake.in_hand.difference_update(row.entry_id for row in rows)

    async def _finish(self, intake: Intake, rows: list[Row]) -> None:
        """Handles findings as one, and takes them off the stream."""
        await self.handle(*(row.finding for row in rows))
        await intake.done(*(row.entry_id for row in rows))
        intake.held.note_handled(rows[0].finding, self._world.now())


def _turn_of(finding: Finding) -> int:
    """Of findings taken together, the lowest first: those that block, immediate ones, others, those that observe."""
    if finding.mode == Mode.OBSERVE:
        return 3
    if Action.BLOCK_IP in finding.actions:
        return 0
    return 1 if Action.CREATE_INCIDENT_IMMEDIATE in finding.actions else 2


def _stop_where_failed(task: asyncio.Task[None], stop: asyncio.Event) -> None:
    """One that fails ends the others as well. A cancellation alone does not: redis-py swallows one that comes while it
    connects, and the service would go on without its sender."""
    if not task.cancelled() and task.exception() is not None:
        stop.set()
