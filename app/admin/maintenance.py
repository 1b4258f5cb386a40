"""Maintenance windows: those of the policy and those announced, what is open, and what comes."""

from itertools import islice
from typing import Annotated

from fastapi import Query
from pydantic import Field, StringConstraints

from actions.quiet.maintenance import LONGEST_NOTICE_MS, Occurrence, Window, active, following
from actions.quiet.maintenance_windows import LONGEST_NAME
from app.admin.access import Responder, Viewer, World, admin_router, naming
from app.admin.matcher_models import Length, MatcherModel, Matchers
from app.admin.models import Moment, Output, Page, Reason, TimeText, problems
from app.admin.silences import EndInput
from app.durations import format_duration, parse_duration
from app.policies.maintenance import MOST_CHANNELS, schedule_text
from app.problems import ProblemError
from detectors.timestamps import parse_time

router = admin_router("/maintenance")
SHOWN = 5
ChannelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class OccurrenceModel(Output):
    """One time that a window is open: from `starts_at` until before `ends_at`."""

    starts_at: Moment
    ends_at: Moment


class WindowModel(Output):
    """A window, of the policy or announced by a person."""

    id: str | None
    """Of an announced one; null for the policy's."""
    name: str
    recurs: str | None
    """On which days and when, as the policy says it; null where its times are given one by one."""
    duration: str
    notice: str | None
    """How long before each beginning people are told; null: not."""
    matchers: tuple[MatcherModel, ...]
    """Narrow what it mutes of messages about the service's health; empty: all of them."""
    channels: tuple[str, ...]
    author: str | None
    comment: str
    open: OccurrenceModel | None
    """The occurrence that is open now."""
    occurrences: tuple[OccurrenceModel, ...]
    """The next five, the open one included."""


class WindowInput(EndInput):
    """A window of once: when, why, and whom to tell. It begins now unless another time is given."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME)]
    comment: Reason
    starts_at: Annotated[TimeText | None, Field(alias="from")] = None
    notice: Length | None = None
    """How long before it begins people are told; left out: at once."""
    matchers: Matchers = ()
    channels: Annotated[tuple[ChannelName, ...], Field(max_length=MOST_CHANNELS)] = ()

    def notice_ms(self) -> int | None:
        """Raises: ProblemError where it is too long."""
        found = None if self.notice is None else parse_duration(self.notice)
        if found is not None and found > LONGEST_NOTICE_MS:
            raise ProblemError(422, f"notice: must not be longer than {format_duration(LONGEST_NOTICE_MS)}")
        return found


def _occurrence(found: Occurrence) -> OccurrenceModel:
    return OccurrenceModel(starts_at=found.starts_at, ends_at=found.ends_at)


def _model(window: Window, now: int) -> WindowModel:
    open_now = active(window, now)
    return WindowModel(
        id=window.id or None,
        name=window.name,
        recurs=None if window.schedule is None else schedule_text(window.schedule),
        duration=format_duration(window.duration_ms),
        notice=None if window.notice_ms is None else format_duration(window.notice_ms),
        matchers=tuple(MatcherModel.model_validate(matcher) for matcher in window.matchers),
        channels=window.channels,
        author=window.author or None,
        comment=window.comment,
        open=None if open_now is None else _occurrence(open_now),
        occurrences=tuple(_occurrence(found) for found in islice(following(window, now), SHOWN)),
    )


@router.get("", responses=problems())
async def list_maintenance(world: World, _: Viewer) -> Page[WindowModel]:
    """The policy's windows, then the announced ones by their beginning; past ones for 30 days."""
    now = world.now()
    return Page(items=[_model(window, now) for window in await world.actions.maintenance.windows(now)])


@router.post("", status_code=201, responses=problems(409))
async def announce_maintenance(world: World, actor: Responder, body: WindowInput) -> WindowModel:
    """Announce a window of once, such as for an emergency: it mutes what is about the service's health."""
    now = world.now()
    starts_at = now if body.starts_at is None else max(now, parse_time(body.starts_at) or 0)
    with naming("until"):
        made = await world.actions.maintenance.announce(
            body.name,
            actor,
            body.comment,
            starts_at=starts_at,
            ends_at=body.end(starts_at),
            notice_ms=body.notice_ms(),
            matchers=[matcher.matcher() for matcher in body.matchers],
            channels=body.channels,
        )
    return _model(made, now)


@router.delete("/{window_id}", responses=problems(404, 409))
async def remove_maintenance(
    world: World,
    actor: Responder,
    window_id: str,
    reason: Annotated[str, Query(max_length=500)] = "",
) -> WindowModel:
    """Take an announced window out, open or not. One of the policy goes with the policy."""
    return _model(await world.actions.maintenance.remove(window_id, actor, reason), world.now())
