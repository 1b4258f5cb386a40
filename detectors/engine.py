"""One batch of events in, findings out: scan once, select what counts, count it in Redis in one step.

The way of a batch, top to bottom: `process` cuts it into chunks; `_select` scans the records and asks the detectors;
`_groups` gathers what counts by rule and subject, with its evidence; `Windows.apply` counts it.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from detectors.account_takeover import AccountTakeover
from detectors.addresses import Networks, client_address, subject_of
from detectors.api_key_exposure import ApiKeyExposure
from detectors.auth_failures import LOGIN, LOGIN_FORM, AuthFailures
from detectors.client_error_rate import ClientErrorRate
from detectors.condition_matching import matcher_of
from detectors.credential_stuffing import CredentialStuffing
from detectors.detector import Detector, Look, Surroundings, Verdict, answer_of
from detectors.distributed_brute_force import DistributedBruteForce
from detectors.event import Batch, Event
from detectors.evidence import EvidenceClerk
from detectors.finding import SubjectKind
from detectors.geo import Geo
from detectors.health_check_failure import HEALTH, HealthCheckFailure
from detectors.high_error_rate import HighErrorRate
from detectors.impossible_travel import ImpossibleTravel
from detectors.key_shared import KeyShared
from detectors.leaked_key_in_use import LeakedKeyInUse
from detectors.not_found_churn import NotFoundChurn
from detectors.object_enumeration import ObjectEnumeration
from detectors.own_rule import OwnRule, needs_of_rules, tags_for
from detectors.password_spraying import PasswordSpraying
from detectors.rate_limit_violations import RateLimitViolations
from detectors.redact import MASK, MASKED, Secret, SecretFinder, may_hold_secret
from detectors.rule import Kind, Rule
from detectors.scanner import Pattern, Scanner, Tag, load_patterns
from detectors.security_breach import SecurityBreach
from detectors.shared_address import SHARED_RULE, SharedAddress
from detectors.slow_brute_force import SlowBruteForce
from detectors.suspicious_activity import SuspiciousActivity
from detectors.timestamps import event_time_ms
from detectors.token_cracking import TokenCracking
from detectors.trusted_clients import TrustedClient, TrustedClients
from detectors.user_agent_churn import UserAgentChurn
from detectors.windows import Crossed, Group, Windows, meta_of

CHUNK_EVENTS = 10_000
"""Events counted in one step: bounds how long Redis and the event loop are busy with one request."""
EVENTS_AT_A_TIME = 1_000
GROUPS_AT_A_TIME = 100
"""Events and groups worked on before others on the event loop (lookups) get a turn: each takes a few milliseconds."""
EVIDENCE_AT_EACH_END = 10
"""Of one group of one batch, the first and the last ten events keep their evidence."""

Hits = dict[int, list[Pattern | str]]
"""What the scan found, by the index of the record."""

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
    "account_takeover": AccountTakeover,
    "leaked_key_in_use": LeakedKeyInUse,
    "impossible_travel": ImpossibleTravel,
}
"""Detectors that look at single events."""
Tally = HighErrorRate | ClientErrorRate
"""Detectors that look at whole batches: high_error_rate, client_error_rate."""


class Site(msgspec.Struct, frozen=True):
    """What the policy says of the site's paths. The defaults are those of `Surroundings`."""

    login_paths: tuple[str, ...] = Surroundings.login_paths
    login_forms: tuple[str, ...] = Surroundings.login_forms
    health_paths: tuple[str, ...] = Surroundings.health_paths
    shared_from: int = 0
    """Users of one address that make it a shared one; 0: none do."""


class Processed(NamedTuple):
    """What became of a batch."""

    duplicate: bool
    """The batch had been applied before; nothing was counted again."""
    counted: int
    """Events that counted for at least one rule."""
    crossed: list[Crossed]
    """Thresholds that this batch crossed, in order of time."""


OnApplied = Callable[[Batch, Hits, SecretFinder], object]


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
        geo: Geo | None = None,
        trusted_clients: Iterable[TrustedClient] = (),
        on_failure: Callable[[str, Exception], object] = lambda _name, _error: None,
        on_applied: OnApplied | None = None,
        masks: Mapping[str, Secret] | None = None,
        own_keys: Sequence[Pattern] = (),
        cache: Path | None = None,
    ) -> None:
        """Compiles the pattern database, which takes a second or two, where it is not in the folder `cache`.

        `on_failure` is told the name of a detector that raised on an event; the others go on. `on_applied` is given
        every chunk of a batch once it has counted. `masks`: see SecretFinder.
        """
        self._on_failure, self._on_applied = on_failure, on_applied
        site = site or Site()
        self.windows = windows
        self._trusted = trusted_proxies or Networks()
        self._clients = TrustedClients(trusted_clients, self._trusted)
        rules = [_for_shared(rule, site.shared_from) for rule in rules]
        own = needs_of_rules(rules)
        tags = (
            Tag(LOGIN, site.login_paths),
            Tag(LOGIN_FORM, site.login_forms),
            Tag(HEALTH, site.health_paths),
            *tags_for(own),
            Tag(MASKED, () if masks is None else (MASK,)),
        )
        patterns = load_patterns("keys") + load_patterns("attacks")
        self.scanner = Scanner(patterns, tags, own=own_keys, cache=cache)
        self.secrets = SecretFinder(self.scanner, fingerprint_key, masks)
        around = Surroundings(
            site.login_paths,
            site.login_forms,
            site.health_paths,
            trusted=self._trusted,
            secrets=self.secrets,
            scanner=self.scanner,
            geo=geo or Geo(),
            named=frozenset(rule.name for rule in rules),
        )
        looking = [rule for rule in rules if rule.is_own or rule.name in DETECTORS]
        self._detectors: list[Detector] = [
            OwnRule(rule, around, own[rule.name]) if rule.is_own else DETECTORS[rule.name](rule, around)
            for rule in looking
        ]
        self._narrowed = {
            detector: matcher_of(rule.where, self._trusted)
            for detector, rule in zip(self._detectors, looking, strict=True)
            if rule.where is not None and not rule.is_own
        }
        self._names = {d: r.name for d, r in zip(self._detectors, looking, strict=True)}
        if site.shared_from and any(rule.shared_from for rule in looking):
            shared = SharedAddress(SHARED_RULE, around)
            self._detectors.append(shared)
            self._names[shared] = SHARED_RULE.name
        self._tallies: list[Tally] = [
            HighErrorRate(rule)
            if rule.name == "high_error_rate"
            else ClientErrorRate(rule, self._trusted, self._clients)
            for rule in rules
            if rule.kind is Kind.RATIO
        ]
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
        selected: list[_Counted] = []
        for start in range(0, len(batch.events), EVENTS_AT_A_TIME):
            if len(batch.events) > EVENTS_AT_A_TIME:
                await asyncio.sleep(0)
            selected += self._select(batch, hits, start)
        groups = await self._groups(batch, selected, hits)
        for tally in self._tallies:
            groups += self._tallied(tally, batch, hits)
        self.secrets.forget()
        applied, crossed = await self.windows.apply(groups, batch.mark)
        crossed.sort(key=lambda c: c.at)
        if applied and self._on_applied is not None:
            self._on_applied(batch, hits, self.secrets)
        counted = len({c.index for c in selected}) if applied else 0
        return Processed(not applied, counted, crossed)

    def _select(self, batch: Batch, hits: dict[int, list[Pattern | str]], start: int) -> list[_Counted]:
        """Asks the detectors about some events. Most interest none of them and cost one dictionary lookup."""
        found: list[_Counted] = []
        by_status = self._by_status
        for index, event in enumerate(batch.events[start : start + EVENTS_AT_A_TIME], start):
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
                        if self._clients.spare(verdict.rule, event):
                            continue
                        at, flag = event_time_ms(event.timestamp, batch.received_ms)
                        found.append(_Counted(at, index, flag, verdict))
        return found

    def _judged(self, detector: Detector, look: Look) -> Iterable[Verdict]:
        """A detector's verdicts, where its rule's `where` holds; one that fails must not sink the batch."""
        try:
            verdicts = tuple(detector.judge(look))
            if verdicts and detector in self._narrowed:
                matches = self._narrowed[detector]
                return verdicts if matches(look.event, look.record) else ()
            return verdicts
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

    async def _groups(
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
            group.values.extend(self._values(counted.verdict, event) * repeat)
            if number < EVIDENCE_AT_EACH_END or number >= last:
                group.evidence.append((counted.at, self._evidence(batch, counted, hits)))
        return group

    def _values(self, verdict: Verdict, event: Event) -> list[Any]:
        """What lua/count_batch.lua wants to know of one event, by the kind of rule."""
        kind = verdict.rule.kind
        if kind is Kind.DISTINCT:
            return [_hash(self._value(verdict, event) or "")]
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
            return verdict.subject or self.secrets.redact(event.api_key_id)
        if kind is SubjectKind.USER:
            return self.secrets.redact(event.user)
        return self.secrets.redact(event.host) or "*"

    def _evidence(self, batch: Batch, counted: _Counted, hits: dict[int, list[Pattern | str]]) -> str:
        return self._clerk.write(
            batch,
            counted.index,
            at=counted.at,
            flag=counted.flag,
            matched=counted.verdict.matched,
            may_hold_secret=may_hold_secret(hits.get(counted.index, ())),
        )

    def _tallied(self, tally: Tally, batch: Batch, hits: dict[int, list[Pattern | str]]) -> list[Group]:
        rule, groups = tally.rule, []
        tallied = tally.tally(batch)
        samples = tally.samples(batch) if any(sum(values[1::2]) for _, values in tallied.values()) else {}
        for counted, (times, values) in tallied.items():
            subject = self.secrets.redact(counted) or "*"
            evidence = []
            for index in samples.get(counted, ()):
                at, flag = event_time_ms(batch.events[index].timestamp, batch.received_ms)
                verdict = Verdict(rule, answer_of(batch.events[index]))
                evidence.append((at, self._evidence(batch, _Counted(at, index, flag, verdict), hits)))
            evidence.sort(key=itemgetter(0))
            group = Group(rule, subject, rule.name, meta_of(rule, subject), times, values, evidence)
            group.is_aside = tally.is_aside(values)
            groups.append(group)
        return groups


_NARROWED = frozenset({Kind.SEQUENCE, Kind.NEWCOMER})
"""Kinds of windows that a rule has beside another one of the same subject."""


def _for_shared(rule: Rule, shared_from: int) -> Rule:
    """The rule with what it must know of shared addresses: only addresses are shared."""
    if rule.group_by[0] is not SubjectKind.IP or rule.kind is Kind.RATIO:
        return rule
    return msgspec.structs.replace(rule, shared_from=shared_from)


def _hash(text: str) -> str:
    """A short stand-in for a value that must not stand in a key or a window itself."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
