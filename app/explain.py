"""What becomes of a log line: how it was read, which rules count it, for whom, and why others do not.

The same decoding and the same detectors as ingest, over no windows: nothing is counted, stored or remembered.
`bartizan explain` and `POST /v1/admin/explain` show it. Texts are redacted as evidence is.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from actions.blocks.crawlers import claimed_by
from actions.blocks.networks import NeverBlock, network_of
from app.durations import format_duration
from app.ingest.readings import Reading
from app.policies.explained import explain_rule
from app.policies.policy import Policy, threshold_text
from detectors.addresses import Networks, address_in_words
from detectors.engine import Engine
from detectors.errors import ConfigError
from detectors.event import Batch, Event
from detectors.explanation import Counting, Explained, Explainer, Role
from detectors.finding import Action, Mode, Severity, SubjectKind
from detectors.rule import Rule

MOST_UNREAD = 20
"""Names of one record that are told to be unread."""
_TIME_WORDS = {
    "clock_skew": "the time of receipt: its own lies more than 5 minutes ahead (clock_skew)",
    "no_time": "the time of receipt: it has none (no_time)",
}
_UNREADABLE_TIME = "the time of receipt: its own cannot be read (no_time)"


class Field(msgspec.Struct, frozen=True):
    """One field of the event, and the names in the record that gave it; none for a line of text."""

    name: str
    value: str | int | float
    names: tuple[str, ...]


class Counts(msgspec.Struct, frozen=True):
    """One rule that takes the event."""

    rule: str
    role: Role
    subject_kind: SubjectKind
    subject: str
    matched: str
    """What made it count."""
    times: int
    points: float | None
    """What it weighs, for a rule of points."""
    threshold: str
    """As in the policy: `10/1m`."""
    window: str
    fires_at: str
    then: str
    """The actions in words."""
    severity: Severity
    mode: Mode
    notes: tuple[str, ...]
    """Why its action would not follow all the same."""


class Reason(msgspec.Struct, frozen=True):
    """One rule that does not take the event."""

    rule: str
    why: str


class Secret(msgspec.Struct, frozen=True):
    """A credential in the record: its kind, its keyed fingerprint and where it stands."""

    kind: str
    fingerprint: str
    severity: str
    place: str


class Explanation(msgspec.Struct, frozen=True):
    """What becomes of one record."""

    counts: bool
    """Whether any rule counts it towards its threshold."""
    read_as: str
    """How it was read, in words."""
    format: str | None = None
    rejected: str | None = None
    """Why it was set aside; then there is nothing more to say."""
    record: str = ""
    fields: tuple[Field, ...] = ()
    unread: tuple[str, ...] = ()
    """Names of the record that no field comes from."""
    at: int | None = None
    """Epoch ms for which it is taken."""
    time: str = ""
    """Whose time that is."""
    client: str | None = None
    client_note: str = ""
    """Why it is this address, or none."""
    client_state: str = ""
    """Blocked, allowlisted or neither, where a running service was asked."""
    secrets: tuple[Secret, ...] = ()
    rules: tuple[Counts, ...] = ()
    reasons: tuple[Reason, ...] = ()
    more: int = 0
    """Further rules of the operator that do not count it."""


class Circumstances(msgspec.Struct, frozen=True):
    """What else decides: the policy, the proxies, who is never blocked, and what a running service knows."""

    policy: Policy
    trusted: Networks
    never: NeverBlock
    state_of: Callable[[str], str] = lambda _address: ""
    """What is known now of an address."""


async def explain(
    readings: Sequence[Reading],
    engine: Engine,
    around: Circumstances,
    received_ms: int,
    only: str | None = None,
) -> list[Explanation]:
    """One explanation for each record. `only`: the rule to be asked about.

    Raises: ConfigError where the policy does not name that rule.
    """
    if only is not None and around.policy.rule(only) is None:
        raise ConfigError(f"rule {only}: the policy does not name it, so nothing counts for it")
    events = [reading.event for reading in readings if reading.event is not None]
    records = [reading.record for reading in readings if reading.event is not None]
    batch = Batch(events, records, received_ms, "explain")
    found: list[Explanation] = []
    index = 0
    with engine.explaining(batch) as explainer:
        for reading in readings:
            if reading.event is None:
                found.append(Explanation(counts=False, read_as=reading.how, rejected=reading.why))
                continue
            if index:
                await asyncio.sleep(0)  # others on the event loop get a turn: each record takes milliseconds
            explained = await explainer.about(index, only)
            found.append(
                _explanation(reading, reading.event, explained, explainer, index, around, received_ms)
            )
            index += 1
    return found


def _explanation(
    reading: Reading,
    event: Event,
    explained: Explained,
    explainer: Explainer,
    index: int,
    around: Circumstances,
    received_ms: int,
) -> Explanation:
    late_ms = received_ms - explained.at
    rules = tuple(_counts(one, event, around, late_ms) for one in explained.counting)
    time = _TIME_WORDS.get(explained.flag or "", "its own")
    if explained.flag == "no_time" and event.timestamp is not None:
        time = _UNREADABLE_TIME
    unread = [explainer.quote(index, name) for name in reading.provenance.unread[:MOST_UNREAD]]
    return Explanation(
        counts=any(one.role is Role.COUNTS for one in explained.counting),
        read_as=explainer.quote(index, reading.how),
        format=reading.format_name,
        record=explained.record,
        fields=_fields(reading, explained.event, lambda name: explainer.quote(index, name)),
        unread=tuple(unread),
        at=explained.at,
        time=time,
        client=explained.address,
        client_note=address_in_words(event.client_ip, event.forwarded_for, around.trusted),
        client_state=around.state_of(explained.address) if explained.address else "",
        secrets=tuple(Secret(s.kind, s.fingerprint, s.severity, s.place) for s in explained.secrets),
        rules=rules,
        reasons=tuple(Reason(one.rule, one.why) for one in explained.unheard),
        more=explained.unnamed,
    )


def _fields(reading: Reading, masked: Event, quote: Callable[[str], str]) -> tuple[Field, ...]:
    names = reading.provenance.names
    return tuple(
        Field(name, value, tuple(map(quote, names.get(name, ()))))
        for name in Event.__struct_fields__
        if (value := getattr(masked, name)) is not None and not (name == "repeat" and value == 1)
    )


def _counts(counting: Counting, event: Event, around: Circumstances, late_ms: int) -> Counts:
    rule = counting.rule
    words = explain_rule(rule)
    return Counts(
        rule=rule.name,
        role=counting.role,
        subject_kind=rule.group_by[0],
        subject=counting.subject,
        matched=counting.matched,
        times=counting.times,
        points=counting.points,
        threshold=threshold_text(rule),
        window=format_duration(rule.window_ms),
        fires_at=words["fires_at"],
        then=words["then"] or "nothing",
        severity=rule.severity,
        mode=rule.mode,
        notes=tuple(_notes(rule, counting.subject, event, around, late_ms)),
    )


def _notes(rule: Rule, subject: str, event: Event, around: Circumstances, late_ms: int) -> list[str]:
    """What keeps a rule that blocks from blocking this subject, as far as one event tells."""
    if Action.BLOCK_IP not in rule.actions:
        return []
    if rule.group_by[0] is not SubjectKind.IP:
        return [f"nothing to block: a {rule.group_by[0].value} is no address"]
    notes = []
    stopped_by = around.never(network_of(subject))
    if stopped_by is not None:
        notes.append(f"never blocked: {stopped_by}")
    if late_ms >= rule.duration_ms:
        notes.append("so long ago that its block would be over")
    bots = claimed_by(event.user_agent) if around.policy.verified_bots else ()
    notes += [f"not blocked if reverse DNS verifies that it is {bot.name}" for bot in bots]
    if rule.shared_from:
        notes.append(
            f"not blocked where {rule.shared_from} users lately got in from there (shared_addresses)"
        )
    return notes
