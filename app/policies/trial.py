"""`bartizan policy try`: what a changed policy would have done with the events of the last hours.

Reads the journal beside the running service and counts it under both policies at once, each in a database of its own
of a Redis server that is gone afterwards. Reading begins the longest window earlier, so that the windows are filled
when the time asked for begins; only findings from then on are compared.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
from redis.asyncio import Redis
from rich.console import Console

from actions.blocks.networks import NeverBlock
from app.durations import format_duration
from app.journal.journal import journal_folder
from app.journal.reader import Coverage, JournalReader, Masks
from app.policies.policy import Policy
from app.policies.store import PolicyStore
from app.replay import (
    crossings,
    in_order,
    offline_engine,
    offline_redis,
    policy_of,
    print_all,
    progress_of,
    slim,
)
from app.replay_changes import compare, difference_table, rule_table
from app.settings import Settings, fingerprint_key
from app.world import never_block
from detectors.engine import Engine
from detectors.errors import ConfigError
from detectors.event import Batch
from detectors.geo import Geo
from detectors.redact import Secret
from detectors.security_breach import WINDOW_MS as LONGEST_SEQUENCE_MS
from detectors.timestamps import event_time_ms, to_rfc3339, wall_clock_ms
from detectors.windows import Crossed

TOGETHER_EVENTS = 1_000
TOGETHER_MS = 1_000
"""Small batches received within this time are counted as one, which is much faster and finds the same."""
GAPS_SHOWN = 5


class Covered(msgspec.Struct, tag_field="type", tag="coverage"):
    """What the comparison rests on, as `--json` prints it."""

    since: str
    until: str
    events: int
    covered: float
    """Of the time asked for, 0 to 1."""
    warm_up: float
    """Of the longest window before it."""
    gaps: list[tuple[str, str]]
    dropped_batches: int
    dropped_events: int
    damaged: int


def run(
    new: Path,
    *,
    since_ms: int,
    against: Path | None,
    as_json: bool,
    settings: Settings,
    now: Callable[[], int] = wall_clock_ms,
) -> None:
    """The command. Raises: ConfigError where a policy is wrong or there is nothing to count."""
    changed = policy_of(new)
    if against is not None:
        current = policy_of(against)
    else:
        current = PolicyStore(settings.policy, is_required=settings.policy_is_named).current
    policies, errors = (current, changed), Console(stderr=True, highlight=False, markup=False)
    until = now()
    since = until - since_ms
    reader = JournalReader(
        journal_folder(settings), begin_ms=since - longest_window_ms(policies), since_ms=since, until_ms=until
    )
    _refuse_nothing(reader, settings)
    with progress_of(reader.size_bytes, errors) as on_read:
        reader.on_read = on_read
        found = asyncio.run(_count(reader, policies, settings))
    covered = covered_of(reader)
    if not reader.coverage.events and not reader.coverage.covered_ms():
        raise ConfigError(f"the journal holds nothing since {to_rfc3339(since)}")
    old, late = ([one for one in side if one.at >= since] for side in found)

    def never(policy: Policy) -> NeverBlock:
        return never_block(policy, settings)

    compared = compare((current, old), (changed, late), never)
    rows = [*compared.rows, covered]
    print_all(rows, as_json, difference_table(compared, current, changed), rule_table(compared))
    for line in in_words(covered, reader, longest_window_ms(policies)):
        errors.print(line)


def longest_window_ms(policies: Iterable[Policy]) -> int:
    """How long before a moment the events may lie that count at it."""
    return max([LONGEST_SEQUENCE_MS, *(rule.window_ms for policy in policies for rule in policy.rules)])


def _refuse_nothing(reader: JournalReader, settings: Settings) -> None:
    if not reader.is_empty:
        return
    folder = journal_folder(settings)
    if settings.journal_hours == 0:
        raise ConfigError(f"the journal is off (BARTIZAN_JOURNAL_HOURS=0), and {folder} holds none")
    raise ConfigError(
        f"there is no journal in {folder}: is BARTIZAN_DATA_DIR that of the service, and does it run with a "
        "journal (BARTIZAN_JOURNAL_HOURS)?"
    )


async def _count(
    reader: JournalReader, policies: Iterable[Policy], settings: Settings
) -> list[list[Crossed]]:
    """The findings under each policy, in order."""
    chosen = list(policies)
    found: list[list[Crossed]] = [[] for _ in chosen]
    masks: dict[str, Secret] = {}
    async with offline_redis(len(chosen)) as databases:
        engines = _engines(chosen, databases, settings, masks)
        for batch, stand_for in together(reader.batches()):
            masks.clear()
            masks.update(stand_for)
            for engine, crossed in zip(engines, found, strict=True):
                crossed += map(slim, crossings((await engine.process(batch)).crossed))
    for crossed in found:
        crossed.sort(key=in_order)
    return found


def _engines(
    policies: list[Policy], databases: list[Redis], settings: Settings, masks: Masks
) -> list[Engine]:
    key, geo = fingerprint_key(settings), Geo(settings.geoip_city_db, settings.geoip_asn_db)
    proxies = settings.trusted_proxies
    return [
        offline_engine(policy, redis, trusted_proxies=proxies, fingerprint_key=key, masks=masks, geo=geo)
        for policy, redis in zip(policies, databases, strict=True)
    ]


def together(batches: Iterable[tuple[Batch, Masks]]) -> Iterator[tuple[Batch, Masks]]:
    """The same events, small batches joined: each event's time stays what it was when its batch was received."""
    held: Batch | None = None
    masks: Masks = {}
    for batch, stand_for in batches:
        _settle_times(batch)
        fits = (
            held is not None
            and len(held.events) + len(batch.events) <= TOGETHER_EVENTS
            and 0 <= batch.received_ms - held.received_ms <= TOGETHER_MS
        )
        if held is not None and not fits:
            yield held, masks
        if held is None or not fits:
            held, masks = msgspec.structs.replace(batch, events=list(batch.events)), dict(stand_for)
        else:
            held.events += batch.events
            held.records += batch.records
            masks |= stand_for
    if held is not None:
        yield held, masks


def _settle_times(batch: Batch) -> None:
    """An event that has no usable time of its own was counted at the time of receipt."""
    for event in batch.events:
        at, flag = event_time_ms(event.timestamp, batch.received_ms)
        if flag is not None:
            event.timestamp = at


def covered_of(reader: JournalReader) -> Covered:
    """What a journal that has been read says of itself."""
    coverage, warm_up = reader.coverage, reader.warm_up
    return Covered(
        since=to_rfc3339(coverage.since_ms),
        until=to_rfc3339(coverage.until_ms),
        events=coverage.events,
        covered=_share(coverage),
        warm_up=_share(warm_up),
        gaps=[(to_rfc3339(a), to_rfc3339(b)) for a, b in coverage.gaps()],
        dropped_batches=sum(one.batches for one in coverage.lost),
        dropped_events=sum(one.events for one in coverage.lost),
        damaged=coverage.damaged,
    )


def _share(coverage: Coverage) -> float:
    asked = coverage.until_ms - coverage.since_ms
    return round(coverage.covered_ms() / asked, 4) if asked > 0 else 1.0


def in_words(covered: Covered, reader: JournalReader, warm_up_ms: int) -> Iterator[str]:
    """The coverage for people, a line each."""
    asked = _words(reader.coverage.until_ms - reader.coverage.since_ms)
    yield f"{covered.events} events; the journal covers {covered.covered:.1%} of the last {asked}"
    for begun, ended in covered.gaps[:GAPS_SHOWN]:
        yield f"  not covered: {begun} to {ended}"
    if len(covered.gaps) > GAPS_SHOWN:
        yield f"  and {len(covered.gaps) - GAPS_SHOWN} more gaps; --json prints all"
    if covered.warm_up < 1:
        yield (
            f"  before that, {covered.warm_up:.1%} of the longest window ({format_duration(warm_up_ms)}) is "
            "covered: rules with long windows may find less than they would"
        )
    if covered.dropped_events:
        yield f"  {covered.dropped_events} events in {covered.dropped_batches} batches were dropped, not journaled"
    if covered.damaged:
        yield f"  {covered.damaged} segments or batches are damaged; what stood in them is missing"


def _words(span_ms: int) -> str:
    return format_duration(span_ms - span_ms % 1000)
