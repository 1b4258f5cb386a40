"""External blocklists: how each is doing, and fetching one anew."""

import msgspec

from actions.blocks.lists import ListInfo
from actions.errors import UnknownError
from app.admin.access import Responder, Viewer, World, admin_router
from app.admin.models import Moment, Output, Page, problems
from detectors.finding import DecisionType

router = admin_router("/blocklists")


class BlocklistModel(Output):
    """One external list."""

    name: str
    place: str
    """Its URL without user, password and query, or its file."""
    type: DecisionType
    entries: int
    """Addresses and networks in force."""
    skipped: dict[str, int]
    """Entries left out, by why: `unreadable`, `never_block`, `too_wide`."""
    etag: str
    fetched_at: Moment | None
    """When its content was last another."""
    good_at: Moment | None
    """When it could last be had."""
    next_at: Moment
    failures: int
    """Since then."""
    stale_since: Moment | None
    """Since when it could not be had, where that is longer than its `expires`: an incident is open."""
    error: str


def _model(info: ListInfo) -> BlocklistModel:
    return BlocklistModel(**{name: getattr(info, name) for name in BlocklistModel.model_fields})


@router.get("", responses=problems())
async def list_blocklists(world: World, _: Viewer) -> Page[BlocklistModel]:
    """The external lists that the policy names, as far as they have been looked at."""
    infos = await world.actions.lists.infos()
    return Page(items=[_model(infos[name]) for name in sorted(infos)], next_cursor=None)


@router.post("/{name}/refresh", responses=problems(404))
async def refresh_blocklist(world: World, actor: Responder, name: str) -> BlocklistModel:
    """Fetch a list anew, within five seconds."""
    info = (await world.actions.lists.infos()).get(name)
    if info is None:
        raise UnknownError(f"blocklist {name[:64]!r} is not known")
    asked = msgspec.structs.replace(info, next_at=0)
    await world.actions.lists.note(asked)
    await world.actions.audit.record(actor, "blocklist.refresh", f"blocklist:{name}")
    return _model(asked)
