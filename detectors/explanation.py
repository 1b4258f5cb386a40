"""What an event counts for, for whom, and why not for more: what `Engine.process` would do with it, and does not.

Asks the same detectors in the same way and gathers what they say with the same gatherer, so it cannot disagree. The
detectors are twins of the live ones: what those remember of earlier events is neither asked nor changed.
"""

import enum
from collections.abc import Sequence

import msgspec

from detectors.addresses import client_address
from detectors.api_key_exposure import place_of
from detectors.client_error_rate import FEWEST_ERRORS
from detectors.detector import Look, Verdict
from detectors.event import Batch, Event
from detectors.evidence import RECORD_CHARACTERS, EvidenceClerk
from detectors.finding import Evidence
from detectors.gathering import Counted, Gatherer
from detectors.reasons import Reasons
from detectors.redact import SecretFinder
from detectors.roster import Roster
from detectors.rule import Kind, Rule
from detectors.scanner import Hits
from detectors.timestamps import event_time_ms

MOST_OWN_REASONS = 20
"""Rules of the operator that are told why; a folder of Sigma rules can hold thousands."""
_REMEMBERING = frozenset({Kind.SHARED, Kind.TRAVEL})
"""Kinds to which a single event means nothing yet."""
_read_evidence = msgspec.json.Decoder(Evidence).decode


class Role(enum.StrEnum):
    """What an event is to a rule."""

    COUNTS = "counts"
    """One more towards the threshold."""
    ENDS = "ends"
    """The good one: a streak starts over, a sequence is complete."""
    MEASURED = "measured"
    """One of those of which a share or a percentile is taken, and none of the bad ones."""
    REMEMBERED = "remembered"
    """Says where somebody was, for later."""


class Counting(msgspec.Struct, frozen=True):
    """One rule that takes an event. Texts are redacted."""

    rule: Rule
    """As the detector means it: severity and threshold may differ from the policy's line."""
    role: Role
    subject: str
    matched: str
    times: int = 1
    """As often it counts: syslog's "message repeated"."""
    points: float | None = None
    """What it weighs, for a rule of points."""


class Unheard(msgspec.Struct, frozen=True):
    """One rule that does not take an event."""

    rule: str
    why: str


class Shown(msgspec.Struct, frozen=True):
    """A credential that the record shows, without itself."""

    kind: str
    fingerprint: str
    severity: str
    place: str


class Explained(msgspec.Struct, frozen=True):
    """One event. Texts are redacted, and cut as evidence is."""

    event: Event
    record: str
    at: int
    flag: str | None
    """See `event_time_ms`."""
    address: str | None
    counting: tuple[Counting, ...]
    unheard: tuple[Unheard, ...]
    unnamed: int
    """Further rules of the operator that do not take it."""
    secrets: tuple[Shown, ...]


class Explainer:
    """Explains the events of one batch, in their order. Lives only while its batch is at work."""

    def __init__(self, batch: Batch, hits: Hits, roster: Roster, secrets: SecretFinder) -> None:
        self._batch, self._hits, self._secrets = batch, hits, secrets
        self._failed: list[str] = []
        self._roster = roster.twin(lambda name, _error: self._failed.append(name))
        self._trusted = roster.trusted
        self._gatherer = Gatherer(secrets, roster.trusted)
        self._clerk = EvidenceClerk(secrets, roster.trusted)
        self._reasons = Reasons(self._roster, secrets.key_ids, self._failed)

    def quote(self, index: int, text: str) -> str:
        """A text that quotes one of the records, without credentials."""
        return self._clerk.quote(self._batch, index, text)

    async def about(self, index: int, only: str | None = None) -> Explained:
        """One event of the batch. `only`: the one rule to be asked about, by name."""
        self._failed.clear()
        event, record = self._batch.events[index], self._batch.records[index]
        look = Look(event, record, self._hits.get(index, []))
        counting, unheard = await self._heard(index, look)
        counting += self._tallied(index)
        named = {one.rule.name for one in counting} | {one.rule for one in unheard}
        silent = [r for r in self._roster.rules if r.name not in named and only in (None, r.name)]
        own = [rule.name for rule in silent if rule.is_own][MOST_OWN_REASONS:]
        unheard += [
            Unheard(rule.name, self.quote(index, self._reasons.of(rule, look)))
            for rule in silent
            if rule.name not in own
        ]
        at, flag = event_time_ms(event.timestamp, self._batch.received_ms)
        return Explained(
            event=self._masked(index),
            record=self._clerk.mask(
                self._batch, index, record.decode("utf-8", "replace"), most=RECORD_CHARACTERS
            ),
            at=at,
            flag=flag,
            address=client_address(event.client_ip, event.forwarded_for, self._trusted),
            counting=tuple(one for one in counting if only in (None, one.rule.name)),
            unheard=tuple(one for one in unheard if only in (None, one.rule)),
            unnamed=len(own),
            secrets=self._shown(look),
        )

    async def _heard(self, index: int, look: Look) -> tuple[list[Counting], list[Unheard]]:
        """What the detectors of single events say, and for whom it counts."""
        alone = self._alone(index)
        counting: list[Counting] = []
        unheard: dict[str, Unheard] = {}
        if not list(self._roster.of_interest(alone.events, self._hits_of([index]), 0)):
            return [], []
        at, flag = event_time_ms(look.event.timestamp, alone.received_ms)
        for verdict in self._roster.verdicts(look):
            counted = Counted(at, 0, flag, verdict)
            for group in await self._gatherer.groups(alone, [counted], self._hits_of([index])):
                matched = _read_evidence(group.evidence[0][1].encode()).matched
                counting.append(
                    Counting(
                        verdict.rule,
                        _role_of(verdict),
                        group.subject,
                        self.quote(index, matched),
                        len(group.times),
                        verdict.points / 100 if verdict.rule.kind is Kind.SCORE else None,
                    )
                )
            if lacking := self._gatherer.missing(verdict, look.event):
                why = self.quote(index, f"{verdict.matched}, but {lacking}")
                unheard.setdefault(verdict.rule.name, Unheard(verdict.rule.name, why))
        counted_names = {one.rule.name for one in counting}
        return counting, [one for name, one in unheard.items() if name not in counted_names]

    def _tallied(self, index: int) -> list[Counting]:
        """What is added up over whole batches. Some look at an address only from its fifth error on."""
        numbers = [index] * FEWEST_ERRORS
        batch, hits = self._repeated(numbers), self._hits_of(numbers)
        counting = []
        for tally in self._roster.fresh_tallies():
            for group in self._gatherer.tallied(tally, batch, hits):
                role = Role.COUNTS if tally.is_news(group.values) else Role.MEASURED
                said = self.quote(index, tally.said_of(batch.events[0]))
                counting.append(Counting(tally.rule, role, group.subject, said))
        return counting

    def _alone(self, index: int) -> Batch:
        return self._repeated([index])

    def _repeated(self, numbers: Sequence[int]) -> Batch:
        events, records = self._batch.events, self._batch.records
        return msgspec.structs.replace(
            self._batch, events=[events[n] for n in numbers], records=[records[n] for n in numbers]
        )

    def _hits_of(self, numbers: Sequence[int]) -> Hits:
        return {place: self._hits[n] for place, n in enumerate(numbers) if n in self._hits}

    def _masked(self, index: int) -> Event:
        event = self._batch.events[index]
        texts = {
            name: self._clerk.mask(self._batch, index, value)
            for name in Event.__struct_fields__
            if isinstance(value := getattr(event, name), str)
        }
        return msgspec.structs.replace(event, **texts)

    def _shown(self, look: Look) -> tuple[Shown, ...]:
        found = self._secrets.look(look.record, look.hits or None).secrets
        return tuple(Shown(s.kind, s.fingerprint, s.severity, place_of(s, look.event)) for s in found)


def _role_of(verdict: Verdict) -> Role:
    if verdict.rule.kind in _REMEMBERING:
        return Role.REMEMBERED
    return Role.ENDS if verdict.good else Role.COUNTS
