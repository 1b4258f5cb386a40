"""Which events count, by which subject, how many, in what window, and what follows."""

import enum

import msgspec

from detectors.conditions import Condition
from detectors.finding import Action, DecisionType, Mode, Severity, SubjectKind


class Kind(enum.StrEnum):
    """How a rule adds up its events. See windows.py for the exact meaning of each."""

    COUNT = "count"
    """n events in a window."""
    DISTINCT = "distinct"
    """n different values in a window."""
    RATIO = "ratio"
    """a percentage of bad events among all events of a window."""
    STREAK = "streak"
    """n bad events in a row; a good one starts over."""
    SEQUENCE = "sequence"
    """n events of one sort in a window, and then one of another."""
    SCORE = "score"
    """n points: each event has its own, which count in full for a window, half in the next, a quarter in the third."""
    NEWCOMER = "newcomer"
    """n bad events in a window, and then a good one from a place that is new to the subject."""
    TRAVEL = "travel"
    """two events, one after the other, too far apart for the time between them."""
    PERCENTILE = "percentile"
    """a percentile of what the events of a window took."""
    WATCH = "watch"
    """counts no events: the sources of the logs are looked at, every few seconds."""
    SHARED = "shared"
    """finds nothing: remembers who got in from an address."""


class Rule(msgspec.Struct, frozen=True, cache_hash=True):
    """One line of the policy, complete with its detector's defaults. Built by app/policies/policy.py."""

    name: str
    threshold: int
    """Events or different values needed (1 to 10,000); per cent for a ratio rule, milliseconds for a percentile."""
    window_ms: int
    actions: tuple[Action, ...]
    severity: Severity
    kind: Kind = Kind.COUNT
    group_by: tuple[SubjectKind, ...] = (SubjectKind.IP,)
    """The first names the kind of subject; further ones narrow it (`[ip, user]`)."""
    distinct: SubjectKind | None = None
    min_volume: int = 0
    """Ratio and percentile rules only: fewer events than this in the window say nothing."""
    percentile: int = 0
    """Percentile rules only: so many per cent of the events must have taken at most the threshold."""
    recovers: int = 0
    """When a subject that fired has recovered: streaks, after so many good ones in a row; ratio and percentile rules,
    below so many per cent of the threshold over a whole window. 0: nobody is told that it is over."""
    severity_stated: bool = False
    """Whether the policy names the severity; else api_key_exposure takes that of the key's format."""
    mode: Mode = Mode.ENFORCE
    memory_ms: int = 0
    """How long places (newcomer), users (shared) or the last good event (sequence) are remembered."""
    spares_known: bool = False
    """Whether known people may fail oftener. Streaks: what a user fails who lately got in from the same address is
    not counted. Sequences: twice as many are needed where a good one is remembered."""
    shared_from: int = 0
    """Users who lately got in from an address that make it a shared one, which is not blocked; 0: none do."""
    raised_for_shared: bool = False
    """Whether the threshold is multiplied by the users of a shared address, at most by 10: many people fail oftener
    than one."""
    where: Condition | None = None
    """Only events that meet this count."""
    then: Condition | None = None
    """Own rules of the kind sequence: what must follow the events of `where`."""
    distinct_field: str | None = None
    """Own rules of the kind distinct: the field of the event that must differ, where `distinct` names none."""
    parts: tuple[tuple[str, Condition], ...] = ()
    """Own rules of the kind distinct: what is counted are the different names whose condition events meet; an event
    counts once for each. `where` holds where any of them does."""
    is_own: bool = False
    """Written by the operator (`rules:` of the policy, Sigma): `where` alone says which events count."""
    title: str = ""
    """Own rules: what it finds, in the operator's words."""
    references: tuple[str, ...] = ()
    """ATT&CK, OWASP and CWE ids; for the built-in rules those of the detector's guide."""
    phrase: str = ""
    """The beginning of a finding's sentence, of the detector's guide; see sentence.py."""
    block_type: DecisionType = DecisionType.BAN
    """What block_ip makes."""
    duration_ms: int = 4 * 3_600_000
    max_duration_ms: int = 7 * 86_400_000
