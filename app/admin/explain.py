"""What becomes of a log line: the detectors of this process asked, nothing counted."""

import asyncio
import json
from typing import Annotated, Any

from pydantic import Field, model_validator

from app.admin.access import Viewer, World, admin_router, naming
from app.admin.models import Input, Moment, Output, problems
from app.explain import Circumstances
from app.explain import explain as ask
from app.ingest.formats.registry import AUTO
from app.ingest.readings import Reading, readings_of
from app.problems import ProblemError
from app.world import AppWorld, never_block
from detectors.addresses import Networks
from detectors.errors import BartizanError
from detectors.explanation import Role
from detectors.finding import Mode, Severity, SubjectKind
from detectors.timestamps import to_rfc3339

LONGEST_LINE = 65_536
"""Characters; what is longer is for `bartizan replay`."""
MOST_RECORDS = 50
"""In one request: explaining one costs a few milliseconds in which nothing else is answered."""

router = admin_router("/explain")


class ExplainInput(Input):
    """What to explain: text as it stands in a log (several lines too), or one record as JSON."""

    line: Annotated[str | None, Field(max_length=LONGEST_LINE)] = None
    record: dict[str, Any] | None = None
    format: Annotated[str, Field(max_length=64)] = AUTO
    rule: Annotated[str | None, Field(max_length=128, description="ask about this rule only")] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "ExplainInput":
        if (self.line is None) == (self.record is None):
            raise ValueError("give either line or record")
        return self


class FieldModel(Output):
    """One field of the event, and the names in the record that gave it; none for a line of text."""

    name: str
    value: str | int | float
    names: tuple[str, ...]


class CountsModel(Output):
    """One rule that takes the event. `matched` quotes the log, and so in part an attacker."""

    rule: str
    role: Role
    """counts: one more towards the threshold; ends: the good one, which ends a row or completes a sequence; measured:
    a share is taken of such; remembered: for later."""
    subject_kind: SubjectKind
    subject: str
    matched: str
    times: int
    points: float | None
    threshold: str
    window: str
    fires_at: str
    then: str
    severity: Severity
    mode: Mode
    notes: tuple[str, ...]
    """What keeps the address from being blocked all the same."""


class ReasonModel(Output):
    """One rule that does not take the event."""

    rule: str
    why: str


class SecretModel(Output):
    """A credential in the record, without itself."""

    kind: str
    fingerprint: str
    severity: str
    place: str


class ExplanationModel(Output):
    """What becomes of one record. Texts are redacted."""

    counts: bool
    read_as: str
    format: str | None
    rejected: str | None
    """Why the record was set aside; then the rest is empty."""
    record: str
    fields: tuple[FieldModel, ...]
    unread: tuple[str, ...]
    """Names of the record that no field comes from."""
    at: Moment | None
    time: str
    client: str | None
    client_note: str
    client_state: str
    """Whether the address is blocked or allowlisted now."""
    secrets: tuple[SecretModel, ...]
    rules: tuple[CountsModel, ...]
    reasons: tuple[ReasonModel, ...]
    more: int
    """Own rules beyond those in `reasons` that do not take it."""


class ExplainedModel(Output):
    """All records of the text, in order, under the policy in force."""

    policy: str
    """Its digest."""
    counts: bool
    records: list[ExplanationModel]


@router.post("", responses=problems())
async def explain(world: World, _: Viewer, body: ExplainInput) -> ExplainedModel:
    """What the record becomes, which rules count it for whom, and why others do not. Nothing is counted or kept."""
    now = world.now()
    readings = await _readings(body, now)
    if len(readings) > MOST_RECORDS:
        detail = f"line: {len(readings)} records; at most {MOST_RECORDS} are explained at a time"
        raise ProblemError(422, detail, errors=[{"field": "line", "error": detail}])
    policy = world.policy.current
    around = Circumstances(
        policy,
        Networks(world.settings.trusted_proxies),
        never_block(policy, world.settings),
        lambda address: _state_of(address, world, now),
    )
    with naming("rule"):
        try:
            found = await ask(readings, world.engine, around, now, body.rule)
        except BartizanError as error:
            raise ValueError(f"rule: {error}") from error
    records = [ExplanationModel.model_validate(one) for one in found]
    return ExplainedModel(policy=policy.digest, counts=any(one.counts for one in found), records=records)


async def _readings(body: ExplainInput, now: int) -> list[Reading]:
    """Raises: ProblemError for an unknown format, or a record that is no JSON."""
    with naming("format"):
        try:
            if body.record is not None:
                return await asyncio.to_thread(readings_of, json.dumps(body.record).encode(), "events", now)
            text = (body.line or "").encode("utf-8", "replace")
            return await asyncio.to_thread(readings_of, text, body.format, now)
        except (BartizanError, RecursionError) as error:
            raise ValueError(f"format: {error}") from error


def _state_of(address: str, world: AppWorld, now: int) -> str:
    decision, is_allowed = world.feed.table.lookup(address, now)
    if is_allowed:
        return "allowlisted"
    if decision is None:
        return "not blocked"
    return "blocked for good" if decision.until is None else f"blocked until {to_rfc3339(decision.until)}"
