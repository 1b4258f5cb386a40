"""The policy's keys about maintenance: `maintenance` and `maintenance_notice`."""

import re
from collections.abc import Callable, Mapping, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from actions.quiet.maintenance import LONGEST_MS, LONGEST_NOTICE_MS, Range, Schedule, Window, has_a_day
from actions.quiet.maintenance_notices import NoticeSettings
from actions.quiet.maintenance_windows import LONGEST_NAME, MOST_PLANNED
from actions.quiet.matchers import Matcher, MatchField, check_matchers, matchers_as_text
from app.durations import format_duration, parse_duration
from app.policies.nodes import Value
from detectors.timestamps import parse_time

RECURRING = ("weekdays", "days_of_month", "months", "at", "timezone")
ONCE = ("from", "until")
KEYS = frozenset({*RECURRING, *ONCE, "name", "duration", "dates", "notice", "matchers", "channels"})
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
MOST_DATES = 100
LATEST_MS = 7_258_118_400_000
"""2200-01-01: a date later than that is a slip of the pen."""
MOST_CHANNELS = 20
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_NUMBER = re.compile(r"-?[0-9]{1,2}")
_DAYS_AT_LEAST = 28


def read_maintenance(value: Value) -> tuple[Window, ...]:
    """The list of windows. Raises: ConfigError on the line of the key that is wrong."""
    entries = value.listed()
    if len(entries) > MOST_PLANNED:
        value.fail(f"more than {MOST_PLANNED} windows")
    found: dict[str, Window] = {}
    for entry in entries:
        window = _window(entry)
        if window.name in found:
            entry.fail(f"there is a window {window.name!r} already")
        found[window.name] = window
    return tuple(found.values())


def read_maintenance_notice(value: Value) -> NoticeSettings:
    """`{channels: [slack], start: true, end: true}`. Raises: ConfigError on the line of what is wrong."""
    members = value.members({"channels", "start", "end"})
    return NoticeSettings(
        channels=_channels(members),
        at_start=members["start"].boolean() if "start" in members else False,
        at_end=members["end"].boolean() if "end" in members else False,
    )


def _window(value: Value) -> Window:
    members = value.members(KEYS)
    if "name" not in members:
        value.fail("needs a name, by which silenced messages and notices call it")
    name = members["name"].text()
    if len(name) > LONGEST_NAME:
        members["name"].fail(f"has more than {LONGEST_NAME} characters")
    starts, duration_ms = _given(value, members)
    schedule = None if starts else _schedule(value, members)
    return Window(
        name=name,
        duration_ms=duration_ms,
        schedule=schedule,
        starts=starts,
        notice_ms=_length(members["notice"], LONGEST_NOTICE_MS) if "notice" in members else None,
        matchers=_matchers(members["matchers"]) if "matchers" in members else (),
        channels=_channels(members),
    )


def _given(value: Value, members: Mapping[str, Value]) -> tuple[tuple[int, ...], int]:
    """Its beginnings, none where it recurs, and its length in ms."""
    ways = [key for key in ("at", "dates", "from") if key in members]
    if len(ways) != 1:
        value.fail("needs one of: at (it recurs), dates (planned by hand), from (once)")
    allowed = {"at": (*RECURRING, "duration"), "dates": ("dates", "duration"), "from": ONCE}[ways[0]]
    for key in (*RECURRING, *ONCE, "duration"):
        if key in members and key not in allowed:
            members[key].fail(f"cannot stand beside {ways[0]}")
    if ways == ["from"]:
        if "until" not in members:
            value.fail("needs until beside from")
        start, end = _moment(members["from"]), _moment(members["until"])
        if not 0 < end - start <= LONGEST_MS:
            members["until"].fail(f"must be later than from, by {format_duration(LONGEST_MS)} at most")
        return (start,), end - start
    if "duration" not in members:
        value.fail(f"needs a duration beside {ways[0]}, such as 4h")
    starts = _dates(members["dates"]) if "dates" in members else ()
    return starts, _length(members["duration"], LONGEST_MS)


def _dates(value: Value) -> tuple[int, ...]:
    entries = value.each()
    if not 1 <= len(entries) <= MOST_DATES:
        value.fail(f"needs 1 to {MOST_DATES} times")
    return tuple(sorted({_moment(entry) for entry in entries}))


def _moment(value: Value) -> int:
    text = value.text()
    at = None if text.isdecimal() or ":" not in text else parse_time(text)
    if at is None:
        value.fail(f"{text!r} is not a time; write 2026-12-06T02:00:00Z")
    if at >= LATEST_MS:
        value.fail(f"{text!r} lies after the year 2199")
    return at


def _length(value: Value, longest_ms: int) -> int:
    found = value.parse(parse_duration)
    if found > longest_ms:
        value.fail(f"must not be longer than {format_duration(longest_ms)}")
    return found


def _schedule(value: Value, members: Mapping[str, Value]) -> Schedule:
    found = Schedule(
        weekdays=_ranges(members, "weekdays", lambda part: _named(part, WEEKDAYS)),
        days_of_month=_ranges(members, "days_of_month", _day),
        months=_ranges(members, "months", lambda part: _named(part, MONTHS)),
        at_minute=members["at"].parse(_minute),
        timezone=members["timezone"].parse(_zone) if "timezone" in members else "UTC",
    )
    if not has_a_day(found):
        members.get("days_of_month", value).fail("no day of any year fits this window")
    return found


def _ranges(members: Mapping[str, Value], key: str, read: Callable[[str], int]) -> tuple[Range, ...]:
    """`monday`, `'1:7'`: one, or from one to another."""
    if key not in members:
        return ()
    found = tuple(entry.parse(lambda text: _range(text, read)) for entry in members[key].each())
    if not found:
        members[key].fail("needs at least one entry; leave the key out where any will do")
    return found


def _range(text: str, read: Callable[[str], int]) -> Range:
    first, colon, last = (part.strip() for part in text.partition(":"))
    low = read(first)
    high = read(last) if colon else low
    if low < 0 < high:
        raise ValueError(f"{text!r} counts from the end of the month and goes on from its beginning")
    if low > (_DAYS_AT_LEAST + high + 1 if low > 0 > high else high):
        raise ValueError(f"{text!r} ends before it begins; write two entries")
    return low, high


def _named(text: str, names: Sequence[str]) -> int:
    """Its place among the names, from 1; months also by number."""
    if text.lower() in names:
        return names.index(text.lower()) + 1
    if len(names) == len(MONTHS) and text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= len(MONTHS):
        return int(text)
    raise ValueError(f"{text!r} is none of {', '.join(names)}")


def _day(text: str) -> int:
    day = int(text) if _NUMBER.fullmatch(text) else 0
    if not 1 <= abs(day) <= 31:
        raise ValueError(f"{text!r} is not a day of the month: 1 to 31, or -1 to -31 from its end")
    return day


def _minute(text: str) -> int:
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        raise ValueError(f"{text!r} is not a time of day; write 02:00")
    return int(clock[1]) * 60 + int(clock[2])


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text!r} is not a timezone; write UTC or Europe/Berlin") from None
    return text


def _matchers(value: Value) -> tuple[Matcher, ...]:
    """`{rule: high_error_rate, host: {glob: 'api-*'}, severity: [low, medium]}`."""
    found = []
    for name, entry in value.members([field.value for field in MatchField]).items():
        is_glob = entry.is_mapping
        if is_glob:
            inner = entry.members({"glob"})
            if not inner:
                entry.fail("needs glob: a pattern such as api-*")
            entry = inner["glob"]
        values = tuple(part.text() for part in entry.each())
        matcher = Matcher(field=MatchField(name), values=values, glob=is_glob)
        try:
            check_matchers([matcher])
        except ValueError as error:
            entry.fail(str(error).removeprefix("matchers: "))
        found.append(matcher)
    return tuple(found)


def _channels(members: Mapping[str, Value]) -> tuple[str, ...]:
    if "channels" not in members:
        return ()
    found = tuple(dict.fromkeys(entry.text() for entry in members["channels"].each()))
    if len(found) > MOST_CHANNELS:
        members["channels"].fail(f"more than {MOST_CHANNELS} channels")
    return found


def schedule_text(schedule: Schedule) -> str:
    """In the policy's words: `weekdays sunday, days_of_month 1:7, at 02:00 UTC`."""
    parts = [
        f"{key} {' '.join(_range_text(ends, names) for ends in ranges)}"
        for key, ranges, names in (
            ("weekdays", schedule.weekdays, WEEKDAYS),
            ("days_of_month", schedule.days_of_month, ()),
            ("months", schedule.months, MONTHS),
        )
        if ranges
    ]
    hour, minute = divmod(schedule.at_minute, 60)
    return ", ".join([*parts, f"at {hour:02d}:{minute:02d} {schedule.timezone}"])


def window_text(window: Window) -> str:
    """One window in a sentence."""
    when = f"{len(window.starts)} given times" if window.schedule is None else schedule_text(window.schedule)
    parts = [f"{window.name}: {when}, for {format_duration(window.duration_ms)}"]
    parts += [f"notice {format_duration(window.notice_ms)} before"] if window.notice_ms is not None else []
    parts += [f"mutes {matchers_as_text(window.matchers)}"] if window.matchers else []
    parts += [f"told on {' '.join(window.channels)}"] if window.channels else []
    return ", ".join(parts)


def notice_text(settings: NoticeSettings) -> str:
    """What holds for all notices; empty where nothing is said."""
    parts = [f"on {' '.join(settings.channels)}"] if settings.channels else []
    parts += ["at the start"] * settings.at_start + ["at the end"] * settings.at_end
    return ", ".join(parts)


def _range_text(ends: Range, names: Sequence[str]) -> str:
    first, last = (names[end - 1] if names else str(end) for end in ends)
    return first if first == last else f"{first}:{last}"
