"""A digest in headed sections of short lines, the same for text and HTML. Nothing is escaped here."""

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from actions.digests.periods import Rhythm, day_of, day_text
from actions.digests.report import BlockTally, Digest, Line, RuleBlocks, Tally
from actions.elapsed import elapsed

LONGEST_TITLE = 120
LONGEST_NAME = 64
LONGEST_MISSED = 7
WHICH = {Rhythm.DAILY: "daily", Rhythm.WEEKLY: "weekly"}


class Row(msgspec.Struct, frozen=True):
    """One line: what it is about, and what is to be said of it."""

    label: str
    detail: str = ""


class Section(msgspec.Struct, frozen=True):
    """What stands under one heading. One without lead and rows is left out."""

    heading: str
    lead: str = ""
    rows: tuple[Row, ...] = ()


def headline(digest: Digest) -> str:
    """`Daily digest, 24 Nov 2026: 3 incidents, 2 resolved, 41 blocks`."""
    days = digest.period.days_text + ("" if digest.is_over else " so far")
    said = "nothing happened"
    if not digest.is_empty:
        opened, made = digest.opened.total, digest.blocks.made
        said = f"{counted(opened, 'incident')}, {digest.resolved.total} resolved, {counted(made, 'block')}"
    return f"{digest.period.rhythm.capitalize()} digest, {days}: {said}"


def sections_of(digest: Digest) -> tuple[Section, ...]:
    """What there is to say, the most important first."""
    nothing = "No incident, no block, and nobody changed anything." if digest.is_empty else ""
    found = (
        Section("Nothing happened", nothing),
        _incidents(digest),
        Section("Response times", rows=tuple(_response(digest))),
        Section("Verdicts", rows=tuple(_verdicts(digest))),
        Section(
            f"Told in this {WHICH[digest.period.rhythm]} digest first",
            rows=_capped(digest.gathered, digest.gathered_total),
        ),
        Section("Open from before", rows=_capped(digest.waiting, digest.waiting_total)),
        Section("Resolved from before", rows=_capped(digest.ended, digest.ended_total)),
        _blocks(digest.blocks),
        Section("Top attackers", rows=tuple(_attackers(digest))),
        Section("Accounts most attacked", rows=tuple(_accounts(digest))),
        Section("Who acted", rows=tuple(_people(digest))),
        _overdue(digest),
        Section("Notifications that failed", rows=tuple(_failures(digest))),
        Section("Maintenance ahead", rows=tuple(_ahead(digest))),
        Section("What is missing here", rows=tuple(_missing(digest))),
    )
    return tuple(section for section in found if section.lead or section.rows)


def shown(text: str, longest: int) -> str:
    """A text from a log as one line of visible characters, cut where it is long: nothing in it moves the others."""
    visible = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    return visible if len(visible) <= longest else visible[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def counted(number: int, noun: str) -> str:
    """`1 block`, `41 blocks`, `1,200 blocks`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(rate: float) -> str:
    """`20%` for 0.2; never 0% or 100% for what is not quite that."""
    text = f"{rate * 100:.0f}%"
    return f"{rate * 100:.1f}%" if text in ("0%", "100%") and rate not in (0, 1) else text


def _graded(tally: Tally) -> str:
    grades = ", ".join(f"{count:,} {name}" for name, count in tally.by_priority.items())
    return f"{tally.total:,}" + (f" ({grades})" if grades else "")


def _incidents(digest: Digest) -> Section:
    if digest.is_empty:
        return Section("Incidents")
    parts = [
        f"{_graded(digest.opened)} opened",
        f"{_graded(digest.resolved)} resolved",
        f"{_graded(digest.still_open)} open now",
    ]
    if digest.merged:
        parts.append(f"{digest.merged:,} part of others")
    if digest.reopened:
        parts.append(f"{digest.reopened:,} reopened")
    told = digest.opened.total - digest.gathered_total
    return Section("Incidents", ", ".join(parts), _capped(digest.listed, told))


def _response(digest: Digest) -> Iterable[Row]:
    found = digest.response
    for what, times in (("acknowledged", found.to_acknowledge), ("resolved", found.to_resolve)):
        if times.count:
            detail = f"median {elapsed(times.median_ms)}, nine of ten within {elapsed(times.p90_ms)}"
            yield Row(f"{times.count:,} {what}", detail)
    for priority, target in found.targets.items():
        late = f", {target.missed:,} missed" if target.missed else ""
        waiting = f", {target.waiting:,} still have time" if target.waiting else ""
        yield Row(f"{priority}, target {elapsed(target.response_ms)}", f"{target.met:,} met{late}{waiting}")


def _verdicts(digest: Digest) -> Iterable[Row]:
    for rule, said in digest.response.judged.items():
        wrong = f"false positives {said.false_positives:,} ({percent(said.rate)})"
        yield Row(shown(rule, LONGEST_NAME), f"{counted(said.judged, 'incident')} judged, {wrong}")


def _capped(lines: tuple[Line, ...], total: int) -> tuple[Row, ...]:
    rows = [Row(_label(line), shown(line.title, LONGEST_TITLE)) for line in lines]
    return (*rows, *_more(total - len(lines)))


def _more(left: int) -> Iterable[Row]:
    return [Row(f"and {left:,} more")] if left > 0 else []


def _label(line: Line) -> str:
    verdict = f" ({line.verdict.replace('_', ' ')})" if line.verdict else ""
    lead = f", {shown(line.lead, LONGEST_NAME)}" if line.lead else ""
    return f"{line.priority} {line.id} {line.status}{verdict}{lead}"


def _blocks(blocks: BlockTally) -> Section:
    if not (blocks.made or blocks.approved or blocks.lifted or blocks.rejected):
        return Section("Blocks")
    parts = [f"{blocks.made:,} made"]
    parts += [f"{blocks.by_people:,} of them not by a rule"] if blocks.by_people else []
    parts += [f"{blocks.proposed:,} wait for a person"] if blocks.proposed else []
    parts += [f"{blocks.lifted:,} lifted", f"{blocks.rejected:,} rejected", f"{blocks.approved:,} approved"]
    return Section("Blocks", ", ".join(parts), tuple(Row(row.rule, _of_rule(row)) for row in blocks.rules))


def _of_rule(row: RuleBlocks) -> str:
    rate = row.false_positive_rate
    if rate is None:
        return f"{row.made:,} made, none reviewed"
    return f"{row.made:,} made, {row.reviewed:,} reviewed, false positives {row.rejected:,} ({percent(rate)})"


def _attackers(digest: Digest) -> Iterable[Row]:
    for found in digest.attackers:
        parts = [
            *([counted(found.strikes, "strike")] if found.strikes else []),
            *([counted(found.blocks, "block")] if found.blocks else []),
            *([counted(found.events, "event")] if found.events else []),
            *([counted(found.incidents, "incident")] if found.incidents else []),
        ]
        yield Row(shown(found.address, LONGEST_NAME), ", ".join(parts))


def _accounts(digest: Digest) -> Iterable[Row]:
    for found in digest.accounts:
        said = f"{counted(found.incidents, 'incident')}, {counted(found.events, 'event')}"
        yield Row(shown(found.name, LONGEST_NAME), said)


def _people(digest: Digest) -> Iterable[Row]:
    for person in digest.people:
        done = ", ".join(f"{shown(name, LONGEST_NAME)} {count:,}" for name, count in person.actions.items())
        yield Row(f"{shown(person.name, LONGEST_NAME)} ({person.role})", done)


def _overdue(digest: Digest) -> Section:
    rows = [
        Row(
            f"{item.incident_id}, {shown(item.owner, LONGEST_NAME)}, due {_day(digest, item.due)}",
            shown(item.text, LONGEST_TITLE),
        )
        for item in digest.overdue
    ]
    return Section("Overdue follow-ups", rows=(*rows, *_more(digest.overdue_total - len(rows))))


def _failures(digest: Digest) -> Iterable[Row]:
    for found in digest.failures:
        name, reason = shown(found.channel, LONGEST_NAME), shown(found.error, LONGEST_TITLE)
        yield Row(f"{name}: {counted(found.count, 'message')}", f"the last: {reason}" if reason else "")


def _ahead(digest: Digest) -> Iterable[Row]:
    for found in digest.ahead:
        ends_at = f"{_clock(digest, found.starts_at)} to {_clock(digest, found.ends_at)}"
        yield Row(shown(found.name, LONGEST_NAME), ends_at)


def _missing(digest: Digest) -> Iterable[Row]:
    if digest.missed:
        days = [period.days_text for period in digest.missed[-LONGEST_MISSED:]]
        left = len(digest.missed) - len(days)
        more = f"{left:,} before and " if left else ""
        why = "the service was down, or they were off"
        yield Row(f"No {WHICH[digest.period.rhythm]} digest was sent for {more}{', '.join(days)}", why)
    for sentence in digest.cuts:
        yield Row(sentence)


def _day(digest: Digest, at: int) -> str:
    return day_text(day_of(at, digest.period.timezone))


def _clock(digest: Digest, at: int) -> str:
    wall = datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(digest.period.timezone))
    return f"{day_text(wall.date())} {wall:%H:%M}"
