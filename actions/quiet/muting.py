"""Whether a message is muted, and by what: a silence of a person, or a maintenance window."""

from collections.abc import Collection
from datetime import UTC, datetime

from actions.delivery.message import ENDING, Message, MessageKind
from actions.quiet.area import NEVER_MUTED_RULES, SERVICE_RULES, Area, area_of
from actions.quiet.maintenance import active
from actions.quiet.maintenance_windows import Maintenance
from actions.quiet.matchers import match
from actions.quiet.silences import Silences
from detectors.finding import Severity

NEVER_MUTED_KINDS = frozenset(
    {MessageKind.NOTICE, MessageKind.DIGEST, MessageKind.TEST, MessageKind.ACKNOWLEDGED, *ENDING}
)
"""Not about something new. Whoever was told of an incident also learns that it is over: a pager left alone would go on
calling."""


class Muting:
    """Names what mutes a message. It never touches findings, incidents or blocks: only who is told."""

    def __init__(self, silences: Silences, maintenance: Maintenance) -> None:
        self._silences = silences
        self._maintenance = maintenance
        self.host_rules: Collection[str] = SERVICE_RULES
        """The rules whose subject is a host; set whenever the policy changes."""

    async def muted_by(self, message: Message, now: int) -> str | None:
        """What mutes a message at `now` (epoch ms), as the incident's timeline says it; None where nothing does.

        Silences come before windows, and windows mute only what is about the service's health. Asks Redis at most
        once a second. Raises: StorageError.
        """
        if is_never_muted(message):
            return None
        for silence in await self._silences.active(now):
            if match(silence.matchers, message, self.host_rules):
                return f"silence {silence.id} of {silence.author} until {_minute(silence.ends_at)}: {silence.comment}"
        if area_of(message.rule) is not Area.SERVICE:
            return None
        for window in await self._maintenance.windows(now):
            if (found := active(window, now)) and match(window.matchers, message, self.host_rules):
                return f'maintenance "{window.name}" until {_minute(found.ends_at)}'
        return None


def is_never_muted(message: Message) -> bool:
    """Whether people are told whatever they have silenced: a breach, anything immediate, a critical attack."""
    return (
        message.kind in NEVER_MUTED_KINDS
        or message.immediate
        or message.rule in NEVER_MUTED_RULES
        or (message.severity is Severity.CRITICAL and area_of(message.rule) is Area.SECURITY)
    )


def _minute(at: int) -> str:
    """`2026-11-25T14:00Z`; the seconds too where it is not a whole minute."""
    moment = datetime.fromtimestamp(at // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M}{f':{moment:%S}' if moment.second else ''}Z"
