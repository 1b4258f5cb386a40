"""What counts, gathered by rule and subject: the groups that lua/count_batch/ counts, with their evidence."""

import asyncio
import hashlib
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import msgspec

from detectors.addresses import Networks, client_address, subject_of
from detectors.detector import Verdict, answer_of
from detectors.event import Batch, Event
from detectors.evidence import EvidenceClerk
from detectors.finding import SubjectKind
from detectors.redact import SecretFinder, may_hold_secret
from detectors.roster import Tally
from detectors.rule import Kind, Rule
from detectors.scanner import Hits
from detectors.timestamps import event_time_ms
from detectors.windows import Group, meta_of

GROUPS_AT_A_TIME = 100
"""Groups made before others on the event loop (lookups) get a turn: they take a few milliseconds."""
EVIDENCE_AT_EACH_END = 10
"""Of one group of one batch, the first and the last ten events keep their evidence."""
_NARROWED = frozenset({Kind.SEQUENCE, Kind.NEWCOMER})
"""Kinds of windows that a rule has beside another one of the same subject."""


class Counted(msgspec.Struct, gc=False):
    """One verdict with its event's place in the batch and its time (epoch ms)."""

    at: int
    index: int
    flag: str | None
    verdict: Verdict


class Gatherer:
    """Makes groups of verdicts."""

    def __init__(self, secrets: SecretFinder, trusted: Networks) -> None:
        self._secrets = secrets
        self._trusted = trusted
        self._clerk = EvidenceClerk(secrets, trusted)

    async def groups(self, batch: Batch, selected: Sequence[Counted], hits: Hits) -> list[Group]:
        """What counts, by rule and subject, in order of time."""
        gathered: dict[tuple[str, str], list[Counted]] = {}
        for counted in selected:
            event = batch.events[counted.index]
            subject, narrow = self._subject(counted.verdict, event)
            if subject is not None and self._has_value(counted.verdict, event):
                key = f"{counted.verdict.rule.name}{narrow}"
                gathered.setdefault((key, subject), []).append(counted)
        groups: list[Group] = []
        for (key, subject), members in gathered.items():
            if len(groups) % GROUPS_AT_A_TIME == GROUPS_AT_A_TIME - 1:
                await asyncio.sleep(0)
            groups.append(self._group(batch, members[0].verdict.rule, subject, key, members, hits))
        return groups

    def _group(
        self,
        batch: Batch,
        rule: Rule,
        subject: str,
        key: str,
        members: list[Counted],
        hits: Hits,
    ) -> Group:
        members.sort(key=lambda c: c.at)
        group = Group(rule, subject, key, meta_of(rule, subject, members[0].verdict.place), [], [], [])
        last = len(members) - EVIDENCE_AT_EACH_END
        for number, counted in enumerate(members):
            event = batch.events[counted.index]
            repeat = max(1, event.repeat)
            group.times.extend([counted.at] * repeat)
            group.values.extend(self._values(counted.verdict, event) * repeat)
            if number < EVIDENCE_AT_EACH_END or number >= last:
                group.evidence.append((counted.at, self._evidence(batch, counted, hits)))
        return group

    def _values(self, verdict: Verdict, event: Event) -> list[Any]:
        """What lua/count_batch/ wants to know of one event, by the kind of rule."""
        kind = verdict.rule.kind
        if kind is Kind.DISTINCT:
            return [_hash(self._value(verdict, event) or "")]
        if kind is Kind.STREAK and verdict.rule.spares_known and not verdict.good and event.user:
            return [_hash(event.user)]
        if kind in (Kind.STREAK, Kind.SEQUENCE):
            return [int(verdict.good)]
        if kind is Kind.SCORE:
            return [verdict.points, _hash(verdict.value) if verdict.value else ""]
        if kind in (Kind.NEWCOMER, Kind.SHARED):
            return [_hash(verdict.value or "") if verdict.good else ""]
        return [verdict.spot] if kind is Kind.TRAVEL else []

    def _subject(self, verdict: Verdict, event: Event) -> tuple[str | None, str]:
        """Whom a verdict counts for, and what narrows the window; None where the event does not say."""
        first, *rest = verdict.rule.group_by
        subject = self._part(first, verdict, event)
        narrow = f":{verdict.rule.kind.value}" if verdict.rule.kind in _NARROWED else ""
        for part in (verdict.narrow, verdict.place):
            if part:
                narrow += f":{_hash(part)}"
        for kind in rest:
            value = self._part(kind, verdict, event)
            if value is None:
                return None, ""
            narrow += f":{_hash(value)}"
        return subject, narrow

    def _has_value(self, verdict: Verdict, event: Event) -> bool:
        """Whether a distinct rule finds in this event what must differ; where it is missing, nothing counts."""
        return verdict.rule.kind is not Kind.DISTINCT or bool(self._value(verdict, event))

    def _value(self, verdict: Verdict, event: Event) -> str | None:
        if verdict.value is not None or verdict.rule.distinct is None:
            return verdict.value
        return self._part(verdict.rule.distinct, verdict, event)

    def _part(self, kind: SubjectKind, verdict: Verdict, event: Event) -> str | None:
        if kind is SubjectKind.IP:
            address = client_address(event.client_ip, event.forwarded_for, self._trusted)
            return subject_of(address) if address else None
        if kind is SubjectKind.KEY:
            return verdict.subject or self._secrets.redact(event.api_key_id)
        if kind is SubjectKind.USER:
            return self._secrets.redact(event.user)
        return self._secrets.redact(event.host) or "*"

    def _evidence(self, batch: Batch, counted: Counted, hits: Hits) -> str:
        return self._clerk.write(
            batch,
            counted.index,
            at=counted.at,
            flag=counted.flag,
            matched=counted.verdict.matched,
            may_hold_secret=may_hold_secret(hits.get(counted.index, ())),
        )

    def tallied(self, tally: Tally, batch: Batch, hits: Hits) -> list[Group]:
        """What a detector of whole batches adds up, with samples of what it counts."""
        rule, groups = tally.rule, []
        tallied = tally.tally(batch)
        samples = tally.samples(batch) if any(sum(values[1::2]) for _, values in tallied.values()) else {}
        for counted, (times, values) in tallied.items():
            subject = self._secrets.redact(counted) or "*"
            evidence = []
            for index in samples.get(counted, ()):
                at, flag = event_time_ms(batch.events[index].timestamp, batch.received_ms)
                verdict = Verdict(rule, answer_of(batch.events[index]))
                evidence.append((at, self._evidence(batch, Counted(at, index, flag, verdict), hits)))
            evidence.sort(key=itemgetter(0))
            group = Group(rule, subject, rule.name, meta_of(rule, subject), times, values, evidence)
            group.is_aside = tally.is_aside(values)
            groups.append(group)
        return groups


def _hash(text: str) -> str:
    """A short stand-in for a value that must not stand in a key or a window itself."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
