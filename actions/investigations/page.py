"""A dossier as a page of Markdown, for people and their tickets. Every text in it is escaped."""

from collections.abc import Iterator, Sequence

from actions.incidents.runbook import runbook_of
from actions.investigations.dossiers import Dossier
from actions.investigations.investigation import EventSummary, Tallied
from actions.investigations.steps import gaps_of
from actions.markdown import escaped, table
from detectors.finding import SubjectKind
from detectors.timestamps import to_rfc3339

ROWS = 50
"""Of each table on the page; the JSON has all that was kept."""


def markdown_of(dossier: Dossier, title: str = "") -> str:
    """The whole page. `title`: what a rule of the operator's own is called."""
    parts = [
        _head(dossier),
        _steps(dossier),
        _events(dossier),
        _tallies(dossier),
        _minutes(dossier),
        _network(dossier),
        _decisions(dossier),
        _incidents(dossier),
        _runbook(dossier, title),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(dossier: Dossier) -> Iterator[str]:
    place = dossier.place
    where = [place.city, place.country, place.asn and f"AS{place.asn}", place.organization] if place else []
    yield f"# Dossier: {escaped(dossier.subject)}"
    yield ""
    rows: list[tuple[str, object]] = [
        ("Kind", dossier.subject_kind or "not known"),
        ("Incident", dossier.incident_id or "none"),
        ("Rule", dossier.rule or "none"),
        ("Made at", _at(dossier.made_at)),
        ("Place", ", ".join(str(part) for part in where if part) or "not known"),
        (
            "Allowlist",
            f"{dossier.allowed_by.value}: {dossier.allowed_by.note}" if dossier.allowed_by else "no",
        ),
        ("Shared by", f"{dossier.shared_users} users" if dossier.shared_users else "nobody known"),
    ]
    yield from table(("", ""), rows)
    if dossier.left_out:
        yield ""
        yield f"{dossier.left_out} entries were left out to keep the size."


def _steps(dossier: Dossier) -> Iterator[str]:
    yield from ("", "## What to do next", "")
    if not dossier.steps:
        yield "The events are still to be read." if dossier.events is None else "Nothing."
    for number, step in enumerate(dossier.steps, 1):
        urgent = "**Urgent:** " if step.urgent else ""
        more = f" (docs/{escaped(step.runbook)})" if step.runbook else ""
        yield f"{number}. {urgent}{escaped(step.text, 1000)}{more}"


def _events(dossier: Dossier) -> Iterator[str]:
    summary = dossier.events
    yield from ("", "## What it did", "")
    if summary is None:
        yield "The events are still to be read."
        return
    yield from table(("", ""), _facts(summary))
    if summary.notable:
        yield from ("", "### Notable events", "")
        rows = [
            (
                _at(n.at),
                n.sign,
                n.method,
                n.path,
                n.status,
                n.client_ip,
                n.user,
                n.api_key,
                n.pattern,
                n.bytes,
            )
            for n in summary.notable
        ]
        headings = ("At", "Sign", "Method", "Path", "Status", "Address", "Account", "Key", "Pattern", "Bytes")
        yield from table(headings, rows[:ROWS])
        yield from _more(len(rows) - ROWS, summary.notable_left_out)
    if summary.attacks:
        yield from ("", "### Attacks", "")
        rows_of_attacks = [(a.pattern, a.events, a.answered, a.served_secret) for a in summary.attacks]
        yield from table(("Pattern", "Events", "Answered", "Secrets served"), rows_of_attacks[:ROWS])
        yield from _more(len(rows_of_attacks) - ROWS)


def _facts(summary: EventSummary) -> list[tuple[str, object]]:
    source = "the journal" if summary.source == "journal" else "the evidence only"
    return [
        ("Known from", source),
        ("Time asked for", f"{_at(summary.since_at)} to {_at(summary.until_at)}"),
        ("Missing", gaps_of(summary) or "nothing"),
        ("Events", summary.events),
        ("First", _at(summary.first_at)),
        ("Last", _at(summary.last_at)),
        ("Answers", ", ".join(f"{status} x {count}" for status, count in summary.statuses)),
        ("Logins", f"{summary.login_failures} failed, {summary.login_successes} succeeded"),
        ("Bytes served", summary.bytes),
    ]


def _tallies(dossier: Dossier) -> Iterator[str]:
    summary = dossier.events
    if summary is None:
        return
    parts: list[tuple[str, Sequence[Tallied], int, str]] = [
        ("Accounts", summary.accounts, summary.accounts_count, "logins"),
        ("Keys", summary.keys, summary.keys_count, "requests"),
        ("User agents", summary.agents, summary.agents_count, "logins"),
    ]
    if dossier.subject_kind != SubjectKind.IP:
        parts.insert(2, ("Addresses", summary.addresses, summary.addresses_count, "logins"))
    for heading, rows, count, what in parts:
        if rows:
            yield from ("", f"### {heading}", "")
            cells = [
                (
                    _placed(r.value, dossier),
                    r.events,
                    r.failures,
                    r.successes,
                    r.failures_before_success or "",
                    _at(r.success_at),
                )
                for r in rows[:ROWS]
            ]
            heads = ("", "Events", f"Failed {what}", f"Good {what}", "Failures before success", "Success at")
            yield from table(heads, cells)
            yield from _more(count - len(cells))
    if summary.paths:
        yield from ("", "### Paths", "")
        yield from table(
            ("Path", "Events", "Answers", "Bytes"),
            [(p.value, p.events, p.answers, p.bytes) for p in summary.paths[:ROWS]],
        )
        yield from _more(summary.paths_count - len(summary.paths[:ROWS]))


def _placed(value: str, dossier: Dossier) -> str:
    """An address with its place, where it is known; any other value as it is."""
    place = dossier.places.get(value)
    parts = [place.city, place.country, place.organization] if place else []
    where = ", ".join(part for part in parts if part)
    return f"{value} ({where})" if where else value


def _minutes(dossier: Dossier) -> Iterator[str]:
    summary = dossier.events
    if summary is None or not summary.minutes:
        return
    yield from ("", "### Minute by minute", "")
    rows = [(_at(m.at), m.method, m.path, m.status, m.count, m.bytes) for m in summary.minutes]
    yield from table(("Minute", "Method", "Path", "Status", "Events", "Bytes"), rows)
    yield from _more(summary.minutes_left_out)


def _network(dossier: Dossier) -> Iterator[str]:
    if not (dossier.vicinity or dossier.alike):
        return
    yield from ("", "## Neighbours", "")
    if dossier.vicinity:
        blocked = ", ".join(dossier.blocked_nearby[:ROWS]) or "nobody"
        yield f"Blocked in {escaped(dossier.vicinity)} or at the same provider: {escaped(blocked, 2000)}."
    if dossier.found_nearby:
        yield ""
        rows = [(n.subject, n.rule, _at(n.at)) for n in dossier.found_nearby[:ROWS]]
        yield from table(("Found nearby", "Rule", "Last"), rows)
    if dossier.alike:
        yield ""
        shared = [(a.subject, a.rule, a.incident_id, _at(a.at), "; ".join(a.shares)) for a in dossier.alike]
        yield from table(("Behaves alike", "Rule", "Incident", "Last", "Has in common"), shared[:ROWS])


def _decisions(dossier: Dossier) -> Iterator[str]:
    if not (dossier.earlier_blocks or dossier.spared):
        return
    yield from ("", "## Decisions", "")
    rows = [
        (b.id, b.status, b.review, b.rule, b.reason, _at(b.created_at), _at(b.until), b.changed_by, b.note)
        for b in dossier.earlier_blocks[:ROWS]
    ]
    headings = ("Block", "Status", "Review", "Rule", "Why", "Since", "Until", "Changed by", "Note")
    yield from table(headings, rows)
    for text in dossier.spared:
        yield f"- {escaped(text)}"


def _incidents(dossier: Dossier) -> Iterator[str]:
    if not dossier.earlier_incidents:
        return
    yield from ("", "## Other incidents", "")
    rows = [
        (i.id, i.rule, i.title, i.status, i.verdict, _at(i.triggered_at), i.event_count)
        for i in dossier.earlier_incidents[:ROWS]
    ]
    yield from table(("Incident", "Rule", "Title", "Status", "Verdict", "Opened", "Events"), rows)


def _runbook(dossier: Dossier, title: str) -> Iterator[str]:
    if not dossier.rule:
        return
    runbook = runbook_of(dossier.rule, title)
    yield from ("", "## Runbook", "")
    for name in ("what", "check", "act", "wrong"):
        yield f"- **{name}**: {escaped(getattr(runbook, name), 4000)}"


def _more(*left_out: int) -> Iterator[str]:
    count = sum(max(0, number) for number in left_out)
    if count:
        yield ""
        yield f"And {count} more."


def _at(ms: int | None) -> str:
    return "" if ms is None else to_rfc3339(ms)
