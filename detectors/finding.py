"""What a rule found: a subject that crossed a threshold, with its evidence."""

import enum

import msgspec


class Severity(enum.StrEnum):
    """Security classes of the operator's document, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Priority(enum.StrEnum):
    """Incident priorities of the operator's document, most urgent first."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


PRIORITY_OF: dict[Severity, Priority] = {
    Severity.CRITICAL: Priority.P0,
    Severity.HIGH: Priority.P1,
    Severity.MEDIUM: Priority.P2,
    Severity.LOW: Priority.P3,
}


class Action(enum.StrEnum):
    """What may follow a finding."""

    BLOCK_IP = "block_ip"
    ALERT_ADMIN = "alert_admin"
    INVESTIGATE = "investigate"
    CREATE_INCIDENT = "create_incident"
    CREATE_INCIDENT_IMMEDIATE = "create_incident_immediate"


class DecisionType(enum.StrEnum):
    """What becomes of a blocked client, strongest first. Source of the names: CrowdSec's decision types."""

    BAN = "ban"
    CAPTCHA = "captcha"
    THROTTLE = "throttle"

    @property
    def strength(self) -> int:
        """The strongest decision about a client is the one that counts."""
        return _STRENGTHS[self]


_STRENGTHS = {DecisionType.BAN: 3, DecisionType.CAPTCHA: 2, DecisionType.THROTTLE: 1}


TELLING = frozenset({Action.ALERT_ADMIN, Action.CREATE_INCIDENT, Action.CREATE_INCIDENT_IMMEDIATE})
"""The actions that tell people; the others work quietly, and their incident shows what they did. Whoever was told that
it began is told that it is over."""


class Mode(enum.StrEnum):
    """enforce acts; propose makes a block that waits for a person; observe only records."""

    ENFORCE = "enforce"
    PROPOSE = "propose"
    OBSERVE = "observe"


class SubjectKind(enum.StrEnum):
    """What a subject is. Only an IP can be blocked."""

    IP = "ip"
    USER = "user"
    KEY = "key"
    HOST = "host"
    SOURCE = "source"
    """Who sends the logs (a token and a protocol), or an external list (`lists:NAME`). No event names it."""


IN_EVENTS = (SubjectKind.IP, SubjectKind.USER, SubjectKind.KEY, SubjectKind.HOST)
"""What events name, so that rules can count by it."""


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One counted event, redacted, as people will read it later. Times are epoch milliseconds."""

    at: int
    received_at: int
    matched: str
    """What made it count, such as `status 401` or `path /.env (probe.dotenv)`."""
    client_ip: str | None = None
    method: str | None = None
    path: str | None = None
    status: int | None = None
    user: str | None = None
    user_agent: str | None = None
    host: str | None = None
    request_id: str | None = None
    flags: tuple[str, ...] = ()
    """`no_time` (the record had no readable time), `clock_skew` (its time lay in the future)."""
    record: str = ""
    """The raw record, redacted and cut to 512 characters."""


class Finding(msgspec.Struct, frozen=True):
    """A subject crossed a rule's threshold. Self-contained: it carries what the policy said at that moment."""

    id: str
    """Unique and stable: shard and stream entry, such as `0:1764000000000-0`. Empty in a replay."""
    rule: str
    subject: str
    """`203.0.113.9`, `2001:db8:1:2::/64`, a user name, `github_token:v1:…` or a host."""
    subject_kind: SubjectKind
    first_at: int
    """Epoch ms of the first counted event of this finding."""
    at: int
    """Epoch ms of the event that crossed the threshold."""
    count: int
    threshold: int
    """Events needed; for a ratio rule, per cent; for a percentile rule, milliseconds."""
    window_ms: int
    severity: Severity
    actions: tuple[Action, ...]
    mode: Mode
    duration_ms: int
    """How long a first block lasts; doubles with each strike."""
    max_duration_ms: int
    why: str
    """One sentence for people."""
    evidence: tuple[Evidence, ...] = ()
    """The newest of the counted events, at most ten, oldest first."""
    place: str = ""
    """Where it stands, for rules that tell places apart (`URL`, `referer`); findings of other places are other news."""
    references: tuple[str, ...] = ()
    """ATT&CK, OWASP and CWE ids, such as `T1110.004`, `API2:2023`."""
    phrase: str = ""
    """The beginning of `why` with its places still empty, for findings that are merged; see sentence.py."""
    total: int = 0
    """Ratio and percentile rules: of how many events `count` are."""
    measured: int = 0
    """Percentile rules: the percentile found, in milliseconds."""
    recovered: bool = False
    """That the subject, which had crossed the threshold, is well again: of findings before, not of one more."""
    block_type: DecisionType = DecisionType.BAN
    """What block_ip makes."""
    shared_users: int = 0
    """How many different users lately got in from this address, where they are so many that it is shared (an office,
    a carrier): such an address is not blocked. 0: it is nobody's but the attacker's, as far as the logs tell."""
