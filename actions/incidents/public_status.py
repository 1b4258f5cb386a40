"""What the public may read: the incidents that a person published, in that person's words.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:incidents:public` | sorted set, id by last update | 400 days after it | 100, the oldest go |

Nothing of an incident but its `public` part goes out of here, and its id as a keyed hash: the number in `INC-2026-0042`
says how many there were.
"""

import enum
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.incidents.incident import Incident, PublicUpdate
from actions.incidents.keys import decode_incident, incident_key, incidents_key
from actions.incidents.timeline import INCIDENT_TTL_MS
from actions.quiet.maintenance import Occurrence
from actions.storage import DAY_MS, Client, storage_errors, text_of

PUBLISHED_KEPT = 100
RESOLVED_SHOWN_MS = 14 * DAY_MS
"""How long a resolved incident stays on the page."""
UPDATES_SHOWN = 50
"""Of one incident, the latest."""
HORIZON_MS = 14 * DAY_MS
"""How far ahead maintenance is shown."""
MAINTENANCE_SHOWN = 20
RESOLVED = "resolved"
OPERATIONAL = "operational"
DEGRADED = "degraded"
MAINTENANCE_TITLE = "Scheduled maintenance"


class ShownMaintenance(enum.StrEnum):
    """What the page says of maintenance windows, whose names are written for the team."""

    NONE = "none"
    TIMES = "times"
    NAMES = "names"


class StatusPage(msgspec.Struct, frozen=True):
    """How the operator wants the page."""

    title: str = "Status"
    components: tuple[str, ...] = ()
    """Listed in this order, each with its state, whether an incident names it or not."""
    maintenance: ShownMaintenance = ShownMaintenance.TIMES


class PublicIncident(msgspec.Struct, frozen=True, kw_only=True):
    """A published incident. Times are epoch ms."""

    id: str
    """Always the same for one incident, and tells nothing of it."""
    title: str
    component: str
    state: str
    started_at: int
    """When it was first published."""
    updated_at: int
    updates: tuple[PublicUpdate, ...]
    """Newest first."""


class PublicComponent(msgspec.Struct, frozen=True):
    """A part of the service in the public's words, `operational` or `degraded`."""

    name: str
    state: str


class PublicMaintenance(msgspec.Struct, frozen=True):
    """A maintenance window that is open or comes, epoch ms."""

    title: str
    starts_at: int
    ends_at: int


class PublicStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The whole page."""

    id: str
    """Of the page as a feed: stable, and tells nothing."""
    title: str
    state: str
    """`degraded` while an incident on the page is not resolved, else `operational`."""
    updated_at: int | None
    """When a person last said something that is still on the page, epoch ms."""
    components: tuple[PublicComponent, ...]
    incidents: tuple[PublicIncident, ...]
    """Those that are not resolved first, then by their last update, newest first."""
    maintenance: tuple[PublicMaintenance, ...]
    """By its beginning."""


def stage_public(pipe: Pipeline, old: Incident, new: Incident) -> None:
    """Keeps the list of published incidents, in the MULTI that publishes one or takes it off."""
    if new.public == old.public:
        return
    key = incidents_key("public")
    if new.public is None or new.public.until is not None:
        pipe.zrem(key, new.id)
        return
    pipe.zadd(key, {new.id: new.public.updates[-1].at})
    pipe.zremrangebyrank(key, 0, -PUBLISHED_KEPT - 1)
    pipe.pexpire(key, INCIDENT_TTL_MS)


class PublicIncidents:
    """Reads the published incidents."""

    def __init__(self, redis: Client, key: bytes) -> None:
        """`key`: the secret under which ids are hashed; where it changes, so do all ids."""
        self._redis = redis
        self._key = key

    async def published(self) -> list[PublicIncident]:
        """Those on the page or lately on it, at most 100, in no order. Raises: StorageError."""
        with storage_errors("reading published incidents"):
            rows: Any = await self._redis.zrange(incidents_key("public"), 0, -1)
            names = [text_of(row) for row in rows]
            items: Any = await self._redis.mget([incident_key(name) for name in names]) if names else []
        known = [decode_incident(item) for item in items if item is not None]
        return [shown for incident in known if (shown := public_view(incident, self._key)) is not None]

    @property
    def page_id(self) -> str:
        """A stable name of the page as a feed."""
        return _opaque(self._key, "feed")


def public_view(incident: Incident, key: bytes) -> PublicIncident | None:
    """An incident as the public may see it; None where nobody published it, or it was taken off."""
    public = incident.public
    if public is None or public.until is not None:
        return None
    return PublicIncident(
        id=_opaque(key, incident.id),
        title=public.title,
        component=public.component,
        state=public.updates[-1].state,
        started_at=public.updates[0].at,
        updated_at=public.updates[-1].at,
        updates=tuple(reversed(public.updates[-UPDATES_SHOWN:])),
    )


def status_of(
    page: StatusPage,
    published: Iterable[PublicIncident],
    windows: Iterable[Occurrence],
    now: int,
    page_id: str = "",
) -> PublicStatus:
    """The page at this moment. Pure: resolved incidents and past maintenance go with time."""
    shown = [i for i in published if i.state != RESOLVED or now - i.updated_at < RESOLVED_SHOWN_MS]
    shown.sort(key=lambda i: (i.state == RESOLVED, -i.updated_at, i.id))
    current = [i for i in shown if i.state != RESOLVED]
    return PublicStatus(
        id=page_id,
        title=page.title,
        state=DEGRADED if current else OPERATIONAL,
        updated_at=max((i.updated_at for i in shown), default=None),
        components=_components(page.components, current),
        incidents=tuple(shown),
        maintenance=_maintenance(page.maintenance, windows, now),
    )


def _components(known: Sequence[str], current: Iterable[PublicIncident]) -> tuple[PublicComponent, ...]:
    affected = {i.component.casefold(): i.component for i in current if i.component}
    states = [PublicComponent(n, DEGRADED if n.casefold() in affected else OPERATIONAL) for n in known]
    listed = {name.casefold() for name in known}
    others = [PublicComponent(n, DEGRADED) for folded, n in affected.items() if folded not in listed]
    return (*states, *others)


def _maintenance(
    shown: ShownMaintenance, windows: Iterable[Occurrence], now: int
) -> tuple[PublicMaintenance, ...]:
    if shown is ShownMaintenance.NONE:
        return ()
    found = {
        PublicMaintenance(
            one.window.name if shown is ShownMaintenance.NAMES else MAINTENANCE_TITLE,
            one.starts_at,
            one.ends_at,
        )
        for one in windows
        if now < one.ends_at
    }
    ordered = sorted(found, key=lambda one: (one.starts_at, one.ends_at, one.title))
    return tuple(ordered[:MAINTENANCE_SHOWN])


def _opaque(key: bytes, text: str) -> str:
    return hmac.new(key, b"status page:" + text.encode(), hashlib.sha256).hexdigest()[:20]
