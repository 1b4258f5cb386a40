"""Incidents that people report: what no log shows, such as a customer's call or a finding of another system."""

import hashlib

from actions.audit import Actor
from actions.incidents.incident import Entity, Opened
from actions.incidents.incidents import Incidents
from actions.incidents.runbook import REPORTED_RULE
from detectors.finding import Finding, Mode, Severity, SubjectKind


async def report(
    incidents: Incidents,
    actor: Actor,
    title: str,
    text: str,
    severity: Severity,
    *,
    entities: tuple[Entity, ...] = (),
    at: int,
    once: str = "",
) -> Opened:
    """Opens an incident of a person's; one with the same title that is open is joined. People are told.

    `at`: when it happened, epoch ms. `once`: a repetition of the same report (an Idempotency-Key) changes nothing.
    Raises: ValueError where the title is empty; StorageError.
    """
    title = title.strip()
    if not title:
        raise ValueError("title: is empty")
    mark = once or f"{actor.name} {at} {title} {text}"
    finding = Finding(
        id="reported:" + hashlib.sha256(mark.encode("utf-8", "replace")).hexdigest()[:32],
        rule=REPORTED_RULE,
        subject=title,
        subject_kind=SubjectKind.HOST,
        first_at=at,
        at=at,
        count=1,
        threshold=1,
        window_ms=0,
        severity=severity,
        actions=(),
        mode=Mode.ENFORCE,
        duration_ms=0,
        max_duration_ms=0,
        why=text or title,
    )
    return await incidents.open_or_join(finding, tell=True, entities=entities, actor=actor)
