"""What people send to report, move on and work on an incident."""

import enum
from typing import Annotated, Literal

from fastapi import Header
from pydantic import Field, StringConstraints

from actions.incidents.status import Verdict
from app.admin.models import Input, Note, TimeText
from app.problems import ProblemError
from detectors.finding import Priority, Severity

IfMatch = Annotated[
    str | None, Header(max_length=64, description="the ETag that was seen; where it has changed since, 412")
]


def version_in(if_match: str | None) -> int | None:
    """The version that an If-Match header names; None without one, and for `*`. Raises: ProblemError."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isdecimal() or len(text) > 12:
        detail = 'If-Match: is not an ETag of an incident, such as "7"'
        raise ProblemError(422, detail, errors=[{"field": "If-Match", "error": detail}])
    return int(text)


class MoveInput(Input):
    """What a person says to their move."""

    note: Note = ""
    version: int | None = None
    """The version the person saw; where the incident has moved on since, nothing is done."""


class VerdictInput(MoveInput):
    """The end of an incident needs a verdict."""

    verdict: Verdict


class CommentInput(Input):
    """A line for the timeline; `at` where it speaks of something that happened earlier."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
    at: TimeText | None = None
    pinned: bool = False
    """The review must not miss it."""


class EntityInput(Input):
    """Somebody or something that a report speaks of."""

    type: Literal["ip", "user", "key", "host", "rule"]
    value: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


class ReportInput(Input):
    """An incident that a person reports."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=180)]
    severity: Severity
    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)] = ""
    entities: Annotated[tuple[EntityInput, ...], Field(max_length=20)] = ()
    at: TimeText | None = None
    """When it happened; now where it is absent."""


class MergeInput(MoveInput):
    """Which incident takes this one in."""

    into: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
    verdict: Verdict = Verdict.DUPLICATE


Written = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]


class EditInput(Input):
    """What a person writes into an incident; what is absent stays as it is."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = (
        None
    )
    lead: Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)] | None = None
    impact: Written | None = None
    root_cause: Written | None = None
    lessons: Written | None = None
    severity: Severity | None = None
    priority: Priority | None = None


class CheckInput(Input):
    """A tick."""

    done: bool = True
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""


class FollowUpInput(Input):
    """Something left to do."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
    owner: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
    due: TimeText


class FollowUpDoneInput(Input):
    """Whether it is done."""

    done: bool = True


class PublicState(enum.StrEnum):
    """How far the work on a published incident is."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class PublishInput(Input):
    """What the public may read; nothing is taken over from a log or a rule."""

    state: PublicState
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
    title: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    component: Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)] = ""
