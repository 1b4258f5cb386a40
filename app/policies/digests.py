"""The policy's `digests`: what is summed up by day and by week, when it is sent, and where to."""

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from actions.digests.periods import DEFAULT_AT_MINUTE, DigestPlan, Rhythm, Schedule
from app.policies.nodes import Value

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
MOST_CHANNELS = 50


def read_digests(value: Value) -> DigestPlan:
    """`daily: {at: "07:00", channels: [mail]}`, `weekly: {...}`, `timezone: Europe/Berlin`.

    A rhythm that is not named is off. Raises: ConfigError on the line that is wrong.
    """
    members = value.members({*(rhythm.value for rhythm in Rhythm), "timezone"})
    schedules = tuple(_schedule(members[rhythm], rhythm) for rhythm in Rhythm if rhythm.value in members)
    if not schedules:
        value.fail("names no digest: write daily, weekly or both")
    return DigestPlan(schedules, members["timezone"].parse(zone_named) if "timezone" in members else "UTC")


def zone_named(text: str) -> str:
    """A name of the IANA database. Raises: ValueError for another."""
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text!r} is not a timezone; write a name such as UTC or Europe/Berlin") from None
    return text


def _schedule(value: Value, rhythm: Rhythm) -> Schedule:
    members = value.members({"at", "channels", "skip_empty"})
    channels: list[str] = []
    for entry in members["channels"].each() if "channels" in members else ():
        if entry.text() in channels:
            entry.fail(f"{entry.text()!r} stands here a second time")
        channels.append(entry.text())
    if len(channels) > MOST_CHANNELS:
        members["channels"].fail(f"more than {MOST_CHANNELS} channels")
    return Schedule(
        rhythm,
        members["at"].parse(minute_of) if "at" in members else DEFAULT_AT_MINUTE,
        tuple(channels),
        skip_empty=members["skip_empty"].boolean() if "skip_empty" in members else False,
    )


def minute_of(text: str) -> int:
    """Minutes since midnight of `07:00`. Raises: ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f'{text!r} is not a time of day; write "07:00"')
    return int(found[1]) * 60 + int(found[2])
