"""Many subjects of one rule within minutes are one problem: a campaign, one incident with its members.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:incidents:news:RULE` | sorted set, incident by time | 10 minutes after the newest | 100 |
| `bartizan:{act}:incident:ID:members` | sorted set, subject by time | 400 days after the last | 10,000, oldest go |

A botnet has thousands of addresses, and whoever can write into a log can make up API keys, users and hosts, each a
subject of its own. Nobody reads hundreds of incidents in ten minutes, but somebody must be told, once. What blocks
still blocks each subject by itself. Critical findings have their own incidents for longer than others: what somebody
makes up in a log must not hide a breach among nine others.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.incidents.incident import Incident
from actions.incidents.response_plan import Campaign
from actions.incidents.runbook import BRAKE_RULE, REPORTED_RULE
from actions.incidents.status import IncidentStatus
from actions.storage import DAY_MS, act_key, short, text_of
from detectors.finding import Severity

NEWS_LIMIT = 100
NEWS_WINDOW_MS = 10 * 60_000
"""So many new critical incidents of one rule in so long a time become one. A fifth of the mass-block brake's limit,
which also means "this is no longer one attacker at a time": the first hundred can still be read one by one."""
CAMPAIGN_MARK = "*"
"""How the dedup key of a campaign begins; a rule's name never does."""
NEVER_GATHERED = frozenset({BRAKE_RULE, REPORTED_RULE})
"""Rules whose subjects are not somebody's attack: each is a problem of its own."""
MEMBERS_KEPT = 10_000
MEMBERS_TTL_MS = 400 * DAY_MS
MEMBERS_READ = 200


class Member(msgspec.Struct, frozen=True):
    """One subject of a campaign, and when it was last seen, epoch ms."""

    subject: str
    last_seen: int


def news_key(rule: str) -> str:
    """The rule's newest incidents."""
    return act_key("incidents", "news", short(rule))


def members_key(incident_id: str) -> str:
    """The subjects of one campaign."""
    return act_key("incident", short(incident_id), "members")


def campaign_dedup(rule: str) -> str:
    """The dedup key of the campaign of a rule."""
    return f"{CAMPAIGN_MARK}{rule}"


def bounds_for(severity: Severity, campaign: Campaign) -> tuple[int, int]:
    """How many new incidents within how many ms make a campaign."""
    if severity == Severity.CRITICAL:
        return max(NEWS_LIMIT, campaign.subjects), NEWS_WINDOW_MS
    return campaign.subjects, campaign.window_ms


async def recent_news(pipe: Pipeline, rule: str, since: int) -> list[str]:
    """The ids of this rule's incidents opened after this time, oldest first. Watches them, within a change."""
    await pipe.watch(news_key(rule))
    rows: Any = await pipe.zrangebyscore(news_key(rule), since + 1, "+inf")
    return [text_of(row) for row in rows]


async def has_member(pipe: Pipeline, campaign: Incident, subject: str) -> bool:
    """Whether a campaign knows this subject. The campaign itself is watched: whoever adds one changes it."""
    return await pipe.zscore(members_key(campaign.id), short(subject)) is not None


def stage_news(pipe: Pipeline, incident: Incident, now: int) -> None:
    """Counts a newly opened incident, in the MULTI that opens it."""
    key = news_key(incident.rule)
    pipe.zremrangebyscore(key, "-inf", now - NEWS_WINDOW_MS)
    pipe.zadd(key, {incident.id: now})
    pipe.zremrangebyrank(key, 0, -NEWS_LIMIT - 1)
    pipe.pexpire(key, NEWS_WINDOW_MS)


def stage_members(pipe: Pipeline, campaign: Incident, subjects: Sequence[tuple[str, int]]) -> None:
    """Adds subjects (with the time they were last seen) to a campaign, in the MULTI that changes it."""
    key = members_key(campaign.id)
    pipe.zadd(key, {short(subject): at for subject, at in subjects})
    pipe.zremrangebyrank(key, 0, -MEMBERS_KEPT - 1)
    pipe.pexpire(key, MEMBERS_TTL_MS)


async def newcomers(pipe: Pipeline, into: Incident, old: Incident) -> int:
    """How many of the subjects of one incident another does not know. Watches the members of both."""
    await pipe.watch(members_key(into.id), members_key(old.id))
    rows: Any = await pipe.zrange(members_key(old.id), 0, -1) if old.is_campaign else [short(old.subject)]
    known: Any = await pipe.zmscore(members_key(into.id), rows) if rows else []
    return sum(at is None for at in known)


def stage_merged(pipe: Pipeline, into: Incident, old: Incident) -> None:
    """Hands an incident's subjects to the one that takes it in: their findings follow them."""
    if old.is_campaign:
        key = members_key(into.id)
        pipe.zunionstore(key, [key, members_key(old.id)], aggregate="MAX")
        pipe.zremrangebyrank(key, 0, -MEMBERS_KEPT - 1)
        pipe.pexpire(key, MEMBERS_TTL_MS)
    elif into.is_campaign:
        stage_members(pipe, into, [(old.subject, old.last_seen)])


def as_campaign(incident: Incident, members: int, window_ms: int) -> Incident:
    """A new incident as the campaign of its rule, of so many subjects."""
    rule, minutes = incident.rule, window_ms // 60_000
    within = f"{minutes} min" if minutes else f"{window_ms // 1000} s"
    return msgspec.structs.replace(
        incident,
        title=f"{rule}: {members} subjects",
        why=f"{members} subjects of {rule} within {within}: one campaign, further subjects are gathered here",
        subject=f"{members} subjects",
        dedup_key=campaign_dedup(rule),
        members=members,
        newest_at=incident.triggered_at,
    )


def with_members(campaign: Incident, count: int, *, now: int) -> Incident:
    """The campaign with so many new subjects; its title says how many there are."""
    if not count:
        return campaign
    members = campaign.members + count
    return msgspec.structs.replace(
        campaign,
        members=members,
        newest_at=now,
        subject=f"{members} subjects",
        title=f"{campaign.rule}: {members} subjects",
    )


def is_a_flood(incident: Incident) -> bool:
    """Whether a campaign has so many subjects that people are told even of what works quietly (block_ip alone)."""
    return incident.members >= NEWS_LIMIT


def can_be_absorbed(incident: Incident) -> bool:
    """Whether a new campaign takes this incident in: not where a person has it in hand, or it is a campaign."""
    return (
        incident.status == IncidentStatus.TRIGGERED
        and not incident.is_campaign
        and incident.graded_by is None
    )
