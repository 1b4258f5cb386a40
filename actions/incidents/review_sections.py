"""A review as sections of plain text, the same for every format: Markdown and HTML only write them down.

Every text here may hold an attacker's words; whoever writes it down escapes each one.
Order: PagerDuty's post-mortem template and the operator's review deliverables.
"""

from collections.abc import Sequence

import msgspec

from actions.delivery.message import Message, MessageKind
from actions.elapsed import elapsed
from actions.incidents.incident import Entry, Incident
from actions.incidents.response_plan import Grade
from actions.incidents.review import Milestone, Review
from detectors.timestamps import to_rfc3339

Row = tuple[str, ...]
EMPTY = "n/a"
TO_FILL_IN = "(to be filled in)"
COPIES = {True: "unchanged", False: "CHANGED SINCE", None: "has no checksum on the timeline"}
PHASES = {"DE": "Detect", "RS": "Respond", "RC": "Recover"}
"""Functions of the NIST Cybersecurity Framework 2.0 that an incident goes through."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One heading and what stands below it; what is empty is left out."""

    title: str
    lines: tuple[str, ...] = ()
    headings: Row = ()
    rows: tuple[Row, ...] = ()
    checks: tuple[tuple[bool, str], ...] = ()


def heading_of(review: Review) -> str:
    """`INC-2026-0042: auth_failures: 203.0.113.9`."""
    return f"{review.incident.id}: {review.incident.title}"


def summary_of(review: Review) -> str:
    """The incident in one line."""
    incident = review.incident
    verdict = f", {incident.verdict}" if incident.verdict else ""
    into = f" into {incident.merged_into}" if incident.merged_into else ""
    return f"{incident.priority} ({incident.severity}), {incident.status}{into}{verdict}. {incident.why}"


def sections_of(review: Review, grade: Grade) -> tuple[Section, ...]:
    """All sections, in order. Those without content are left out."""
    incident = review.incident
    sections = (
        _facts(review, grade),
        Section(
            title="Response times",
            lines=("Phases are functions of the NIST Cybersecurity Framework (CSF) 2.0.",),
            headings=("moment", "phase", "at", "after", "target"),
            rows=tuple(_milestone(m) for m in review.milestones),
        ),
        Section(title="Impact", lines=_written(incident.impact)),
        _timeline(review),
        _evidence(review),
        _investigation(review),
        _actions(review),
        _escalations(review),
        Section(
            title="Members",
            lines=(f"{incident.members} subjects; the latest {len(review.members)}:",),
            headings=("subject", "last seen"),
            rows=tuple((m.subject, to_rfc3339(m.last_seen)) for m in review.members),
        )
        if review.members
        else Section(title=""),
        Section(
            title="Merged incidents",
            headings=("incident", "title"),
            rows=tuple((one.id, one.title) for one in review.merged),
        ),
        _deliveries(review),
        Section(title="Root cause", lines=_written(incident.root_cause)),
        Section(title="Lessons", lines=_written(incident.lessons, "What went well: ", "What went badly: ")),
        Section(title="Follow-ups", checks=tuple(_follow_up(review, incident))),
        Section(title="Initial response", checks=tuple(_checks(incident, "initial_response"))),
        Section(title="Resolution", checks=tuple(_checks(incident, "resolution"))),
        _runbook(review),
    )
    return tuple(s for s in sections if s.title and (s.lines or s.rows or s.checks))


def _written(text: str, *asked: str) -> tuple[str, ...]:
    """What people wrote, line by line; where that is nothing, what they have yet to fill in."""
    lines = tuple(line for line in text.splitlines() if line.strip())
    return lines or tuple(f"{what}{TO_FILL_IN}" for what in asked or ("",))


def _facts(review: Review, grade: Grade) -> Section:
    incident = review.incident
    accounts = sum(entity.type == "user" for entity in incident.entities)
    facts = [
        ("rule", incident.rule),
        ("subject", incident.subject),
        ("grade", f"{incident.priority} {grade.name}: {grade.means}"),
        ("status", incident.status),
        ("verdict", incident.verdict or "none yet"),
        ("lead", incident.lead or "nobody"),
        ("events", f"{incident.event_count:,} in {incident.finding_count:,} findings"),
        ("first and last event", f"{to_rfc3339(incident.first_seen)}, {to_rfc3339(incident.last_seen)}"),
        ("accounts named", str(accounts)),
        ("blocks", str(len(review.blocks) + review.blocks_left_out)),
        ("escalation", f"level {incident.escalation_level}" if incident.escalation_level else "none"),
        ("reopened", f"{incident.reopened} times" if incident.reopened else "never"),
        ("standards", ", ".join(incident.references) or EMPTY),
        ("policy", review.policy or EMPTY),
        ("made", f"{to_rfc3339(review.made_at)}" + (f" by {review.made_by}" if review.made_by else "")),
    ]
    return Section(title="Facts", headings=("", ""), rows=tuple(facts))


def _milestone(milestone: Milestone) -> Row:
    phase = f"{PHASES[milestone.phase]} ({milestone.phase})" if milestone.phase else EMPTY
    after = EMPTY if milestone.after_ms is None else f"{elapsed(milestone.after_ms)} after {milestone.since}"
    target = EMPTY if milestone.target_ms is None else elapsed(milestone.target_ms)
    if milestone.is_met is not None:
        target += ", met" if milestone.is_met else ", missed"
    at = EMPTY if milestone.at is None else to_rfc3339(milestone.at)
    return (milestone.name, phase, at, after, target)


def _timeline(review: Review) -> Section:
    lines = (f"{review.entries_left_out:,} more entries are left out.",) if review.entries_left_out else ()
    return Section(
        title="Timeline",
        lines=lines,
        headings=("happened", "recorded", "who", "what", "text"),
        rows=tuple(_entry(entry) for entry in sorted(review.entries, key=lambda e: (e.at, e.recorded_at))),
    )


def _entry(entry: Entry) -> Row:
    kind = f"{entry.kind} (pinned)" if entry.pinned else entry.kind
    return (to_rfc3339(entry.at), to_rfc3339(entry.recorded_at), entry.actor, kind, entry.text)


def _evidence(review: Review) -> Section:
    if not review.exhibits:
        return Section(title="")
    rows = []
    for number, exhibit in enumerate(review.exhibits, 1):
        e = exhibit.evidence
        request = " ".join(str(part) for part in (e.method, e.path, e.status) if part is not None)
        who = ", ".join(part for part in (e.client_ip, e.user) if part)
        rows.append((str(number), to_rfc3339(e.at), who, request, e.matched, exhibit.sha256))
    return Section(
        title="Evidence",
        lines=(
            f"SHA-256 over the checksums below, one a line: {review.evidence_sha256}",
            f"What was copied at the opening: {COPIES[review.is_untouched]}.",
            "How to check one: docs/incidents.md, The review.",
        ),
        headings=("no", "at", "who", "request", "matched", "SHA-256"),
        rows=tuple(rows),
    )


def _investigation(review: Review) -> Section:
    """What the dossier found that a reader must do or know; the dossier itself has the rest."""
    dossier = review.dossier
    if dossier is None:
        return Section(title="")
    place = dossier.place
    where = [str(part) for part in (place.city, place.country, place.organization) if part] if place else []
    lines = [
        f"Made {to_rfc3339(dossier.made_at)} about {dossier.subject}"
        + (f" ({', '.join(where)})" if where else "")
    ]
    return Section(
        title="Investigation",
        lines=tuple(lines),
        rows=tuple(("at once" if step.urgent else "then", step.text) for step in dossier.steps),
        headings=("when", "what to do") if dossier.steps else (),
    )


def _actions(review: Review) -> Section:
    rows = []
    for block in review.blocks:
        until = "for good" if block.until is None else to_rfc3339(block.until)
        changed = f"{block.changed_by} {to_rfc3339(block.changed_at)}" if block.changed_by else EMPTY
        if block.changed_by and block.note:
            changed += f": {block.note}"
        made = to_rfc3339(block.created_at)
        rows.append((block.value, made, until, block.status, block.review, str(block.strikes), changed))
    left_out = review.blocks_left_out
    return Section(
        title="Actions",
        lines=(f"{left_out:,} more blocks are left out.",) if left_out else (),
        headings=("blocked", "since", "until", "status", "review", "strike", "last changed by"),
        rows=tuple(rows),
    )


def _escalations(review: Review) -> Section:
    """Who was told because nobody had acknowledged it, and what was late."""
    kinds = {"escalated": "escalated", "sla_breached": "late"}
    return Section(
        title="Escalations",
        headings=("at", "what", "text"),
        rows=tuple((to_rfc3339(e.at), kinds[e.kind], e.text) for e in review.entries if e.kind in kinds),
    )


def _deliveries(review: Review) -> Section:
    return Section(
        title="Who was told",
        lines=tuple(f"{told.channel or EMPTY}: {told.count:,} {told.status}" for told in review.told),
        headings=("at", "channel", "message", "status", "error"),
        rows=tuple(
            (to_rfc3339(n.at), n.channel or EMPTY, _message(n.message), n.status, n.error or EMPTY)
            for n in review.notifications
        ),
    )


def _message(message: Message) -> str:
    """`opened`, `escalated to level 2`."""
    is_level = message.kind == MessageKind.ESCALATED and message.level
    return f"{message.kind} to level {message.level}" if is_level else message.kind.value


def _follow_up(review: Review, incident: Incident) -> Sequence[tuple[bool, str]]:
    found = []
    for follow_up in incident.follow_ups:
        is_done = follow_up.done_at is not None
        state = "" if is_done else ", overdue" if follow_up.due < review.made_at else ", open"
        until = to_rfc3339(follow_up.due)
        found.append((is_done, f"{follow_up.text} ({follow_up.owner}, until {until}{state})"))
    return found


def _checks(incident: Incident, phase: str) -> Sequence[tuple[bool, str]]:
    found = []
    for item in incident.checklist:
        if item.phase != phase:
            continue
        done = f" ({item.done_by}, {to_rfc3339(item.done_at)})" if item.done_at is not None else ""
        note = f": {item.note}" if item.note else ""
        found.append((item.done_at is not None, f"{item.text}{done}{note}"))
    return found


def _runbook(review: Review) -> Section:
    book = review.runbook
    return Section(
        title="Runbook",
        lines=(
            f"What it is: {book.what}",
            f"How to check: {book.check}",
            f"What to do: {book.act}",
            f"When it is wrong: {book.wrong}",
        ),
    )
