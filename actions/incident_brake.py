"""Thousands of subjects make no thousands of incidents: past a limit, the new ones of one rule share one.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:incidents:news:RULE` | sorted set, incident by time | 10 minutes after the newest | 100 |

Whoever can write into a log can make up API keys, users and hosts, each a subject of its own. Nobody reads hundreds
of incidents in ten minutes, but somebody must be told, once. What blocks still blocks each subject by itself.
"""

from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.incident import Incident
from actions.storage import act_key, short

NEWS_LIMIT = 100
NEWS_WINDOW_MS = 10 * 60_000
"""So many new incidents of one rule in so long a time. A fifth of the mass-block brake's limit, which also means "this
is no longer one attacker at a time": the first hundred can still be read one by one."""
OVERFLOW = "*"
"""How the dedup key of a shared incident begins; a rule's name never does."""
MANY = "many subjects"


def news_key(rule: str) -> str:
    """The rule's newest incidents."""
    return act_key("incidents", "news", short(rule))


def overflow_dedup(rule: str) -> str:
    """The dedup key of the incident that a rule's further subjects share."""
    return f"{OVERFLOW}{rule}"


def is_overflow(incident: Incident) -> bool:
    """Whether it is one that many subjects share."""
    return incident.dedup_key.startswith(OVERFLOW)


async def is_on(pipe: Pipeline, rule: str, now: int) -> bool:
    """Whether this rule has opened too many lately. Watches the count, within an optimistic change."""
    await pipe.watch(news_key(rule))
    recent: Any = await pipe.zcount(news_key(rule), now - NEWS_WINDOW_MS + 1, "+inf")
    return int(recent) >= NEWS_LIMIT


def stage_news(pipe: Pipeline, incident: Incident, now: int) -> None:
    """Counts a newly opened incident, in the MULTI that opens it."""
    key = news_key(incident.rule)
    pipe.zremrangebyscore(key, "-inf", now - NEWS_WINDOW_MS)
    pipe.zadd(key, {incident.id: now})
    pipe.pexpire(key, NEWS_WINDOW_MS)


def shared(incident: Incident) -> Incident:
    """A new incident as the one that this rule's further subjects share."""
    rule, minutes = incident.rule, NEWS_WINDOW_MS // 60_000
    why = f"more than {NEWS_LIMIT} new incidents of {rule} within {minutes} min: further subjects are gathered here"
    return msgspec.structs.replace(
        incident, title=f"{rule}: {MANY}", why=why, subject=MANY, dedup_key=overflow_dedup(rule)
    )
