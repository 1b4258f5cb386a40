"""One record per problem: opened or joined by findings, and told of. People's moves: incidents/moves.py.

An incident, its timeline entry, its clock and its message change in one MULTI: no state without its message. `seen`
names the incident, and the finding with which this one was counted: a finding that comes again does not act a second
time. Keys: incidents/keys.py, campaigns.py.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import SYSTEM, Actor
from actions.counters import Counters, NoCounters
from actions.delivery.message import MessageKind
from actions.held import merged_of
from actions.incidents import campaigns
from actions.incidents.changes import absorbing, dedup_key_of, joined_by, opened_by, raised, with_clocks
from actions.incidents.incident import Entity, Incident, Opened
from actions.incidents.keys import (
    decode_incident,
    if_open,
    incident_key,
    incidents_key,
    next_id,
    stage_incident,
    watched_if_open,
    watched_successor,
)
from actions.incidents.reader import IncidentReader
from actions.incidents.record import IncidentRecord
from actions.incidents.response_plan import ResponsePlan
from actions.incidents.status import IncidentStatus
from actions.incidents.timeline import INCIDENT_TTL_MS
from actions.storage import DONE_TTL_MS, Client, begin, change, storage_errors, text_of
from detectors.finding import Finding, Severity


class Incidents(IncidentReader):
    """The stored incidents, and what findings make of them."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        record: IncidentRecord,
        counters: Counters | None = None,
        plan: ResponsePlan | None = None,
    ) -> None:
        """`plan` may be exchanged at any time: what happens from then on follows the new one."""
        super().__init__(redis)
        self._now = now
        self._record = record
        self._counters = counters or NoCounters()
        self.plan = plan or ResponsePlan()

    async def open_or_join(
        self,
        finding: Finding,
        *others: Finding,
        tell: bool = False,
        immediate: bool = False,
        entities: tuple[Entity, ...] | None = None,
        actor: Actor = SYSTEM,
    ) -> Opened:
        """Opens the incident of these findings of one rule and subject, or joins theirs that is open.

        Once per finding id, in whatever company it comes: those counted before are left out, and where that is
        all of them, the answer is `repeated` and nothing changes. `tell` writes a message in the same MULTI:
        always for an opened incident; for a joined one it is marked `update`, and only the first and then at most
        one per ten minutes and incident is written. Where a rule opens too many, they and what it finds next are one
        campaign (campaigns.py), of which people are told whatever `tell` says once it is a flood. `immediate` makes
        the incident P0, critical, and its message immediate. `entities` replaces those read from the findings;
        `actor` is the person who reported it.
        Raises: StorageError.
        """
        findings = (finding, *others)
        opened = incidents_key("open", dedup_key_of(finding))
        seen = [incidents_key("seen", f.id) for f in findings]
        with storage_errors("opening an incident"):
            guess = await self._redis.get(opened)
        begun = [opened] if guess is None else [opened, incident_key(text_of(guess))]

        async def step(pipe: Pipeline) -> Opened:
            values: list[Any] = await pipe.mget([*begun, *seen])
            fresh, leader, marked_in = _uncounted(findings, values[len(begun) :])
            if not fresh:
                if item := await pipe.get(incident_key(marked_in)):
                    return Opened(decode_incident(item), opened=False, repeated=True, finding_id=leader)
                fresh = findings
            is_guessed = guess is not None and values[0] == guess
            other = if_open(values[1]) if is_guessed else None
            other = other or await watched_if_open(pipe, values[0])
            news = msgspec.structs.replace(merged_of(*fresh), id=leader)
            severity = Severity.CRITICAL if immediate else finding.severity
            absorbed: list[Incident] = []
            if other is None:
                other, absorbed = await self._campaign_for(pipe, finding, severity)
            marks = [incidents_key("seen", counted.id) for counted in fresh]
            if other is None:
                name = await next_id(pipe, self._now)
                incident = opened_by(
                    news,
                    name,
                    self._now(),
                    len(fresh),
                    plan=self.plan,
                    immediate=immediate,
                    entities=entities,
                )
                begin(pipe)
                incident = self._stage_opening(pipe, incident, news, absorbed, tell, actor)
            else:
                is_new = other.is_campaign and not await campaigns.has_member(pipe, other, finding.subject)
                begin(pipe)
                incident = joined_by(
                    other,
                    news,
                    self._now(),
                    len(fresh),
                    plan=self.plan,
                    immediate=immediate,
                    entities=entities,
                )
                incident = self._stage_join(pipe, other, incident, news, tell, is_new=is_new)
            for mark in marks:
                pipe.set(mark, f"{incident.id} {leader}", px=DONE_TTL_MS)
            stage_incident(pipe, incident)
            pipe.set(incidents_key("open", incident.dedup_key), incident.id, px=INCIDENT_TTL_MS)
            return Opened(incident, other is None, finding_id=leader, counted=len(fresh))

        answer = await change(self._redis, "opening an incident", [*begun, *seen], step)
        for result, amount in ("opened", int(answer.opened)), ("joined", answer.counted - answer.opened):
            if amount:
                self._counters.count("incidents", amount, rule=finding.rule, result=result)
        return answer

    async def tell(self, finding: Finding, incident_id: str, advice: str = "") -> bool:
        """Writes the message of a finding whose incident was opened or joined without one. Says whether it wrote.

        Of one that was merged meanwhile the one is told that speaks of it now.
        `advice` replaces what the rule's runbook says to do first. Once per finding id; limited for updates as in
        open_or_join. Raises: UnknownError, StorageError.
        """
        told = incidents_key("told", finding.id)
        with storage_errors("writing a message"):
            if await self._redis.exists(told):  # as nearly always, and never untold again
                return False

        async def step(pipe: Pipeline) -> bool:
            if await pipe.exists(told):
                return False
            incident = await watched_successor(pipe, incident_id)
            is_news = incident.told_at is None
            due = is_news or self._record.is_update_due(incident)
            begin(pipe)
            pipe.set(told, b"1", px=DONE_TTL_MS)
            if not due:
                return False
            if not is_news:
                incident = self._record.with_update(incident)
            incident = self._told(incident)
            stage_incident(pipe, incident)
            kind = MessageKind.OPENED if is_news else MessageKind.UPDATE
            plan = self.plan if is_news else None
            self._record.tell(pipe, incident, kind, finding.why, finding.id, advice, plan=plan)
            return True

        return await change(self._redis, "writing a message", [told], step)

    async def make_immediate(self, incident_id: str) -> Incident:
        """Makes an incident, or the one it was merged into, P0 and critical, if it is not.

        Raises: UnknownError, StorageError.
        """
        known = await self.get(incident_id)
        if known.immediate and known.merged_into is None:  # as nearly always, and for good
            return known

        async def step(pipe: Pipeline) -> Incident:
            old = await watched_successor(pipe, incident_id)
            if old.immediate:
                return old
            new = self._reclocked(old, raised(old, Severity.CRITICAL, plan=self.plan, immediate=True))
            begin(pipe)
            stage_incident(pipe, new)
            self._record.severity(pipe, old, new)
            return new

        return await change(self._redis, "raising an incident", [incident_key(incident_id)], step)

    async def _campaign_for(
        self, pipe: Pipeline, finding: Finding, severity: Severity
    ) -> tuple[Incident | None, list[Incident]]:
        """The open campaign that a finding without an incident joins, or else the incidents that it makes one with.

        It joins where the campaign knows its subject, or lately had news, or where too many are new again.
        """
        if finding.rule in campaigns.NEVER_GATHERED:
            return None, []
        limit, window_ms = campaigns.bounds_for(severity, self.plan.campaign)
        since = self._now() - window_ms
        home = incidents_key("open", campaigns.campaign_dedup(finding.rule))
        await pipe.watch(home)
        news = await campaigns.recent_news(pipe, finding.rule, since)
        campaign = await watched_if_open(pipe, await pipe.get(home))
        if campaign is not None:
            is_known = await campaigns.has_member(pipe, campaign, finding.subject)
            if is_known or campaign.newest_at > since or len(news) + 1 >= limit:
                return campaign, []
            return None, []
        if len(news) + 1 < limit:
            return None, []
        await pipe.watch(*(incident_key(name) for name in news))
        items: list[Any] = await pipe.mget([incident_key(name) for name in news])
        known = [decode_incident(item) for item in items if item is not None]
        return None, [incident for incident in known if campaigns.can_be_absorbed(incident)]

    def _stage_opening(
        self,
        pipe: Pipeline,
        incident: Incident,
        finding: Finding,
        absorbed: list[Incident],
        tell: bool,
        actor: Actor,
    ) -> Incident:
        now = incident.triggered_at
        if absorbed:
            _, window_ms = campaigns.bounds_for(incident.severity, self.plan.campaign)
            incident = campaigns.as_campaign(incident, len(absorbed) + 1, window_ms)
            subjects = [(i.subject, i.last_seen) for i in absorbed]
            campaigns.stage_members(pipe, incident, [*subjects, (finding.subject, finding.at)])
            for other in absorbed:
                incident = absorbing(incident, other, self.plan)
            incident = msgspec.structs.replace(incident, version=1)
        else:
            campaigns.stage_news(pipe, incident, now)
        self._record.opened(pipe, incident, finding, actor)
        if tell or any(other.told_at is not None for other in absorbed) or campaigns.is_a_flood(incident):
            pipe.set(incidents_key("told", finding.id), b"1", px=DONE_TTL_MS)
            incident = self._told(incident)
            why = incident.why if absorbed else finding.why
            self._record.tell(pipe, incident, MessageKind.OPENED, why, finding.id, plan=self.plan)
        for other in absorbed:
            self._record.absorbed(pipe, other, incident)
        return incident

    def _stage_join(
        self, pipe: Pipeline, old: Incident, new: Incident, finding: Finding, tell: bool, *, is_new: bool
    ) -> Incident:
        if old.is_campaign:
            campaigns.stage_members(pipe, old, [(finding.subject, finding.at)])
            new = campaigns.with_members(new, int(is_new), now=self._now())
        new = self._reclocked(old, self._record.joined(pipe, old, new, finding, is_new=is_new))
        if campaigns.is_a_flood(new) and not tell and old.told_at is None:
            new = self._told(new)
            self._record.tell(pipe, new, MessageKind.OPENED, new.why, finding.id, plan=self.plan)
        if tell:
            pipe.set(incidents_key("told", finding.id), b"1", px=DONE_TTL_MS)
        is_raised = (new.immediate, new.priority) != (old.immediate, old.priority)
        if tell and (self._record.is_update_due(old) or is_raised):
            is_news = old.told_at is None and old.status == IncidentStatus.TRIGGERED
            new = self._told(new if is_news else self._record.with_update(new))
            why = f"now {new.members} subjects; the latest: {finding.why}" if new.is_campaign else finding.why
            kind = MessageKind.OPENED if is_news else MessageKind.UPDATE
            plan = self.plan if is_news or is_raised else None
            self._record.tell(pipe, new, kind, why, finding.id, plan=plan)
        return new

    def _told(self, incident: Incident) -> Incident:
        """The incident with its clocks running, if they are not."""
        if incident.told_at is not None:
            return incident
        return with_clocks(incident, self.plan, self._now())

    def _reclocked(self, old: Incident, new: Incident) -> Incident:
        """The incident with its clocks set anew where its priority has changed."""
        if new.priority == old.priority or old.told_at is None:
            return new
        return with_clocks(new, self.plan, self._now())


def _uncounted(
    findings: Sequence[Finding], marks: Sequence[bytes | None]
) -> tuple[Sequence[Finding], str, str]:
    """Those that have no mark; the finding under whose id all are known; the incident of the first mark."""
    marked_in, _, leader = text_of(next((mark for mark in marks if mark is not None), b"")).partition(" ")
    fresh = [f for f, mark in zip(findings, marks, strict=True) if mark is None]
    return fresh, leader or findings[0].id, marked_in
