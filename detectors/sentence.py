"""Why a finding was made, as one sentence for people.

`203.0.113.9 failed to log in 10 times in 3.2 s (limit: 10 in 1 min); last: status 401 on /login`

The words come from the rule's guide; what stands in them (a subject, the text of an event) may be an attacker's. So it
is put into its place in one pass, on one line, and cut.
"""

import re

from detectors.finding import Finding, SubjectKind
from detectors.rule import Kind, Rule

LONGEST = 300
LONGEST_SUBJECT = 80
LONGEST_TITLE = 100
NO_PHRASE = "{subject} met the rule {rule} {times}"
"""For rules without a guide and a title."""
_PLACE = re.compile(r"\{([a-z_]+)\}")
_WHO = {
    SubjectKind.USER: "as {count} different users",
    SubjectKind.IP: "from {count} different addresses",
    SubjectKind.KEY: "with {count} different keys",
    SubjectKind.HOST: "on {count} different hosts",
}
_UNITS_OF_LIMIT = {"{percent}": " %", "{scored_times}": " points"}
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def phrase_of(rule: Rule) -> str:
    """The beginning of the sentence for this rule, with its way of counting filled in."""
    phrase = rule.phrase or (f"{{subject}}: {_plain(rule.title)}, {{times}}" if rule.title else NO_PHRASE)
    if rule.kind is Kind.DISTINCT:
        phrase = phrase.replace("{times}", _with_what(rule))
    if rule.kind in (Kind.DISTINCT, Kind.STREAK, Kind.SEQUENCE):
        phrase = phrase.replace("{times}", "{each_times}").replace("{count}", "{each}")
    if rule.kind is Kind.PERCENTILE:
        return phrase.replace("{percentile}", f"{rule.percentile}").replace(
            "{rest}", f"{100 - rule.percentile}"
        )
    return phrase.replace("{times}", "{scored_times}") if rule.kind is Kind.SCORE else phrase


def _with_what(rule: Rule) -> str:
    if rule.distinct is not None:
        return _WHO[rule.distinct]
    of_field = f" of {rule.distinct_field}" if rule.distinct_field else ""
    return f"with {{count}} different values{of_field}"


def _plain(title: str) -> str:
    return title.replace("{", "(").replace("}", ")")[:LONGEST_TITLE]


def why(finding: Finding) -> str:
    """One sentence: who did what how often in what time, against what limit, and what the last event was."""
    if finding.recovered:
        return _over(finding)
    phrase = finding.phrase or NO_PHRASE
    span_ms = finding.at - finding.first_at
    said = _PLACE.sub(lambda match: _filled(match[1], finding), phrase)
    over = finding.count // max(1, finding.threshold) if "{each" in phrase else 1
    if over > 1:
        said += f", {over:,} times over,"
    if finding.count > 1 or span_ms:
        said += f" in {duration(span_ms)}"
    if finding.threshold > 1:
        said += f" (limit: {_limit(finding, phrase)} in {duration(finding.window_ms)})"
    if finding.evidence and finding.evidence[-1].matched:
        said += f"; last: {on_one_line(finding.evidence[-1].matched)}"
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"


def _over(finding: Finding) -> str:
    """That it is over, and how that was seen: `api.example is well again: 203 of 204 requests fine in 5 min`."""
    if finding.subject_kind is SubjectKind.SOURCE:
        how = f": {on_one_line(finding.evidence[-1].matched)}" if finding.evidence else " is well again"
        return f"{_subject(finding)}{how}, after {duration(_over_in_ms(finding))}"
    fine = f"{finding.count} checks passed in a row"
    if finding.total:
        fine = f"{finding.total - finding.count:,} of {finding.total:,} requests fine"
    return f"{_subject(finding)} is well again: {fine} in {duration(_over_in_ms(finding))}"


def _over_in_ms(finding: Finding) -> int:
    """What is judged over a window is said of the window, which is longer than between its first and last bucket."""
    return finding.window_ms if finding.total else finding.at - finding.first_at


def _limit(finding: Finding, phrase: str) -> str:
    if "{measured}" in phrase:
        return duration(finding.threshold, exactly=True)
    unit = next((unit for place, unit in _UNITS_OF_LIMIT.items() if place in phrase), "")
    return f"{finding.threshold:,}{unit}"


def _filled(place: str, finding: Finding) -> str:
    match place:
        case "subject":
            return _subject(finding)
        case "rule":
            return finding.rule
        case "times" | "scored_times":
            return _times(finding.count)
        case "each_times":
            return _times(finding.threshold)
        case "count":
            return f"{finding.count:,}"
        case "each":
            return f"{finding.threshold:,}"
        case "total":
            return f"{finding.total:,}"
        case "percent":
            return f"{100 * finding.count / finding.total:.0f} %" if finding.total else "too many"
        case "measured":
            return duration(finding.measured, exactly=True)
        case _:
            return ""


def _subject(finding: Finding) -> str:
    if finding.subject_kind is SubjectKind.HOST and finding.subject == "*":
        return "the service"
    return on_one_line(finding.subject)[:LONGEST_SUBJECT]


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def on_one_line(text: str) -> str:
    """The text without line breaks and control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def duration(ms: int, *, exactly: bool = False) -> str:
    """`under 0.1 s`, `3.2 s`, `4 min`, `1 h 5 min`: its two largest units, for people. `exactly`: `80 ms`."""
    if exactly and ms < 1_000:
        return f"{ms} ms"
    if ms < 100:
        return "under 0.1 s"
    if ms < 60_000:
        return f"{ms / 1000:.1f}".removesuffix(".0") + " s"
    parts = []
    for size, unit in _UNITS:
        if ms >= size:
            parts.append(f"{ms // size} {unit}")
            ms %= size
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)
