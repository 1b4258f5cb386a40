"""What a digest says: types only. digest.py gathers it, digests/rendering.py writes it out."""

import msgspec

from actions.digests.periods import Period
from actions.incidents.response_times import Statistics
from actions.incidents.status import IncidentStatus, Verdict
from detectors.finding import Priority

LISTED = 50
"""Incidents of one list; how many there are is said with it."""
NAMED = 10
"""Entries of every other list."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One incident, in a line. The title is an attacker's text in part."""

    id: str
    title: str
    priority: Priority
    status: IncidentStatus
    verdict: Verdict | None
    lead: str
    """Who has it in hand; empty: nobody."""
    at: int
    """When it was opened, epoch ms."""


class Tally(msgspec.Struct, frozen=True):
    """How many incidents, and of which priority; priorities without any are left out."""

    total: int = 0
    by_priority: dict[str, int] = {}


class Person(msgspec.Struct, frozen=True):
    """What somebody did, from the audit trail."""

    name: str
    role: str
    actions: dict[str, int]
    """`incident.resolve` and how often, the most frequent first."""


class RuleBlocks(msgspec.Struct, frozen=True, kw_only=True):
    """The blocks that one rule made in the period, and what people thought of them."""

    rule: str
    made: int
    reviewed: int
    rejected: int

    @property
    def false_positive_rate(self) -> float | None:
        """Rejected ones among those that a person has looked at, 0 to 1; None where nobody has."""
        return self.rejected / self.reviewed if self.reviewed else None


class BlockTally(msgspec.Struct, frozen=True, kw_only=True):
    """The blocks of the period."""

    made: int = 0
    by_people: int = 0
    """Of those, made by a person and not by a rule."""
    proposed: int = 0
    """Of those, still waiting for a person."""
    approved: int = 0
    lifted: int = 0
    rejected: int = 0
    """By people in the period, whenever they were made: what their last move on each block left it as."""
    rules: tuple[RuleBlocks, ...] = ()
    """The rule with the most blocks first."""


class Attacker(msgspec.Struct, frozen=True, kw_only=True):
    """An address, and what it came up with in the period."""

    address: str
    """Or a network."""
    strikes: int = 0
    """The highest of its blocks of the period."""
    blocks: int = 0
    events: int = 0
    """Of the incidents that are about it alone, since they were opened."""
    incidents: int = 0


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user name that incidents of the period name; an attacker may have made it up."""

    name: str
    incidents: int
    events: int
    """Of those incidents, since they were opened."""


class Overdue(msgspec.Struct, frozen=True, kw_only=True):
    """A follow-up whose day is over."""

    incident_id: str
    text: str
    owner: str
    due: int


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that one channel could not deliver, and why the last one failed."""

    channel: str
    count: int
    error: str


class Ahead(msgspec.Struct, frozen=True):
    """Maintenance to come. Times are epoch ms."""

    name: str
    starts_at: int
    ends_at: int


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """One period, summed up."""

    period: Period
    made_at: int
    """What is "now" in it, epoch ms."""
    opened: Tally
    resolved: Tally
    """Resolved, closed or dismissed in the period."""
    still_open: Tally
    """Now, opened in the period or before."""
    merged: int
    """Opened in the period, and part of another incident now."""
    reopened: int
    """Opened in the period, and not over after all at least once."""
    listed: tuple[Line, ...]
    """Opened in the period and told at once, the most urgent first, at most 50."""
    gathered: tuple[Line, ...]
    """Opened in the period and told here first, at most 50."""
    gathered_total: int
    waiting: tuple[Line, ...]
    """Still open from before the period, the most urgent first, at most 10."""
    waiting_total: int
    ended: tuple[Line, ...]
    """Resolved, closed or dismissed in the period, opened before it, at most 10."""
    ended_total: int
    response: Statistics
    """How well the incidents that were opened in the period were answered."""
    people: tuple[Person, ...] = ()
    blocks: BlockTally = BlockTally()
    attackers: tuple[Attacker, ...] = ()
    accounts: tuple[Account, ...] = ()
    overdue: tuple[Overdue, ...]
    overdue_total: int
    failures: tuple[Failure, ...] = ()
    ahead: tuple[Ahead, ...] = ()
    missed: tuple[Period, ...] = ()
    """Periods before this one that got no digest, the oldest first."""
    cuts: tuple[str, ...] = ()
    """What was not looked at, in sentences."""

    @property
    def is_over(self) -> bool:
        """Whether its period had ended when it was made."""
        return self.period.to_ms <= self.made_at

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        found = (self.opened.total, self.resolved.total, self.still_open.total, self.merged)
        lists = (
            self.people,
            self.attackers,
            self.accounts,
            self.overdue,
            self.failures,
            self.ahead,
            self.missed,
        )
        moved = (self.blocks.made, self.blocks.approved, self.blocks.lifted, self.blocks.rejected)
        return not any((*found, *lists, *moved))
