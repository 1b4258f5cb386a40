"""What counts, gathered by rule and subject: the groups that lua/count_batch/ counts, with their evidence."""

import asyncio
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import msgspec

from detectors.addresses import Networks, client_address, subject_of
from detectors.detector import Verdict
from detectors.event import Batch, Event
from detectors.evidence import EvidenceClerk
from detectors.finding import SubjectKind
from detectors.redact import MANY, MASKED, NOTHING, Found, SecretFinder, masked, may_hold_secret
from detectors.roster import Tally
from detectors.rule import Kind, Rule
from detectors.scanner import Hits
from detectors.timestamps import event_time_ms
from detectors.windows import Group, meta_of

GROUPS_AT_A_TIME = 100
"""Groups made before others on the event loop (lookups) get a turn: they take a few milliseconds."""
EVIDENCE_AT_EACH_END = 10
"""Of one group of one batch, the first and the last ten events keep their evidence."""
_BY_IP = (SubjectKind.IP,)
_NARROWED = frozenset({Kind.SEQUENCE, Kind.NEWCOMER})
"""Kinds of windows that a rule has beside another one of the same subject."""


_LACKING = {
    SubjectKind.IP: "no client address",
    SubjectKind.USER: "no user",
    SubjectKind.KEY: "no key",
    SubjectKind.HOST: "no host",
}


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
            is_by_ip = counted.verdict.rule.group_by == _BY_IP
            known = NOTHING if is_by_ip else self._known(batch, counted.index, hits)
            subject, narrow = self._subject(counted.verdict, event, known)
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

    def _known(self, batch: Batch, index: int, hits: Hits) -> Found:
        """The credentials that a record shows; nothing is searched where the scan saw no sign of one."""
        found = hits.get(index)
        if not found or not (may_hold_secret(found) or MASKED in found):
            return NOTHING
        return self._secrets.look(batch.records[index], found)

    def _values(self, verdict: Verdict, event: Event) -> list[Any]:
        """What lua/count_batch/ wants to know of one event, by the kind of rule."""
        kind = verdict.rule.kind
        if kind is Kind.DISTINCT:
            return [self._secrets.stand_in(self._value(verdict, event) or "")]
        if kind is Kind.STREAK and verdict.rule.spares_known and not verdict.good and event.user:
            return [self._secrets.stand_in(event.user)]
        if kind in (Kind.STREAK, Kind.SEQUENCE):
            return [int(verdict.good)]
        if kind is Kind.SCORE:
            return [verdict.points, self._secrets.stand_in(verdict.value) if verdict.value else ""]
        if kind in (Kind.NEWCOMER, Kind.SHARED):
            return [self._secrets.stand_in(verdict.value or "") if verdict.good else ""]
        return [verdict.spot] if kind is Kind.TRAVEL else []

    def _subject(self, verdict: Verdict, event: Event, known: Found) -> tuple[str | None, str]:
        """Whom a verdict counts for, and what narrows the window; None where the event does not say."""
        first, *rest = verdict.rule.group_by
        subject = self._part(first, verdict, event, known)
        narrow = f":{verdict.rule.kind.value}" if verdict.rule.kind in _NARROWED else ""
        for part in (verdict.narrow, verdict.place):
            if part:
                narrow += f":{self._secrets.stand_in(part)}"
        for kind in rest:
            value = self._part(kind, verdict, event, known)
            if value is None:
                return None, ""
            narrow += f":{self._secrets.stand_in(value)}"
        return subject, narrow

    def missing(self, verdict: Verdict, event: Event) -> str:
        """What an event lacks to count for somebody, for people; empty where it lacks nothing."""
        for kind in verdict.rule.group_by:
            if self._part(kind, verdict, event, NOTHING) is None:
                return _LACKING[kind]
        return "" if self._has_value(verdict, event) else "nothing in it can differ from other events"

    def _has_value(self, verdict: Verdict, event: Event) -> bool:
        """Whether a distinct rule finds in this event what must differ; where it is missing, nothing counts."""
        return verdict.rule.kind is not Kind.DISTINCT or bool(self._value(verdict, event))

    def _value(self, verdict: Verdict, event: Event) -> str | None:
        if verdict.value is not None or verdict.rule.distinct is None:
            return verdict.value
        return self._part(verdict.rule.distinct, verdict, event, NOTHING)

    def _part(self, kind: SubjectKind, verdict: Verdict, event: Event, known: Found) -> str | None:
        if kind is SubjectKind.IP:
            address = client_address(event.client_ip, event.forwarded_for, self._trusted)
            return subject_of(address) if address else None
        if kind is SubjectKind.KEY:
            return verdict.subject or self._name(event.api_key_id, known)
        if kind is SubjectKind.USER:
            return self._name(event.user, known)
        return self._name(event.host, known) or "*"

    def _name(self, value: str | None, known: Found) -> str | None:
        """A value that names somebody, without a credential of its record: one that is nothing else is `kind:v1:...`.

        Not every credential is known by its shape: `?api_key=K` shows K to be one, and the same K in another field is.
        """
        if not value:
            return value
        if not known.is_complete:
            return MANY
        if known.secrets:
            value = masked(value, known.secrets)
            for secret in known.secrets:
                if value == secret.mask:
                    return f"{secret.kind}:{secret.fingerprint}"
        return self._secrets.redact(value)

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
        shown = self._hosts(batch, hits)
        samples = tally.samples(batch) if any(tally.is_news(values) for _, values in tallied.values()) else {}
        for counted, (times, values) in tallied.items():
            subject = shown.get(counted) or self._secrets.redact(counted) or "*"
            evidence = []
            for index in samples.get(counted, ()):
                at, flag = event_time_ms(batch.events[index].timestamp, batch.received_ms)
                verdict = Verdict(rule, tally.said_of(batch.events[index]))
                evidence.append((at, self._evidence(batch, Counted(at, index, flag, verdict), hits)))
            evidence.sort(key=itemgetter(0))
            group = Group(rule, subject, rule.name, meta_of(rule, subject), times, values, evidence)
            group.is_aside = tally.is_aside(values)
            groups.append(group)
        return groups

    def _hosts(self, batch: Batch, hits: Hits) -> dict[str, str]:
        """The hosts of a batch that hold a credential of a record that names them, and each without it.

        A record with too many credentials masks none but those told apart: else anybody who names a host could keep
        its errors from being counted for it.
        """
        found: dict[str, str] = {}
        for index in hits:
            host = batch.events[index].host
            if host:
                known = self._known(batch, index, hits)
                shown = self._name(host, known._replace(is_complete=True))
                if known.secrets and shown and shown != host:
                    found[host] = shown
        return found
