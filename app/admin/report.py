"""The review of an incident, as Markdown, as a page and as JSON; and how well incidents were answered."""

import enum
from typing import Annotated

import msgspec
from fastapi import Query
from starlette.responses import Response

from actions.incidents.filters import IncidentFilter
from actions.incidents.incident import Incident
from actions.incidents.response_times import statistics_of
from actions.incidents.review import Review, review_of
from actions.incidents.review_sections import Section, heading_of, sections_of, summary_of
from actions.markdown import escaped, table
from app.admin.access import Viewer, World, admin_router, naming
from app.admin.models import problems, with_times
from app.admin.statistics_models import WindowStatisticsModel
from app.durations import parse_duration
from app.pages import page, safe_headers

router = admin_router("/incidents")
MOST_INCIDENTS = 5_000
LONGEST_LINE = 10_000


class Format(enum.StrEnum):
    """How a report is written."""

    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"


@router.get("/stats", responses=problems())
async def statistics(
    world: World, _: Viewer, window: Annotated[str, Query(max_length=20, description="such as 30d")] = "30d"
) -> WindowStatisticsModel:
    """Times to acknowledge and to resolve, targets met, false alarms per rule, of the last days."""
    with naming("window"):
        since = world.now() - parse_duration(window)
    found: list[Incident] = []
    cursor: str | None = None
    while len(found) < MOST_INCIDENTS:
        some, cursor = await world.actions.incidents.page(
            IncidentFilter(since=max(1, since)), cursor=cursor, limit=500
        )
        found += some
        if cursor is None:
            break
    sums = statistics_of(found, world.actions.incidents.plan, since, world.now() + 1)
    values = {name: getattr(sums, name) for name in sums.__struct_fields__}
    values["rejected_blocks"] = (await world.actions.blocklist.counts())["false_positives"]
    return WindowStatisticsModel.model_validate(
        {**values, "is_cut": cursor is not None}, from_attributes=True
    )


@router.get(
    "/{incident_id}/report",
    response_class=Response,
    responses={
        200: {"content": {"text/markdown": {}, "text/html": {}, "application/json": {}}},
        **problems(404),
    },
)
async def report(
    world: World,
    caller: Viewer,
    incident_id: str,
    format_: Annotated[Format, Query(alias="format")] = Format.MARKDOWN,
) -> Response:
    """Impact, response times, timeline, evidence, actions, root cause, lessons, follow-ups, who was told."""
    policy = world.policy.current
    rule = policy.rule((await world.actions.incidents.get(incident_id)).rule)
    review = await review_of(
        world.actions,
        incident_id,
        made_by=caller.actor,
        policy=policy.digest,
        rule_title=rule.title if rule else "",
    )
    headers = {"Content-Disposition": f'inline; filename="{review.incident.id}.{format_.value}"'}
    if format_ is Format.JSON:
        body = msgspec.json.encode(with_times(msgspec.to_builtins(review)))
        return Response(body, media_type="application/json", headers={**safe_headers(), **headers})
    sections = sections_of(review, world.actions.incidents.plan.grade(review.incident.priority))
    if format_ is Format.HTML:
        return page(
            "report.html",
            headers,
            heading=heading_of(review),
            summary=summary_of(review),
            sections=sections,
        )
    text = markdown_of(review, sections)
    return Response(text, media_type="text/markdown", headers={**safe_headers(), **headers})


def markdown_of(review: Review, sections: tuple[Section, ...]) -> str:
    """The report in Markdown; nothing that a log says is markup in it."""
    lines = [f"# {escaped(heading_of(review))}", "", escaped(summary_of(review), LONGEST_LINE)]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        for line in section.lines:
            lines += [escaped(line, LONGEST_LINE), ""]
        if section.rows:
            lines += table(section.headings, section.rows)
        lines += [f"- [{'x' if done else ' '}] {escaped(text)}" for done, text in section.checks]
    return "\n".join(lines).rstrip() + "\n"
