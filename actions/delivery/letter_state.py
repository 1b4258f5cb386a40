"""What of a letter is still true at the moment of sending, and how its end is recorded for each incident."""

import msgspec

from actions.delivery.letters import Counted, Ending, Letters, Note, Outcome, Taken
from actions.delivery.message import Letter, Message, message_about
from actions.delivery.outbox import DeliveryStatus
from actions.delivery.told import OPENING, UNTOLD, Told, ref_of, superseded
from actions.incidents.incident import Incident
from actions.incidents.keys import incident_key
from actions.incidents.status import IncidentStatus
from actions.storage import Client, storage_errors

_decode = msgspec.json.Decoder(Incident).decode

Part = Message | Counted


def incident_of(part: Part) -> str:
    """The incident that a part speaks of; "" where it is of none."""
    return part.incident_id if isinstance(part, Message) else part.incident


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A letter, held against what is true now."""

    current: tuple[tuple[Message, str], ...]
    """The messages to send, each with its JSON."""
    counted: tuple[Counted, ...]
    """Of those that are only counted, the ones that are still true."""
    dropped: tuple[tuple[Part, str, str], ...]
    """The others: each with its JSON ("" for one that was only counted), and why."""
    incidents: dict[str, Incident]
    told: dict[str, Told]
    is_log: bool
    """The service's own log gets everything, and is no reader of whom an incident's timeline speaks."""

    @property
    def untold(self) -> str:
        """The incident of a part that is dropped because nobody was told what it answers to; "": there is none."""
        return next((incident_of(part) for part, _, why in self.dropped if why == UNTOLD), "")

    def letter(self, taken: Taken) -> Letter:
        """What the channel is handed."""
        messages = tuple(message for message, _ in self.current)
        total = len(messages) + len(self.counted)
        first = messages[0]
        is_one = total == 1
        told = self.told.get(first.incident_id)
        return Letter(
            channel=taken.channel,
            messages=messages,
            incident=self.incidents.get(first.incident_id) if is_one else None,
            ref=ref_of(told, first.episode) if is_one else "",
            id=taken.id,
            total=total,
        )

    def ending(
        self, channel: str, result: str, *, error: str, ref: str, notice: str, repeat_at: int
    ) -> Ending:
        """How the letter ends. `ref`: what the channel answered. `repeat_at`: when those unanswered are told again."""
        status = DeliveryStatus.DELIVERED if result == "delivered" else DeliveryStatus.FAILED
        notes = [Note(status, error, text) for _, text in self.current]
        notes += [Note(DeliveryStatus.SUPERSEDED, why, text) for _, text, why in self.dropped if text]
        outcomes: dict[str, Outcome] = {}
        for gone, _, why in self.dropped:
            outcomes[incident_of(gone)] = self._outcome(
                gone, "not_notified", f"not told through {channel}: {why}"
            )
        parts: list[Part] = [*(message for message, _ in self.current), *self.counted]
        for part in parts:
            entry, text = "notified", f"told through {channel}: {part.kind}"
            if result != "delivered":
                entry, text = "notify_failed", f"{channel} could not be told: {error}"
            at = repeat_at if result == "delivered" and self._is_unanswered(part) else 0
            outcomes[incident_of(part)] = self._outcome(part, entry, text, result == "delivered", at)
        outcomes.pop("", None)
        incidents = tuple(outcomes.values())
        return Ending(
            result=result,
            error=error,
            ref=ref if len(incidents) == 1 else "",
            notice=notice,
            notes=tuple(notes),
            incidents=incidents,
        )

    def _outcome(self, part: Part, entry: str, text: str, told: bool = False, repeat_at: int = 0) -> Outcome:
        return Outcome(
            incident=incident_of(part),
            told=told and not self.is_log,
            kind=part.kind,
            episode=part.episode,
            entry="" if self.is_log else entry,
            text=text,
            repeat_at=repeat_at,
        )

    def _is_unanswered(self, part: Part) -> bool:
        incident = self.incidents.get(incident_of(part))
        is_triggered = incident is not None and incident.status == IncidentStatus.TRIGGERED
        return is_triggered and part.kind in OPENING


async def read_state(redis: Client, letters: Letters, taken: Taken, *, is_log: bool) -> Reading:
    """Reads the incidents of a letter as they are now and what the channel was told of them.

    Raises: StorageError.
    """
    messages = taken.letter.read()
    parts: list[tuple[Part, str]] = list(zip(messages, taken.letter.messages, strict=True))
    parts += [(counted, "") for counted in taken.letter.rest]
    names = list(dict.fromkeys(name for part, _ in parts if (name := incident_of(part))))
    incidents = {} if is_log else await _incidents(redis, names)
    told = await letters.told(taken.channel, names) if not is_log else []
    known = {name: one for name, one in zip(names, told, strict=False) if one is not None}
    current: list[tuple[Message, str]] = []
    counted: list[Counted] = []
    dropped: list[tuple[Part, str, str]] = []
    for part, text in parts:
        name = incident_of(part)
        why = superseded(part.kind, part.episode, incidents.get(name), known.get(name))
        if why:
            dropped.append((part, text, why))
        elif isinstance(part, Message):
            current.append((part, text))
        elif not current and name in incidents:
            current.append(_written_again(part, incidents[name]))
        else:
            counted.append(part)
    return Reading(
        current=tuple(current),
        counted=tuple(counted),
        dropped=tuple(dropped),
        incidents=incidents,
        told=known,
        is_log=is_log,
    )


def _written_again(part: Counted, incident: Incident) -> tuple[Message, str]:
    """The message of one that was only counted: all that were kept have become untrue."""
    message = message_about(incident, part.kind, incident.why, incident.last_seen)
    message = msgspec.structs.replace(message, episode=part.episode)
    return message, msgspec.json.encode(message).decode()


async def _incidents(redis: Client, names: list[str]) -> dict[str, Incident]:
    if not names:
        return {}
    with storage_errors("reading incidents"):
        items = await redis.mget([incident_key(name) for name in names])
    return {name: _decode(item) for name, item in zip(names, items, strict=True) if item is not None}
