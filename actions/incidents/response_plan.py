"""How fast people answer an incident, and who is told when nobody does: the tables of the policy, checked.

The defaults are the operator's document (incident classification, escalation matrix, checklists). Durations are
milliseconds.
"""

from collections.abc import Mapping

import msgspec

from detectors.finding import Priority, Severity

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


class Grade(msgspec.Struct, frozen=True):
    """What one priority asks of people. Source: the operator's document, Incident Classification."""

    priority: Priority
    severity: Severity
    """The security class that has this priority."""
    response_ms: int
    """Within so long somebody acknowledges it; later is a breach of the target."""
    escalation_ms: int
    """So long after the opening level 1 of the escalation is told; 0: levels 1 and 2 are told at the opening."""
    name: str
    means: str

    @property
    def is_immediate(self) -> bool:
        """Whether it escalates with its opening."""
        return self.escalation_ms == 0


class Level(msgspec.Struct, frozen=True):
    """One level of the escalation. Source: the operator's document, Escalation Matrix."""

    number: int
    name: str
    after_ms: int
    """When it is told of an incident that escalates at once and that nobody acknowledges."""
    channels: tuple[str, ...] = ()
    """Where; empty: where the policy's routes lead."""


class Step(msgspec.Struct, frozen=True):
    """So long after people were told, this level is told."""

    after_ms: int
    level: int


class Campaign(msgspec.Struct, frozen=True):
    """So many subjects of one rule within so long are one campaign."""

    subjects: int = 10
    window_ms: int = 5 * MINUTE_MS


DEFAULT_GRADES = (
    Grade(
        Priority.P0,
        Severity.CRITICAL,
        15 * MINUTE_MS,
        0,
        "Critical",
        "complete service outage; data breach, unauthorized access",
    ),
    Grade(
        Priority.P1,
        Severity.HIGH,
        HOUR_MS,
        30 * MINUTE_MS,
        "High",
        "major functionality affected; suspicious activity, potential breach",
    ),
    Grade(
        Priority.P2,
        Severity.MEDIUM,
        4 * HOUR_MS,
        2 * HOUR_MS,
        "Medium",
        "minor functionality affected; security policy violation",
    ),
    Grade(
        Priority.P3,
        Severity.LOW,
        24 * HOUR_MS,
        8 * HOUR_MS,
        "Low",
        "cosmetic or minor issues; minor security issues",
    ),
)
DEFAULT_LEVELS = (
    Level(1, "On-call engineer", 15 * MINUTE_MS),
    Level(2, "Senior engineer", 30 * MINUTE_MS),
    Level(3, "Engineering manager", HOUR_MS),
    Level(4, "CTO", 2 * HOUR_MS),
)
INITIAL_RESPONSE = "initial_response"
RESOLUTION = "resolution"
TICKET_CREATED = "Incident ticket created"
STATUS_PAGE_UPDATED = "Status page updated"
DEFAULT_CHECKLISTS: Mapping[str, tuple[str, ...]] = {
    INITIAL_RESPONSE: (
        TICKET_CREATED,
        "Impact assessment completed",
        "Mitigation steps implemented",
        "Stakeholders notified",
        STATUS_PAGE_UPDATED,
    ),
    RESOLUTION: (
        "Root cause identified",
        "Fix implemented",
        "Testing completed",
        "Monitoring restored",
        "Documentation updated",
    ),
}
"""Source: the operator's document, Response Checklist and Resolution Checklist."""


class ResponsePlan(msgspec.Struct, frozen=True):
    """All of it. Replaced as a whole when the policy changes."""

    grades: tuple[Grade, ...] = DEFAULT_GRADES
    levels: tuple[Level, ...] = DEFAULT_LEVELS
    checklists: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: DEFAULT_CHECKLISTS)
    campaign: Campaign = Campaign()
    quiet_ms: Mapping[str, int] = {}
    """Rule -> so long without news, and its incident is resolved by itself; rules that are not named never are."""

    def grade(self, priority: Priority) -> Grade:
        """What this priority asks for."""
        return next(grade for grade in self.grades if grade.priority == priority)

    def priority_of(self, severity: Severity) -> Priority:
        """The priority of a security class."""
        return next(grade.priority for grade in self.grades if grade.severity == severity)

    def level(self, number: int) -> Level | None:
        """The level of this number, or None where the matrix has no such level."""
        return next((level for level in self.levels if level.number == number), None)

    def told_at_opening(self, priority: Priority) -> int:
        """The highest level that is told with the opening: 2 where the escalation is immediate, else none (0)."""
        return min(2, len(self.levels)) if self.grade(priority).is_immediate else 0

    def steps(self, priority: Priority) -> tuple[Step, ...]:
        """When which level is told of an incident that nobody acknowledges, counted from when people were told.

        Immediate: at the times of the matrix, from level 2 on, since levels 1 and 2 were told with the opening and the
        response time reminds level 1. Others: level 1 at the priority's own time, the further ones at the distances of
        the matrix.
        """
        grade = self.grade(priority)
        if grade.is_immediate:
            return tuple(Step(level.after_ms, level.number) for level in self.levels[1:])
        shift = grade.escalation_ms - self.levels[0].after_ms
        return tuple(Step(level.after_ms + shift, level.number) for level in self.levels)
