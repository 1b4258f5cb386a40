"""One batch of events in, findings out: scan once, select what counts, count it in Redis in one step.

The way of a batch, top to bottom: `process` cuts it into chunks; of each the records are scanned, `_select` asks the
detectors that want an event (roster.py), what counts is gathered by rule and subject (gathering.py), and
`Windows.apply` counts it.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from detectors.addresses import Networks
from detectors.auth_failures import LOGIN, LOGIN_FORM
from detectors.detector import Look, Surroundings
from detectors.event import Batch
from detectors.explanation import Explainer
from detectors.finding import SubjectKind
from detectors.gathering import Counted, Gatherer
from detectors.geo import Geo
from detectors.health_check_failure import HEALTH
from detectors.own_rules import tags_for, wanted_by
from detectors.redact import MASK, MASKED, Secret, SecretFinder
from detectors.roster import Roster
from detectors.rule import Rule
from detectors.scanner import Hits, Pattern, Scanner, Tag, load_patterns
from detectors.timestamps import event_time_ms
from detectors.trusted_clients import TrustedClient, TrustedClients
from detectors.windows import Crossed, Windows

CHUNK_EVENTS = 10_000
"""Events counted in one step: bounds how long Redis and the event loop are busy with one request."""
EVENTS_AT_A_TIME = 1_000
"""Events selected from before others on the event loop (lookups) get a turn: they take a few milliseconds."""


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
        self.windows = windows
        self._on_applied = on_applied
        site, trusted = site or Site(), trusted_proxies or Networks()
        rules = [_for_shared(rule, site.shared_from) for rule in rules]
        wanted = wanted_by(rules)
        tags = (
            Tag(LOGIN, site.login_paths),
            Tag(LOGIN_FORM, site.login_forms),
            Tag(HEALTH, site.health_paths),
            *tags_for(wanted),
            Tag(MASKED, () if masks is None else (MASK,)),
        )
        patterns = load_patterns("keys") + load_patterns("attacks")
        self.scanner = Scanner(patterns, tags, own=own_keys, cache=cache)
        self.secrets = SecretFinder(self.scanner, fingerprint_key, masks)
        around = Surroundings(
            site.login_paths,
            site.login_forms,
            site.health_paths,
            trusted=trusted,
            secrets=self.secrets,
            scanner=self.scanner,
            geo=geo or Geo(),
            named=frozenset(rule.name for rule in rules),
        )
        self.clients = TrustedClients(trusted_clients, trusted)
        self._roster = Roster(rules, around, wanted, self.clients, on_failure)
        self._gatherer = Gatherer(self.secrets, trusted)

    @contextmanager
    def explaining(self, batch: Batch) -> Iterator[Explainer]:
        """Says what `process` would count of these events; neither windows nor detectors know of it afterwards."""
        try:
            yield Explainer(batch, self.scanner.scan(batch.records), self._roster, self.secrets)
        finally:
            self.secrets.forget()

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
        selected: list[Counted] = []
        for start in range(0, len(batch.events), EVENTS_AT_A_TIME):
            if len(batch.events) > EVENTS_AT_A_TIME:
                await asyncio.sleep(0)
            selected += self._select(batch, hits, start)
        groups = await self._gatherer.groups(batch, selected, hits)
        for tally in self._roster.tallies:
            groups += self._gatherer.tallied(tally, batch, hits)
        self.secrets.forget()
        applied, crossed = await self.windows.apply(groups, batch.mark)
        crossed.sort(key=lambda c: c.at)
        if applied and self._on_applied is not None:
            self._on_applied(batch, hits, self.secrets)
        counted = len({c.index for c in selected}) if applied else 0
        return Processed(not applied, counted, crossed)

    def _select(self, batch: Batch, hits: Hits, start: int) -> list[Counted]:
        """Asks the detectors about EVENTS_AT_A_TIME events from `start` on; most interest none of them."""
        found: list[Counted] = []
        events = batch.events[start : start + EVENTS_AT_A_TIME]
        for index in self._roster.of_interest(events, hits, start):
            event = batch.events[index]
            for verdict in self._roster.verdicts(Look(event, batch.records[index], hits.get(index, []))):
                at, flag = event_time_ms(event.timestamp, batch.received_ms)
                found.append(Counted(at, index, flag, verdict))
        return found


def _for_shared(rule: Rule, shared_from: int) -> Rule:
    """The rule with what it must know of shared addresses, where it is one that many people trip sooner than one."""
    if rule.group_by[0] is not SubjectKind.IP or not rule.raised_for_shared:
        return rule
    return msgspec.structs.replace(rule, shared_from=shared_from)
