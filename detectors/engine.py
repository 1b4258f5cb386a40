"""One batch of events in, findings out: scan once, select what counts, count it in Redis in one step.

The way of a batch, top to bottom: `process` cuts it into chunks; `_select` scans the records and asks the detectors;
`_groups` gathers what counts by rule and subject, with its evidence; `Windows.apply` counts it.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from detectors.addresses import Networks, client_address, subject_of
from detectors.api_key_exposure import ApiKeyExposure
from detectors.auth_failures import LOGIN_FORM, AuthFailures
from detectors.credential_stuffing import CredentialStuffing
from detectors.detector import Detector, Look, Surroundings, Verdict
from detectors.distributed_brute_force import DistributedBruteForce
from detectors.event import Batch, Event
from detectors.evidence import EvidenceClerk
from detectors.finding import SubjectKind
from detectors.health_check_failure import HEALTH, HealthCheckFailure
from detectors.high_error_rate import HighErrorRate
from detectors.key_shared import KeyShared
from detectors.not_found_churn import NotFoundChurn
from detectors.object_enumeration import ObjectEnumeration
from detectors.password_spraying import PasswordSpraying
from detectors.rate_limit_violations import RateLimitViolations
from detectors.redact import SecretFinder
from detectors.rule import Kind, Rule
from detectors.scanner import ENCODED, Pattern, Scanner, Tag, load_patterns
from detectors.security_breach import LOGIN, SecurityBreach
from detectors.slow_brute_force import SlowBruteForce
from detectors.suspicious_activity import SuspiciousActivity
from detectors.timestamps import event_time_ms
from detectors.token_cracking import TokenCracking
from detectors.user_agent_churn import UserAgentChurn
from detectors.windows import Crossed, Group, Windows, meta_of

CHUNK_EVENTS = 10_000
"""Events counted in one step: bounds how long Redis and the event loop are busy with one request."""
EVIDENCE_AT_EACH_END = 10
"""Of one group of one batch, the first and the last ten events keep their evidence."""

DETECTORS: dict[str, Callable[[Rule, Surroundings], Detector]] = {
    "auth_failures": AuthFailures,
    "rate_limit_violations": RateLimitViolations,
    "suspicious_activity": SuspiciousActivity,
    "api_key_exposure": ApiKeyExposure,
    "health_check_failure": HealthCheckFailure,
    "security_breach": SecurityBreach,
    "credential_stuffing": CredentialStuffing,
    "password_spraying": PasswordSpraying,
    "distributed_brute_force": DistributedBruteForce,
    "slow_brute_force": SlowBruteForce,
    "token_cracking": TokenCracking,
    "key_shared": KeyShared,
    "object_enumeration": ObjectEnumeration,
    "not_found_churn": NotFoundChurn,
    "user_agent_churn": UserAgentChurn,
}
"""Detectors that look at single events; high_error_rate looks at whole batches."""


class Site(msgspec.Struct, frozen=True):
    """What the policy says of the site's paths. The defaults are those of `Surroundings`."""

    login_paths: tuple[str, ...] = Surroundings.login_paths
    login_forms: tuple[str, ...] = Surroundings.login_forms
    health_paths: tuple[str, ...] = Surroundings.health_paths


class Processed(NamedTuple):
    """What became of a batch."""

    duplicate: bool
    """The batch had been applied before; nothing was counted again."""
    counted: int
    """Events that counted for at least one rule."""
    crossed: list[Crossed]
    """Thresholds that this batch crossed, in order of time."""


class _Counted(msgspec.Struct, gc=False):
    """One verdict with its event's place and time."""

    at: int
    index: int
    flag: str | None
    verdict: Verdict


class Engine:
    """The detectors of one policy over one Redis. A changed policy gets a new engine."""

    def __init__(
        self,
        rules: Iterable[Rule],
        windows: Windows,
        *,
        fingerprint_key: bytes,
        site: Site | None = None,
        trusted_proxies: Networks | None = None,
        on_failure: Callable[[str, Exception], object] = lambda _name, _error: None,
        own_keys: Sequence[Pattern] = (),
        cache: Path | None = None,
    ) -> None:
        """Compiles the pattern database, which takes a second or two, where it is not in the folder `cache`.

        `on_failure` is told the name of a detector that raised on an event; the others go on.
        """
        self._on_failure = on_failure
        site = site or Site()
        self.windows = windows
        self._trusted = trusted_proxies or Networks()
        tags = (
            Tag(LOGIN, site.login_paths),
            Tag(LOGIN_FORM, site.login_forms),
            Tag(HEALTH, site.health_paths),
        )
        patterns = load_patterns("keys") + load_patterns("attacks")
        self.scanner = Scanner(patterns, tags, own=own_keys, cache=cache)
        self.secrets = SecretFinder(self.scanner, fingerprint_key)
        around = Surroundings(
            site.login_paths,
            site.login_forms,
            site.health_paths,
            trusted=self._trusted,
            secrets=self.secrets,
            scanner=self.scanner,
        )
        rules = tuple(rules)
        looking = [rule for rule in rules if rule.name in DETECTORS]
        self._detectors = [DETECTORS[rule.name](rule, around) for rule in looking]
        self._tallies = [HighErrorRate(r) for r in rules if r.kind is Kind.RATIO]
        self._names = {d: r.name for d, r in zip(self._detectors, looking, strict=True)}
        self._wants_keys = any(d.keys for d in self._detectors)
        self._wants_all = [d for d in self._detectors if d.everything]
        statuses = {status for d in self._detectors for status in d.statuses}
        self._by_status = {
            s: [d for d in self._detectors if s in d.statuses or d.everything] for s in statuses
        }
        self._clerk = EvidenceClerk(self.secrets, self._trusted)

    async def process(self, batch: Batch) -> Processed:
        """Counts a batch. Raises: StorageError, when the sender must send it again."""
        if len(batch.events) <= CHUNK_EVENTS:
            return await self._process_chunk(batch)
        duplicate, counted, crossed = True, 0, []
        for number, start in enumerate(range(0, len(batch.events), CHUNK_EVENTS)):
            chunk = msgspec.structs.replace(
                batch,
                events=batch.events[start : start + CHUNK_EVENTS],
                records=batch.records[start : start + CHUNK_EVENTS],
                mark=batch.mark and f"{batch.mark}:{number}",
            )
            done = await self._process_chunk(chunk)
            duplicate = duplicate and done.duplicate
            counted += done.counted
            crossed += done.crossed
        return Processed(duplicate, counted, crossed)

    async def _process_chunk(self, batch: Batch) -> Processed:
        hits = self.scanner.scan(batch.records)
        selected = self._select(batch, hits)
        groups = self._groups(batch, selected, hits)
        self.secrets.forget()
        for tally in self._tallies:
            groups += self._tallied(tally, batch)
        applied, crossed = await self.windows.apply(groups, batch.mark)
        crossed.sort(key=lambda c: c.at)
        counted = len({c.index for c in selected}) if applied else 0
        return Processed(not applied, counted, crossed)

    def _select(self, batch: Batch, hits: dict[int, list[Pattern | str]]) -> list[_Counted]:
        """Asks the detectors. Most events interest none of them and cost one dictionary lookup."""
        found: list[_Counted] = []
        by_status = self._by_status
        for index, event in enumerate(batch.events):
            if (
                event.status in by_status
                or event.outcome is not None
                or (self._wants_keys and event.api_key_id is not None)
                or index in hits
                or self._wants_all
            ):
                tags = hits.get(index, [])
                look = Look(event, batch.records[index], tags)
                for detector in self._interested(event, tags):
                    for verdict in self._judged(detector, look):
                        at, flag = event_time_ms(event.timestamp, batch.received_ms)
                        found.append(_Counted(at, index, flag, verdict))
        return found

    def _judged(self, detector: Detector, look: Look) -> Iterable[Verdict]:
        """A detector's verdicts; one that fails on a hostile record must not sink the batch."""
        try:
            return detector.judge(look)
        except Exception as error:  # noqa: BLE001 - one bad record must not sink its batch
            self._on_failure(self._names[detector], error)
            return ()

    def _interested(self, event: Event, hits: Sequence[Pattern | str]) -> Sequence[Detector]:
        if not hits and event.outcome is None and (event.api_key_id is None or not self._wants_keys):
            return self._by_status.get(event.status or 0, self._wants_all)
        tags = {hit if isinstance(hit, str) else hit.id for hit in hits}
        return [
            d
            for d in self._detectors
            if event.status in d.statuses
            or d.everything
            or (event.outcome is not None and d.outcomes)
            or (event.api_key_id is not None and d.keys)
            or not d.tags.isdisjoint(tags)
        ]

    def _groups(
        self, batch: Batch, selected: Sequence[_Counted], hits: dict[int, list[Pattern | str]]
    ) -> list[Group]:
        """What counts, by rule and subject, in order of time."""
        gathered: dict[tuple[str, str], list[_Counted]] = {}
        for counted in selected:
            event = batch.events[counted.index]
            subject, narrow = self._subject(counted.verdict, event)
            if subject is not None and self._has_value(counted.verdict, event):
                key = f"{counted.verdict.rule.name}{narrow}"
                gathered.setdefault((key, subject), []).append(counted)
        return [
            self._group(batch, members[0].verdict.rule, subject, key, members, hits)
            for (key, subject), members in gathered.items()
        ]

    def _group(
        self,
        batch: Batch,
        rule: Rule,
        subject: str,
        key: str,
        members: list[_Counted],
        hits: dict[int, list[Pattern | str]],
    ) -> Group:
        members.sort(key=lambda c: c.at)
        group = Group(rule, subject, key, meta_of(rule, subject, members[0].verdict.place), [], [], [])
        last = len(members) - EVIDENCE_AT_EACH_END
        for number, counted in enumerate(members):
            event = batch.events[counted.index]
            repeat = max(1, event.repeat)
            group.times.extend([counted.at] * repeat)
            if rule.kind is Kind.DISTINCT:
                group.values.extend([_hash(self._value(counted.verdict, event) or "")] * repeat)
            elif rule.kind in (Kind.STREAK, Kind.SEQUENCE):
                group.values.extend([int(counted.verdict.good)] * repeat)
            if number < EVIDENCE_AT_EACH_END or number >= last:
                group.evidence.append((counted.at, self._evidence(batch, counted, hits)))
        return group

    def _subject(self, verdict: Verdict, event: Event) -> tuple[str | None, str]:
        """Whom a verdict counts for, and what narrows the window; None where the event does not say."""
        first, *rest = verdict.rule.group_by
        subject = self._part(first, verdict, event)
        narrow = f":{verdict.rule.kind.value}" if verdict.rule.kind is Kind.SEQUENCE else ""
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
            return verdict.subject or self.secrets.redact(event.api_key_id)
        if kind is SubjectKind.USER:
            return self.secrets.redact(event.user)
        return self.secrets.redact(event.host) or "*"

    def _evidence(self, batch: Batch, counted: _Counted, hits: dict[int, list[Pattern | str]]) -> str:
        may_hold_secret = any(
            hit == ENCODED or (isinstance(hit, Pattern) and hit.field == "record")
            for hit in hits.get(counted.index, ())
        )
        return self._clerk.write(
            batch,
            counted.index,
            at=counted.at,
            flag=counted.flag,
            matched=counted.verdict.matched,
            may_hold_secret=may_hold_secret,
        )

    def _tallied(self, tally: HighErrorRate, batch: Batch) -> list[Group]:
        rule, groups = tally.rule, []
        for host, (times, values) in tally.tally(batch).items():
            subject = self.secrets.redact(host) or "*"
            groups.append(Group(rule, subject, rule.name, meta_of(rule, subject), times, values, []))
        return groups


def _hash(text: str) -> str:
    """A short stand-in for a value that must not stand in a key or a window itself."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
