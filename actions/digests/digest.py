"""Sums a period up from what is stored: incidents, blocks, audit trail, deliveries.

Of each it reads at most 5,000, in pages, so that neither Redis nor the event loop is held up; where that was not
everything, the digest says so.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from actions.audit import AuditEntry
from actions.blocks.block import Block, BlockFilter
from actions.delivery.outbox import Notification
from actions.digests import tallies
from actions.digests.periods import Period, Rhythm, day_of, day_text
from actions.digests.report import LISTED, NAMED, Ahead, Digest
from actions.incidents.incident import Incident
from actions.incidents.response_plan import ResponsePlan
from actions.incidents.response_times import statistics_of
from actions.incidents.status import IncidentStatus
from actions.storage import DAY_MS, cursor_of
from actions.world import World
from detectors.finding import Severity

MOST_READ = 5_000
PAGE = 250
CLOCKS_MS = 5 * 60_000
"""Streams are in the order of Redis's clock, their times are ours: so far apart both may be."""
FAILED = "failed"
ENDED = frozenset({IncidentStatus.RESOLVED, IncidentStatus.CLOSED, IncidentStatus.DISMISSED})
GATHERED_IN = {Severity.MEDIUM: Rhythm.DAILY, Severity.LOW: Rhythm.WEEKLY}
"""Source: the operator's document, Email Alerts: warnings in a daily summary, infos in a weekly report."""

IsFor = Callable[[Incident, Rhythm], bool]
"""Whether people are told of this incident by this digest instead of at once."""
Maintenance = Callable[[int, int], Awaitable[Sequence[Ahead]]]
"""Maintenance that begins between two times, epoch ms."""


def is_gathered(incident: Incident, rhythm: Rhythm) -> bool:
    """Where the policy says nothing else: warnings come by day, infos by week, all else at once."""
    return not incident.immediate and GATHERED_IN.get(incident.severity) is rhythm


async def nothing_ahead(_since: int, _until: int) -> Sequence[Ahead]:
    """No maintenance."""
    return ()


async def digest_of(
    world: World,
    period: Period,
    *,
    missed: tuple[Period, ...] = (),
    is_for: IsFor = is_gathered,
    maintenance: Maintenance = nothing_ahead,
) -> Digest:
    """What happened in this period. What is "still" so in it, is so now.

    `missed`: periods before it that got no digest. Raises: StorageError.
    """
    now, cuts = world.now(), list[str]()
    known = await _incidents(world, period, cuts)
    blocks = await _blocks(world, period, cuts)
    entries = await _entries(world, period, cuts)
    failed = await _failed(world, period, cuts)
    digest = _of_incidents(known, period, now, is_for, world.incidents.plan)
    await _others_turn()
    digest = replace(
        digest,
        people=tallies.people(entries),
        failures=tallies.failures(failed),
        ahead=tuple(await maintenance(now, now + (period.rhythm.days + 1) * DAY_MS))[:NAMED],
        missed=missed,
        cuts=tuple(cuts),
    )
    await _others_turn()
    digest = replace(digest, blocks=tallies.block_tally(blocks, entries))
    await _others_turn()
    active = [i for i in known if i.triggered_at >= period.from_ms or i.last_seen >= period.from_ms]
    digest = replace(digest, attackers=tallies.attackers(active, blocks))
    await _others_turn()
    return replace(digest, accounts=tallies.accounts(active))


async def _others_turn() -> None:
    """Lets others on the event loop go on: thousands of anything take milliseconds to count."""
    await asyncio.sleep(0)


def _of_incidents(
    known: Sequence[Incident], period: Period, now: int, is_for: IsFor, plan: ResponsePlan
) -> Digest:
    """The part of a digest that is about incidents."""
    begun = [i for i in known if i.triggered_at >= period.from_ms]
    opened = [i for i in begun if i.merged_into is None]
    gathered = [i for i in opened if is_for(i, period.rhythm)]
    names = {i.id for i in gathered}
    open_now = [i for i in known if i.is_open]
    waiting = [i for i in open_now if i.triggered_at < period.from_ms]
    resolved = [i for i in known if _has_ended(i, period)]
    ended = [i for i in resolved if i.triggered_at < period.from_ms]
    late = tallies.overdue(known, now)
    return Digest(
        period=period,
        made_at=now,
        opened=tallies.tally(opened),
        resolved=tallies.tally(resolved),
        still_open=tallies.tally(open_now),
        merged=len(begun) - len(opened),
        reopened=sum(i.reopened > 0 for i in opened),
        listed=tallies.lines((i for i in opened if i.id not in names), LISTED),
        gathered=tallies.lines(gathered, LISTED),
        gathered_total=len(gathered),
        waiting=tallies.lines(waiting, NAMED),
        waiting_total=len(waiting),
        ended=tallies.lines(ended, NAMED),
        ended_total=len(ended),
        overdue=tuple(late[:NAMED]),
        overdue_total=len(late),
        response=statistics_of(known, plan, period.from_ms, min(period.to_ms, now + 1)),
    )


def _has_ended(incident: Incident, period: Period) -> bool:
    at = incident.resolved_at
    return incident.status in ENDED and at is not None and period.from_ms <= at < period.to_ms


def _start(period: Period) -> str:
    """The cursor behind which an index shows what was made before the period's end."""
    return cursor_of(f"{period.to_ms:013d}:0")


def _cut(what: str, at: int, period: Period) -> str:
    oldest = day_text(day_of(at, period.timezone))
    return f"{what}: the newest {MOST_READ:,} were read, back to {oldest}; older ones are not counted"


async def _incidents(world: World, period: Period, cuts: list[str]) -> list[Incident]:
    """Those opened before the period's end, newest first, without their evidence: it is most of them."""
    found: list[Incident] = []
    cursor: str | None = _start(period)
    while cursor is not None:
        page, cursor = await world.incidents.page(cursor=cursor, limit=PAGE)
        found += (replace(incident, evidence=()) for incident in page)
        if len(found) >= MOST_READ and cursor is not None:
            cuts.append(_cut("Incidents", found[-1].triggered_at, period))
            break
    return found


async def _blocks(world: World, period: Period, cuts: list[str]) -> list[Block]:
    """Those made in the period, newest first."""
    found: list[Block] = []
    cursor: str | None = _start(period)
    wanted = BlockFilter(since=period.from_ms)
    while cursor is not None:
        page, cursor = await world.blocklist.page(wanted, cursor=cursor, limit=PAGE)
        found += page
        if len(found) >= MOST_READ and cursor is not None:
            cuts.append(_cut("Blocks", found[-1].created_at, period))
            break
    return found


async def _entries(world: World, period: Period, cuts: list[str]) -> list[AuditEntry]:
    """What people did in the period, newest first."""
    found: list[AuditEntry] = []
    cursor, read = None, 0
    while True:
        page, cursor = await world.audit.page(cursor=cursor, limit=PAGE)
        found += (entry for entry in page if period.from_ms <= entry.at < period.to_ms)
        read += len(page)
        if cursor is None or (page and page[-1].at < period.from_ms - CLOCKS_MS):
            return found
        if read >= MOST_READ:
            cuts.append(_cut("The audit trail", page[-1].at, period))
            return found


async def _failed(world: World, period: Period, cuts: list[str]) -> list[Notification]:
    """The deliveries that failed in the period, newest first."""
    found: list[Notification] = []
    cursor, read = None, 0
    while True:
        page, cursor = await world.outbox.notifications(cursor=cursor, limit=PAGE)
        found += (n for n in page if n.status == FAILED and period.from_ms <= n.at < period.to_ms)
        read += len(page)
        if cursor is None or (page and page[-1].at < period.from_ms - CLOCKS_MS):
            return found
        if read >= MOST_READ:
            cuts.append(_cut("Deliveries", page[-1].at, period))
            return found
