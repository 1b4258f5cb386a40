"""Tells again of incidents that nobody has acknowledged, and at last of those that were muted. Keys: letters.py.

Source: `repeat_interval` of Alertmanager, and that what still fires when a silence ends is told. Only through real-time
channels: an inbox keeps what it was sent.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from actions.delivery.dispatch import Dispatcher
from actions.delivery.letters import Letters, outbox_key, repeats_key
from actions.delivery.message import Message, MessageKind, message_about
from actions.errors import UnknownError
from actions.incidents.incident import Incident
from actions.incidents.incidents import Incidents
from actions.incidents.status import IncidentStatus
from actions.storage import Client, load_script, storage_errors, text_of

AT_ONCE = 100


class Repeats:
    """Writes again what is due. Any number of processes may."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        incidents: Incidents,
        letters: Letters,
        dispatcher: Dispatcher,
    ) -> None:
        """Routes, timing and muting are the dispatcher's."""
        self._redis = redis
        self._now = now
        self._incidents = incidents
        self._letters = letters
        self._dispatcher = dispatcher
        self._repeat = load_script(redis, "repeat_message")

    async def step(self) -> int:
        """Writes a message for each channel and incident that is due and still untouched; says how many.

        Raises: StorageError.
        """
        now, written = self._now(), 0
        timing = self._dispatcher.timing
        with storage_errors("reading what is told again"):
            due: Any = await self._redis.zrangebyscore(repeats_key(), "-inf", now, start=0, num=AT_ONCE)
        for member in due:
            channel, _, incident_id = text_of(member).partition(" ")
            message = await self._message(channel, incident_id, now)
            raw, next_at = b"", 0
            if (
                message is not None
                and await self._dispatcher.muting.muted_by(message, self._now()) is not None
            ):
                next_at = now + timing.group_interval_ms
            elif message is not None:
                raw, next_at = msgspec.json.encode(message), now + timing.repeat_interval_ms
            with storage_errors("telling again"):
                is_ours = await self._repeat(
                    keys=[repeats_key(), outbox_key()], args=[member, now, raw, next_at]
                )
            written += bool(raw) and bool(is_ours)
        return written

    async def _message(self, channel: str, incident_id: str, now: int) -> Message | None:
        """The message; None where nobody need be told any more."""
        if channel not in self._dispatcher.routes.real_time():
            return None
        try:
            incident = await self._incidents.get(incident_id)
        except UnknownError:
            return None
        if incident.status != IncidentStatus.TRIGGERED:
            return None
        [told] = await self._letters.told(channel, [incident_id])
        message = (
            _again(incident, now) if told else message_about(incident, MessageKind.OPENED, incident.why, now)
        )
        return msgspec.structs.replace(message, channels=(channel,))


def _again(incident: Incident, now: int) -> Message:
    why = f"{incident.why}\nNobody has acknowledged it for {_hours(now - incident.triggered_at)}."
    return message_about(incident, MessageKind.UPDATE, why, now)


def _hours(ms: int) -> str:
    minutes = max(1, ms // 60_000)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
