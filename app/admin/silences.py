"""Silences: listed, made, given another end and ended by people."""

from typing import Annotated

from fastapi import Query
from pydantic import model_validator

from actions.quiet.silences import Silence, SilenceState
from app.admin.access import Responder, Viewer, World, admin_router, naming
from app.admin.matcher_models import Length, MatcherModel, Matchers
from app.admin.models import Input, Moment, Note, Output, Page, Reason, TimeText, problems
from app.durations import parse_duration
from detectors.timestamps import parse_time

router = admin_router("/silences")


class SilenceModel(Output):
    """What nobody is told for a while, and why."""

    id: str
    state: SilenceState
    matchers: tuple[MatcherModel, ...]
    starts_at: Moment
    ends_at: Moment
    author: str
    comment: str
    created_at: Moment


class EndInput(Input):
    """When it ends: a duration from its beginning, or a time."""

    duration: Length | None = None
    until: TimeText | None = None

    @model_validator(mode="after")
    def _one_end(self) -> "EndInput":
        if (self.duration is None) == (self.until is None):
            raise ValueError("give either duration or until")
        return self

    def end(self, since: int) -> int:
        """Epoch ms of the end of what begins then."""
        if self.until is not None:
            return parse_time(self.until) or 0
        return since + parse_duration(self.duration or "")


class SilenceInput(EndInput):
    """What to silence, for how long, and why; it begins now unless another time is given."""

    matchers: Matchers
    comment: Reason
    starts_at: TimeText | None = None


class SilenceEndInput(EndInput):
    """Another end, counted from now, and why."""

    reason: Note = ""


def _model(silence: Silence, now: int) -> SilenceModel:
    return SilenceModel(
        id=silence.id,
        state=silence.state(now),
        matchers=tuple(MatcherModel.model_validate(matcher) for matcher in silence.matchers),
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        author=silence.author,
        comment=silence.comment,
        created_at=silence.created_at,
    )


@router.get("", responses=problems())
async def list_silences(
    world: World,
    _: Viewer,
    state: Annotated[SilenceState | None, Query(description="pending, active or expired")] = None,
) -> Page[SilenceModel]:
    """Silences, newest first; expired ones are listed for 30 days."""
    now = world.now()
    found = await world.actions.silences.all()
    return Page(items=[_model(one, now) for one in found if state in (None, one.state(now))])


@router.post("", status_code=201, responses=problems(409))
async def create_silence(world: World, actor: Responder, body: SilenceInput) -> SilenceModel:
    """Mute what all matchers match, in every process within a second. What may never be muted is told all the same."""
    now = world.now()
    starts_at = now if body.starts_at is None else max(now, parse_time(body.starts_at) or 0)
    with naming("matchers"):
        made = await world.actions.silences.create(
            [matcher.matcher() for matcher in body.matchers],
            actor,
            body.comment,
            starts_at=starts_at,
            ends_at=body.end(starts_at),
        )
    return _model(made, now)


@router.get("/{silence_id}", responses=problems(404))
async def show_silence(world: World, _: Viewer, silence_id: str) -> SilenceModel:
    """One silence."""
    return _model(await world.actions.silences.get(silence_id), world.now())


@router.patch("/{silence_id}", responses=problems(404, 409))
async def extend_silence(
    world: World, actor: Responder, silence_id: str, body: SilenceEndInput
) -> SilenceModel:
    """Give one that is not over another end, earlier or later."""
    now = world.now()
    with naming("until"):
        moved = await world.actions.silences.extend(silence_id, actor, body.reason, ends_at=body.end(now))
    return _model(moved, now)


@router.delete("/{silence_id}", responses=problems(404, 409))
async def expire_silence(
    world: World,
    actor: Responder,
    silence_id: str,
    reason: Annotated[str, Query(max_length=500)] = "",
) -> SilenceModel:
    """End one now. It stays listed as expired."""
    return _model(await world.actions.silences.expire(silence_id, actor, reason), world.now())
