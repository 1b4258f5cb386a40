"""Tells people of maintenance ahead: once for each time that a window opens.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:maintenance:told:SHA` | string | 7 days after the window's end | one per notice |

The mark and the message are written in one MULTI: a notice is neither lost nor sent twice. One that is late, because
the service was down, is sent as long as the window has not begun.
"""

import enum
import hashlib
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from redis.asyncio.client import Pipeline

from actions.delivery.message import Message, MessageKind
from actions.delivery.outbox import Outbox
from actions.quiet.maintenance import Occurrence, Window, occurrences
from actions.quiet.maintenance_windows import Maintenance
from actions.quiet.matchers import matchers_as_text
from actions.storage import DAY_MS, Client, act_key, begin, change
from detectors.finding import Priority, Severity

RULE = "maintenance"
"""What stands for a rule in these messages, for routes to name."""
END_TOLD_MS = 3_600_000
"""That a window is over is told this long afterwards at most."""
MARK_KEPT_MS = 7 * DAY_MS


class NoticeKind(enum.StrEnum):
    """What a notice tells of an occurrence."""

    AHEAD = "ahead"
    BEGUN = "begun"
    OVER = "over"


class NoticeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy says of all notices."""

    channels: tuple[str, ...] = ()
    """Names; empty: where the policy's routes lead."""
    at_start: bool = False
    at_end: bool = False


NOTICE_AHEAD_ONLY = NoticeSettings()
"""Where the policy says nothing."""


def told_key(window: Window, starts_at: int, kind: NoticeKind) -> str:
    """Remembers that a notice was written."""
    which = f"{window.id or window.name} {starts_at} {kind.value}"
    return act_key("maintenance", "told", hashlib.sha256(which.encode()).hexdigest()[:32])


class MaintenanceNotices:
    """Writes the notices that are due. Any number of processes may."""

    def __init__(
        self, redis: Client, now: Callable[[], int], outbox: Outbox, maintenance: Maintenance
    ) -> None:
        self._redis = redis
        self._now = now
        self._outbox = outbox
        self._maintenance = maintenance
        self._known: dict[str, int] = {}
        self.settings = NOTICE_AHEAD_ONLY
        """Set whenever the policy changes."""

    async def write_due(self) -> int:
        """Writes what is due and was not written yet, by whomever; says how many. Raises: StorageError."""
        now, written = self._now(), 0
        self._known = {key: until for key, until in self._known.items() if until > now}
        for window in await self._maintenance.windows(now):
            for found, kind in due(window, now, self.settings):
                key = told_key(window, found.starts_at, kind)
                if key not in self._known:
                    written += await self._write(key, found, kind, now)
                    self._known[key] = found.ends_at + END_TOLD_MS
        return written

    async def _write(self, key: str, found: Occurrence, kind: NoticeKind, now: int) -> bool:
        async def step(pipe: Pipeline) -> bool:
            if await pipe.exists(key):
                return False
            begin(pipe)
            pipe.set(key, b"1", px=max(1, found.ends_at - now) + MARK_KEPT_MS)
            self._outbox.stage(pipe, notice_of(found, kind, now, self.settings.channels))
            return True

        return await change(self._redis, "announcing maintenance", [key], step)


def due(window: Window, now: int, settings: NoticeSettings) -> list[tuple[Occurrence, NoticeKind]]:
    """The notices of a window that should have been written by `now`, written or not.

    A window that begins when somebody announces it has no time ahead: that it has begun is its notice.
    """
    found = []
    for one in occurrences(window, now - END_TOLD_MS, now + (window.notice_ms or 0) + 1):
        if now < one.starts_at:
            found.append((one, NoticeKind.AHEAD))
        elif now < one.ends_at:
            is_sudden = window.created_at is not None and window.created_at >= one.starts_at
            if settings.at_start or is_sudden:
                found.append((one, NoticeKind.BEGUN))
        elif settings.at_end:
            found.append((one, NoticeKind.OVER))
    return found if window.notice_ms is not None else [one for one in found if one[1] is not NoticeKind.AHEAD]


def notice_of(found: Occurrence, kind: NoticeKind, now: int, channels: tuple[str, ...]) -> Message:
    """The message itself. `channels`: those for all windows, where this one names none."""
    window, span = found.window, _span(found)
    title = {
        NoticeKind.AHEAD: f"Maintenance ahead: {window.name}, {span}",
        NoticeKind.BEGUN: f"Maintenance has begun: {window.name}, {span}",
        NoticeKind.OVER: f"Maintenance is over: {window.name}, {span}",
    }[kind]
    lines = [f"{title}."]
    if window.comment:
        lines.append(f"{window.comment} ({window.author})")
    if kind is not NoticeKind.OVER:
        which = f" ({matchers_as_text(window.matchers)})" if window.matchers else ""
        lines.append(
            f"Messages about the service's health{which} are muted while it lasts; security goes on, blocking included."
        )
    return Message(
        kind=MessageKind.NOTICE,
        incident_id="",
        rule=RULE,
        subject=window.name,
        severity=Severity.LOW,
        priority=Priority.P3,
        title=title,
        text="\n".join(lines),
        at=now,
        channels=window.channels or channels,
    )


def _span(found: Occurrence) -> str:
    """`Sun 2026-12-06 02:00 to 06:00 UTC`, and the same on the window's own clock where that is another."""
    zone = found.window.schedule.timezone if found.window.schedule else "UTC"
    own = "" if zone == "UTC" else f" ({_on_clock(found, zone)})"
    return _on_clock(found, "UTC") + own


def _on_clock(found: Occurrence, zone: str) -> str:
    clock = ZoneInfo(zone)
    first, last = (datetime.fromtimestamp(at // 1000, clock) for at in (found.starts_at, found.ends_at))
    day = "" if last.date() == first.date() else f"{last:%a %Y-%m-%d} "
    return f"{first:%a %Y-%m-%d %H:%M} to {day}{last:%H:%M} {zone}"
