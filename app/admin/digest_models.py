"""A digest on the wire."""

from datetime import date

from actions.digests.periods import Period, Rhythm
from actions.digests.rendering import page_of_digest, text_of_digest
from actions.digests.report import Digest
from actions.digests.sections import headline
from actions.incidents.status import IncidentStatus, Verdict
from app.admin.models import Moment, Output
from app.admin.statistics_models import StatisticsModel
from detectors.finding import Priority


class PeriodModel(Output):
    """The days that it speaks of, and when they begin and end."""

    rhythm: Rhythm
    first_day: date
    last_day: date
    since: Moment
    until: Moment
    timezone: str


class TallyModel(Output):
    """How many incidents; `by_priority` leaves out those without any."""

    total: int
    by_priority: dict[str, int]


class LineModel(Output):
    """One incident. The title is in part an attacker's."""

    id: str
    title: str
    priority: Priority
    status: IncidentStatus
    verdict: Verdict | None
    lead: str
    at: Moment


class PersonModel(Output):
    """What somebody did, as the audit trail calls it, and how often."""

    name: str
    role: str
    actions: dict[str, int]


class RuleBlocksModel(Output):
    """The blocks that one rule made; the rate is of those reviewed, null where none is."""

    rule: str
    made: int
    reviewed: int
    rejected: int
    false_positive_rate: float | None


class BlockTallyModel(Output):
    """The blocks of the period."""

    made: int
    by_people: int
    proposed: int
    approved: int
    lifted: int
    rejected: int
    rules: list[RuleBlocksModel]


class AttackerModel(Output):
    """An address and what it came up with."""

    address: str
    strikes: int
    blocks: int
    events: int
    incidents: int


class AccountModel(Output):
    """A user name that incidents name; an attacker may have made it up."""

    name: str
    incidents: int
    events: int


class OverdueModel(Output):
    """A follow-up whose day is over."""

    incident_id: str
    text: str
    owner: str
    due: Moment


class FailureModel(Output):
    """Messages that a channel could not deliver, and why the last one failed."""

    channel: str
    count: int
    error: str


class AheadModel(Output):
    """Maintenance to come."""

    name: str
    starts_at: Moment
    ends_at: Moment


class DigestModel(Output):
    """One period, summed up, and the same as text and as a page."""

    headline: str
    period: PeriodModel
    is_over: bool
    is_empty: bool
    made_at: Moment
    opened: TallyModel
    resolved: TallyModel
    still_open: TallyModel
    merged: int
    reopened: int
    listed: list[LineModel]
    gathered: list[LineModel]
    gathered_total: int
    waiting: list[LineModel]
    waiting_total: int
    ended: list[LineModel]
    ended_total: int
    response: StatisticsModel
    people: list[PersonModel]
    blocks: BlockTallyModel
    attackers: list[AttackerModel]
    accounts: list[AccountModel]
    overdue: list[OverdueModel]
    overdue_total: int
    failures: list[FailureModel]
    ahead: list[AheadModel]
    cuts: list[str]
    text: str
    html: str


def digest_model(digest: Digest) -> DigestModel:
    """A digest as it goes out."""
    computed = {
        "headline": headline(digest),
        "period": _period(digest.period),
        "text": text_of_digest(digest),
        "html": page_of_digest(digest),
    }
    known = {name: getattr(digest, name) for name in DigestModel.model_fields if name not in computed}
    return DigestModel.model_validate(known | computed, from_attributes=True)


def _period(period: Period) -> PeriodModel:
    return PeriodModel(
        rhythm=period.rhythm,
        first_day=period.first_day,
        last_day=period.last_day,
        since=period.from_ms,
        until=period.to_ms,
        timezone=period.timezone,
    )
