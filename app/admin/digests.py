"""Digests to look at before they are sent, and copies of them to send now."""

import enum
from datetime import date
from typing import Annotated, Any

from fastapi import Query
from pydantic import AfterValidator, StringConstraints, WithJsonSchema
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from actions.digests.periods import Period, Rhythm, latest_over, period_of
from actions.digests.rendering import page_of_digest, text_of_digest
from actions.digests.sections import headline
from app.admin.access import Admin, Viewer, World, admin_router, naming
from app.admin.digest_models import DigestModel, digest_model
from app.admin.models import problems
from app.digests import digest_sender
from app.world import AppWorld

router = admin_router("/digests")

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""The page has inline styles and nothing else; whatever an attacker gets into it neither runs nor loads."""


class Form(enum.StrEnum):
    """How a digest is written."""

    JSON = "json"
    TEXT = "text"
    HTML = "html"


def _check_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a day; write 2026-11-24") from None
    return text


Day = Annotated[
    str,
    StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$"),
    AfterValidator(_check_day),
    WithJsonSchema({"type": "string", "format": "date"}),
]
DayQuery = Annotated[
    Day | None, Query(description="a day of the period; the last period that is over if left out")
]
FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The digest",
        "content": {kind: {"schema": {"type": "string"}} for kind in ("text/plain", "text/html")},
    }
}


@router.get("/{rhythm}", response_model=DigestModel, responses=FORMS | problems())
async def preview_digest(
    rhythm: Rhythm,
    world: World,
    _: Viewer,
    day: Annotated[DayQuery, Query(alias="date")] = None,
    form: Annotated[Form, Query(alias="format")] = Form.JSON,
) -> DigestModel | Response:
    """What the digest of a period says; of one that is not over, what it would say so far. Sends nothing."""
    digest = await digest_sender(world).digest(_period(world, rhythm, day))
    if form is Form.TEXT:
        return PlainTextResponse(f"{headline(digest)}\n\n{text_of_digest(digest)}")
    if form is Form.HTML:
        return HTMLResponse(page_of_digest(digest), headers=PAGE_HEADERS)
    return digest_model(digest)


@router.post("/{rhythm}/send", responses=problems(409))
async def send_digest(
    rhythm: Rhythm, world: World, actor: Admin, day: Annotated[DayQuery, Query(alias="date")] = None
) -> DigestModel:
    """Sends a copy to the channels of this digest now. The one that is due comes besides, at its time."""
    digest = await digest_sender(world).send_copy(_period(world, rhythm, day), actor)
    return digest_model(digest)


def _period(world: AppWorld, rhythm: Rhythm, day: str | None) -> Period:
    """The period that is asked for. Raises: ProblemError for one that has not begun, or is outside the calendar."""
    timezone, now = world.policy.current.digests.timezone, world.now()
    if day is None:
        return latest_over(rhythm, timezone, now)
    with naming("date"):
        period = period_of(rhythm, date.fromisoformat(day), timezone)
        if period.from_ms > now:
            raise ValueError(f"date: the period of {day} has not begun")
        return period
