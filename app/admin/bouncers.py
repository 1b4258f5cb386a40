"""Which bouncers enforce the blocklist, whether they still do, and what they say they have dropped."""

from typing import Annotated

from fastapi import Query

from app.admin.access import Viewer, World, admin_router
from app.admin.models import DEFAULT_PAGE, Limit, Moment, Output, Page, problems
from app.bouncers.store import Row

router = admin_router("/bouncers")


class UsageModel(Output):
    """One number that a bouncer reports, added up over its reports; `active_decisions` is as it was reported last."""

    name: str
    """`dropped`, `processed`, `active_decisions` and whatever else it reports."""
    unit: str | None
    """`packet`, `byte`, `request`, `ip`."""
    origin: str | None
    """Of the decisions, in CrowdSec's words: `crowdsec` (rules), `cscli` (people), `lists:NAME`."""
    remediation: str | None
    ip_type: str | None
    """`ipv4`, `ipv6`."""
    value: float


class BouncerModel(Output):
    """One bouncer: a token, an address and the type that it names."""

    id: str
    token_id: str
    token_name: str
    type: str
    version: str
    address: str
    mode: str
    """`live` asks about each client, `stream` follows the list, `metrics` has only reported."""
    first_seen: Moment
    last_seen: Moment
    last_pull: Moment | None
    """Of the stream; null for one that asks about each client."""
    usage_at: Moment | None
    """Its newest report."""
    window_s: int | None
    """How many seconds that report covered."""
    usage: list[UsageModel]


@router.get("", responses=problems())
async def list_bouncers(
    world: World,
    _: Viewer,
    cursor: Annotated[
        str | None, Query(max_length=256, description="`next_cursor` of the page before")
    ] = None,
    limit: Limit = DEFAULT_PAGE,
) -> Page[BouncerModel]:
    """Every bouncer that asked for something in the last 30 days, in order of id."""
    rows = [row for row in await world.bouncers.store.all() if cursor is None or row.id > cursor]
    items = [_model(row) for row in rows[:limit]]
    return Page(items=items, next_cursor=items[-1].id if len(rows) > limit else None)


def _model(row: Row) -> BouncerModel:
    usage = [_usage(name, value) for name, value in sorted(row.usage.items())]
    return BouncerModel(
        id=row.id,
        token_id=row.token_id,
        token_name=row.token_name,
        type=row.type,
        version=row.version,
        address=row.address,
        mode=row.mode,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        last_pull=row.last_pull,
        usage_at=row.usage_at,
        window_s=row.window_s,
        usage=usage,
    )


def _usage(name: str, value: float) -> UsageModel:
    words = [None if word == "-" else word for word in (*name.split(" "), "-", "-", "-", "-")[:5]]
    return UsageModel(
        name=words[0] or "-",
        unit=words[1],
        origin=words[2],
        remediation=words[3],
        ip_type=words[4],
        value=value,
    )
