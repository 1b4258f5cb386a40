"""Who sends logs, what came of them, and whether it is as usual."""

from typing import Annotated

from fastapi import Query

from app.admin.access import Viewer, World, admin_router
from app.admin.models import DEFAULT_PAGE, Limit, Moment, Output, Page, problems
from app.sources.keys import days_before
from app.sources.store import HABIT_DAYS, Source, Sums, habit_of
from app.world import AppWorld
from detectors.defaults import DEFAULTS
from detectors.source_silent import SourceSilent

router = admin_router("/sources")


class SourceSums(Output):
    """What came in within some days. An event is counted under `accepted` once, however often it was sent."""

    accepted: int
    """Events counted."""
    rejected: int
    """Records that could not be decoded."""
    refused: int
    """Whole bodies that were not taken: damaged, too large, or because Bartizan could not."""
    duplicates: int
    """Events of bodies that had been counted before."""
    reingested: int
    """Rejected records that were counted later."""
    no_client_ip: int
    """Events without a client address."""
    no_status: int
    """Events with neither a status nor an outcome."""
    reasons: dict[str, int]
    """Why records were rejected or bodies refused; numbers in a reason stand as N."""


class SourceModel(Output):
    """One source: a token and a protocol."""

    id: str
    token_id: str
    token_name: str | None
    """Null: the token was revoked."""
    kind: str
    state: str
    """`ok`, `silent`, `unreadable`."""
    first_seen: Moment
    last_seen: Moment
    """The newest request, whatever came of it."""
    last_event: Moment | None
    """The last event of the newest batch that had one with a time, by the sender's clock."""
    skew_ms: int | None
    """How long after that event its batch came; below zero: the sender's clock is ahead."""
    ahead_ms: int
    """How far such an event lay in the future, at most, in the last 30 days."""
    useless: int
    """So many records in a row, up to now, could not be decoded or say neither who nor what."""
    longest_pause_ms: int
    """In the last seven days, but for silences."""
    silent_after_ms: int | None
    """For how long it may be quiet; null while it is too new to tell."""
    today: SourceSums
    week: SourceSums
    """Today and the six days before, in UTC."""


@router.get("", responses=problems())
async def list_sources(
    world: World,
    _: Viewer,
    cursor: Annotated[
        str | None, Query(max_length=256, description="`next_cursor` of the page before")
    ] = None,
    limit: Limit = DEFAULT_PAGE,
) -> Page[SourceModel]:
    """Every source that sent something in the last 30 days, in order of id."""
    sources = [one for one in await world.sources.store.all() if cursor is None or one.id > cursor]
    names = world.tokens.names()
    items = [await _model(world, one, names.get(one.token_id)) for one in sources[:limit]]
    return Page(items=items, next_cursor=items[-1].id if len(sources) > limit else None)


async def _model(world: AppWorld, source: Source, token_name: str | None) -> SourceModel:
    store, rule = world.sources.store, world.policy.current.rule("source_silent")
    days = days_before(world.now(), HABIT_DAYS)
    today, week = await store.sums(source.id, days[:1]), await store.sums(source.id, days)
    habit = habit_of(source, await store.sums(source.id, days_before(source.last_seen, HABIT_DAYS)))
    return SourceModel(
        id=source.id,
        token_id=source.token_id,
        token_name=token_name,
        kind=source.kind,
        state=source.state,
        first_seen=source.first_seen,
        last_seen=source.last_seen,
        last_event=source.last_event,
        skew_ms=source.skew_ms,
        ahead_ms=source.ahead_ms,
        useless=source.useless,
        longest_pause_ms=habit.pause_ms,
        silent_after_ms=SourceSilent(rule or DEFAULTS["source_silent"]).limit_ms(habit),
        today=_sums(today),
        week=_sums(week),
    )


def _sums(found: Sums) -> SourceSums:
    reasons = dict(sorted(found.reasons.items(), key=lambda item: (-item[1], item[0])))
    return SourceSums(**found.counts, reasons=reasons)
