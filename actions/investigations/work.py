"""Makes the whole dossiers, beside the responder: one process at a time, one pass over the events for all that wait."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from actions.blocks.networks import canonical, network_of, vicinity
from actions.errors import UnknownError
from actions.incidents.incident import Incident
from actions.investigate import earlier_blocks, nearby
from actions.investigations.dossiers import Dossier, EarlierIncident
from actions.investigations.investigation import LISTED, LOOK_BACK_MS, EventSummary, Subject
from actions.investigations.investigations import Asked
from actions.investigations.neighbours import alike
from actions.investigations.steps import gaps_of, next_steps, shared_by
from actions.investigations.tally import of_evidence
from actions.world import World
from detectors.errors import StorageError
from detectors.finding import Evidence, SubjectKind
from detectors.geo import Place

INCIDENTS_LOOKED_AT = 500
"""The newest, for earlier incidents of the same entity and for others that behave alike."""
EVIDENCE_KEPT = 30
UNEXPECTED = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""Errors of our own, which must not end the service."""
LOOK_S = 1.0
REST = 2.0
"""After a pass it rests for so many times as long: a flood of incidents is no flood of passes."""
LONGEST_REST_S = 60.0
SPARED = frozenset({"shared", "verified_bot", "unverified_bot", "spared", "refused", "braked"})

log = structlog.get_logger("bartizan.investigations")


class Investigator:
    """Works the queue off. Any number of processes may have one; one of them works at a time."""

    def __init__(self, world: World, consumer: str = "one") -> None:
        """`consumer`: this process's name, different from every other's; its successor takes up what it left."""
        self._world = world
        self._consumer = consumer

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; what was begun then is done by the next. Outlives every outage of Redis."""
        stopping = asyncio.create_task(stop.wait())
        loop = asyncio.get_running_loop()
        try:
            while not stop.is_set():
                begun = loop.time()
                work = asyncio.create_task(self._attempt())
                await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    work.cancel()
                    await asyncio.wait({work})
                elif work.result():
                    rest_s = min(LONGEST_REST_S, max(LOOK_S, REST * (loop.time() - begun)))
                    await asyncio.wait({stopping}, timeout=rest_s)
                else:
                    await asyncio.wait({stopping}, timeout=LOOK_S)
        finally:
            stopping.cancel()

    async def _attempt(self) -> int:
        try:
            return await self.step()
        except StorageError as error:
            self._world.counters.count("storage_errors", where="investigating")
            log.warning("investigations wait", error=str(error))
            return 0

    async def step(self) -> int:
        """Makes every dossier that is due, if it is this process's turn; says how many. Raises: StorageError."""
        queue = self._world.investigations
        if not await queue.take_turn(self._consumer):
            return 0
        asked = await queue.take()
        if asked:
            until = self._world.now()
            summaries = await self._summaries(asked, until - LOOK_BACK_MS, until)
            newest, _ = await self._world.incidents.page(limit=INCIDENTS_LOOKED_AT)
            for one in asked:
                try:
                    await self._make(one, summaries.get(one.subject), newest)
                except UNEXPECTED:
                    # It stays in the queue, and is given up after some attempts; the others are served.
                    log.exception("investigation failed", investigation=one.id)
        await queue.end_turn(self._consumer)
        return len(asked)

    async def _summaries(
        self, asked: Sequence[Asked], since_ms: int, until_ms: int
    ) -> dict[Subject, EventSummary]:
        subjects = list(dict.fromkeys(one.subject for one in asked if one.subject.is_in_events))
        if self._world.history is None or not subjects:
            return {}
        found = await self._world.history.about(subjects, since_ms, until_ms)
        return dict(zip(subjects, found, strict=True))

    async def _make(self, asked: Asked, summary: EventSummary | None, newest: Sequence[Incident]) -> None:
        queue, incident = self._world.investigations, None
        if asked.incident_id:
            try:
                incident = await self._world.incidents.get(asked.incident_id)
            except UnknownError:
                await queue.done(asked, None, "")
                return
        dossier = await self._dossier(asked, incident, summary, newest)
        text, data = told(dossier)
        await queue.done(asked, dossier, text, data)

    async def _dossier(
        self,
        asked: Asked,
        incident: Incident | None,
        summary: EventSummary | None,
        newest: Sequence[Incident],
    ) -> Dossier:
        world, subject = self._world, asked.subject
        old = await world.dossiers.find(incident.id) if incident else None
        related = [one for one in newest if _names(one, subject) and (not incident or one.id != incident.id)]
        evidence = _evidence(subject, incident, old, related)
        if summary is None or (not summary.events and evidence):
            summary = _of_evidence(evidence, summary, world.now())
        value = subject.value if subject.kind == SubjectKind.IP else None
        dossier = Dossier(
            incident_id=incident.id if incident else "",
            finding_id=old.finding_id if old else "",
            made_at=world.now(),
            subject=subject.value,
            subject_kind=subject.kind,
            rule=incident.rule if incident else "",
            evidence=evidence,
            accounts=tuple(dict.fromkeys(e.user for e in evidence if e.user))[:LISTED],
            spared=await self._spared(incident) if incident else (),
            shared_users=old.shared_users if old else 0,
            earlier_incidents=tuple(_earlier(one) for one in related[:LISTED]),
            alike=tuple(alike(incident, subject.value, evidence, newest)[:LISTED]),
            events=summary,
            places={} if value else self._places(summary),
        )
        if value is not None:
            dossier = await self._with_network(dossier, value)
        dossier = msgspec.structs.replace(dossier, shared_users=shared_by(dossier))
        return msgspec.structs.replace(dossier, steps=next_steps(dossier))

    def _places(self, summary: EventSummary) -> dict[str, Place]:
        found = {one.value: self._world.geo.look_up(one.value) for one in summary.addresses}
        return {address: place for address, place in found.items() if place is not None}

    async def _with_network(self, dossier: Dossier, value: str) -> Dossier:
        world, value = self._world, canonical(value)
        blocked, found = await nearby(value, world)
        _, allowed = await world.allowlist.covering(network_of(value))
        return msgspec.structs.replace(
            dossier,
            place=world.geo.look_up(value),
            vicinity=vicinity(value),
            blocked_nearby=blocked,
            found_nearby=found,
            earlier_blocks=await earlier_blocks(value, world),
            allowed_by=allowed,
        )

    async def _spared(self, incident: Incident) -> tuple[str, ...]:
        entries, _ = await self._world.timeline.page(incident.id, limit=1_000)
        texts = [
            entry.text
            for entry in entries
            if entry.kind == "action_skipped"
            and isinstance(entry.data, dict)
            and entry.data.get("outcome") in SPARED
        ]
        return tuple(dict.fromkeys(texts))[:LISTED]


def told(dossier: Dossier) -> tuple[str, dict[str, object]]:
    """The timeline's entry about a whole dossier: what was read, what succeeded, and what is urgent."""
    summary = dossier.events
    assert summary is not None  # noqa: S101 - whole dossiers have one
    urgent = [step.text for step in dossier.steps if step.urgent]
    rest = gaps_of(summary)
    text = (
        f"read {summary.events} events of {dossier.subject}"
        + (" from the evidence only" if summary.source != "journal" else "")
        + f": {summary.login_failures} logins failed, {summary.login_successes} succeeded, "
        + f"{sum(one.answered for one in summary.attacks)} attacks were answered"
        + (f" (not all: {rest})" if rest else "")
        + "".join(f"; {step}" for step in urgent[:3])
        + (f"; and {len(urgent) - 3} more urgent steps" if len(urgent) > 3 else "")
    )
    data: dict[str, object] = {
        "source": summary.source,
        "events": summary.events,
        "login_failures": summary.login_failures,
        "login_successes": summary.login_successes,
        "urgent_steps": len(urgent),
    }
    return text[:2000], data


def _of_evidence(evidence: Sequence[Evidence], read: EventSummary | None, now: int) -> EventSummary:
    """What the evidence alone says, with what is known of the journal that says nothing of it."""
    until = read.until_at if read else now
    since = min([until - LOOK_BACK_MS, *(one.at for one in evidence)])
    summary = of_evidence(evidence).summary(
        source="evidence", since_at=since, until_at=until, complete_since_at=until
    )
    cut = "the journal holds no event of it" if read else "there is no journal"
    if read and read.cut:
        cut = f"{cut}; {read.cut}"
    return msgspec.structs.replace(summary, cut=cut)


def _evidence(
    subject: Subject, incident: Incident | None, old: Dossier | None, related: Sequence[Incident]
) -> tuple[Evidence, ...]:
    found = [*(incident.evidence if incident else ()), *(old.evidence if old else ())]
    if incident is None:
        found = [one for other in related for one in other.evidence if _is_of(one, subject, other)]
    return tuple(sorted(dict.fromkeys(found), key=lambda one: one.at))[:EVIDENCE_KEPT]


def _is_of(evidence: Evidence, subject: Subject, incident: Incident) -> bool:
    named = (evidence.client_ip, evidence.user, evidence.host)
    return subject.value in named or incident.subject == subject.value


def _names(incident: Incident, subject: Subject) -> bool:
    if incident.subject == subject.value:
        return True
    return any(one.type == subject.kind and one.value == subject.value for one in incident.entities)


def _earlier(incident: Incident) -> EarlierIncident:
    verdict = incident.verdict.value if incident.verdict else None
    return EarlierIncident(
        incident.id, incident.rule, incident.title, incident.status.value, verdict, incident.triggered_at,
        incident.event_count,
    )  # fmt: skip
