"""What the rules that only observe would have acted on."""

from app.admin.access import Viewer, World, admin_router, naming
from app.admin.models import DEFAULT_PAGE, Cursor, Limit, Moment, Output, Page, problems
from detectors.finding import Action, Severity, SubjectKind

router = admin_router("/observed")


class ObservedModel(Output):
    """A finding of a rule in mode `observe`. The sentence quotes the log, and so in part an attacker."""

    id: str
    rule: str
    subject: str
    subject_kind: SubjectKind
    first_at: Moment
    at: Moment
    count: int
    threshold: int
    severity: Severity
    actions: list[Action]
    """What would have been done."""
    why: str


@router.get("", responses=problems())
async def list_observed(
    world: World, _: Viewer, cursor: Cursor | None = None, limit: Limit = DEFAULT_PAGE
) -> Page[ObservedModel]:
    """Findings of observing rules, newest first."""
    with naming("cursor"):
        found, following = await world.actions.observed.page(cursor=cursor, limit=limit)
    return Page(items=[ObservedModel.model_validate(item) for item in found], next_cursor=following)
