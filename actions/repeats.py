"""Tells again of incidents that nobody has acknowledged. Keys: letters.py.

Source: `repeat_interval` of Alertmanager. Only through real-time channels: an inbox keeps what it was sent.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from actions.errors import UnknownError
from actions.incident import IncidentStatus
from actions.incidents import Incidents
from actions.letters import outbox_key, repeats_key
from actions.message import MessageKind, message_about
from actions.routing import Routes, Timing
from actions.storage import Client, load_script, storage_errors, text_of

AT_ONCE = 100


class Repeats:
    """Writes again what is due. Any number of processes may."""

    def __init__(
        self, redis: Client, now: Callable[[], int], incidents: Incidents, *, routes: Routes, timing: Timing
    ) -> None:
        """`routes` and `timing` are to be set when the policy changes."""
        self._redis = redis
        self._now = now
        self._incidents = incidents
        self._repeat = load_script(redis, "repeat_message")
        self.routes = routes
        self.timing = timing

    async def step(self) -> int:
        """Writes a message for each channel and incident that is due and still untouched; says how many.

        Raises: StorageError.
        """
        now, written = self._now(), 0
        with storage_errors("reading what is told again"):
            due: Any = await self._redis.zrangebyscore(repeats_key(), "-inf", now, start=0, num=AT_ONCE)
        for member in due:
            channel, _, incident_id = text_of(member).partition(" ")
            message = await self._message(channel, incident_id, now)
            next_at = now + self.timing.repeat_interval_ms
            with storage_errors("telling again"):
                is_ours = await self._repeat(
                    keys=[repeats_key(), outbox_key()], args=[member, now, message, next_at]
                )
            written += bool(message) and bool(is_ours)
        return written

    async def _message(self, channel: str, incident_id: str, now: int) -> bytes:
        """The message, or nothing where nobody need be told again."""
        if channel not in self.routes.real_time():
            return b""
        try:
            incident = await self._incidents.get(incident_id)
        except UnknownError:
            return b""
        if incident.status != IncidentStatus.TRIGGERED:
            return b""
        why = f"{incident.why}\nNobody has acknowledged it for {_hours(now - incident.triggered_at)}."
        message = message_about(incident, MessageKind.UPDATE, why, now)
        episode = message.episode or getattr(incident, "episode", 0)
        return msgspec.json.encode(msgspec.structs.replace(message, channels=(channel,), episode=episode))


def _hours(ms: int) -> str:
    minutes = max(1, ms // 60_000)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
