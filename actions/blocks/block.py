"""What a block is, and what became of the wish to make one. Types only; blocklist.py keeps them."""

import enum

import msgspec

from actions.blocks.decision import Decision
from actions.blocks.networks import Network, holds, network_of
from actions.blocks.subjects import ADDRESSES, Scope, key_of
from detectors.finding import DecisionType

__all__ = ["DecisionType", "Scope"]


class Origin(enum.StrEnum):
    """Where a block comes from."""

    RULE = "rule"
    ADMIN = "admin"
    API = "api"
    IMPORT = "import"


class BlockStatus(enum.StrEnum):
    """`active` is in force; `proposed` waits for a person; the others are over."""

    ACTIVE = "active"
    PROPOSED = "proposed"
    EXPIRED = "expired"
    LIFTED = "lifted"
    REJECTED = "rejected"


class Review(enum.StrEnum):
    """What a person thought of an automatic block. People's own blocks need no review."""

    UNREVIEWED = "unreviewed"
    APPROVED = "approved"
    REJECTED = "rejected"
    NOT_NEEDED = "not_needed"


class Outcome(enum.StrEnum):
    """What became of a wish to block."""

    CREATED = "created"
    """It is in force (or proposed, where the request said so)."""
    EXISTS = "exists"
    """This very request (same id) was carried out before; `block` is what became of it since."""
    ALREADY_BLOCKED = "already_blocked"
    """The value, or a network around it, is blocked (or proposed) already: no second strike. `block` is that one."""
    TOO_LATE = "too_late"
    """Its end, counted from the event's time, is over: nothing was made and no strike counted."""
    BRAKED = "braked"
    """The rule has blocked too many in too short a time. `first` says whether this one set the brake off."""
    SPARED = "spared"
    """A person rejected this rule's block of this value less than the grace time ago."""
    REFUSED = "refused"
    """It must never be blocked; `entry` says what stopped it."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One block with its whole state. Times are epoch ms; on the wire they become RFC 3339."""

    id: str
    value: str
    """Canonical: `203.0.113.9`, `203.0.113.0/24`, `2001:db8:1:2::/64`; of other scopes `FR`, `64500`, `alice`."""
    scope: Scope = Scope.IP
    type: DecisionType = DecisionType.BAN
    origin: Origin
    rule: str | None = None
    reason: str
    status: BlockStatus
    review: Review
    strikes: int
    """The how-manieth block of this value within 30 days; doubles the time."""
    incident_id: str | None = None
    created_at: int
    until: int | None = None
    """None is permanent. For a proposed block: when it would end."""
    actor: str
    """Who made it: `bartizan` for a rule, else the token's name."""
    finding_id: str | None = None
    changed_at: int = 0
    changed_by: str | None = None
    note: str = ""
    """The reason of the last change by a person."""
    seen: str = ""
    """Of an IPv6 network: the addresses inside that attacked, newest first, with a space in between. For those who
    enforce single addresses only. No list, since Lua writes an empty one as an object."""

    def __post_init__(self) -> None:
        """A network is a range, also in rows of before there were scopes."""
        if "/" in self.value and self.scope is Scope.IP:
            msgspec.structs.force_setattr(self, "scope", Scope.RANGE)

    @property
    def key(self) -> str:
        """What all that is kept about its value is kept under."""
        return key_of(self.scope, self.value)

    def decision(self) -> Decision:
        """The part that enforcement needs."""
        return Decision(
            id=self.id,
            value=self.value,
            reason=self.reason,
            rule=self.rule,
            incident_id=self.incident_id,
            created_at=self.created_at,
            until=self.until,
            origin=self.origin.value,
            type=self.type,
            scope=self.scope,
            seen=self.seen,
        )


class BlockRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The wish to block. The same id twice is one block."""

    id: str
    """For a finding derived from the finding's id, see block_ip.py; for a person `new_block_id()`."""
    value: str
    """In any readable spelling."""
    scope: Scope | None = None
    """None: an address or network."""
    type: DecisionType = DecisionType.BAN
    origin: Origin
    reason: str
    duration_ms: int | None
    """How long the first one lasts; doubles with each strike where `max_duration_ms` is given. None: permanent."""
    max_duration_ms: int | None = None
    """The cap of the doubling. None: no doubling, the duration is exact (people's own blocks)."""
    at: int | None = None
    """Epoch ms from which the end counts: the event's time. None: now."""
    rule: str | None = None
    incident_id: str | None = None
    finding_id: str | None = None
    seen: tuple[str, ...] = ()
    """As in `Block`."""
    propose: bool = False
    force: bool = False
    """Allows networks wider than a /16 (v4) or /32 (v6). What must never be blocked stays refused."""


class BlockResult(msgspec.Struct, frozen=True):
    """What became of a request. `block` is set for created, exists and already_blocked."""

    outcome: Outcome
    block: Block | None = None
    entry: str | None = None
    first: bool = False


class BlockFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which blocks a list shows; what is None does not narrow it."""

    status: BlockStatus | None = None
    review: Review | None = None
    rule: str | None = None
    origin: Origin | None = None
    value: str | None = None
    """Exactly this value, canonical."""
    contains: str | None = None
    """Blocks whose network holds this address or network. Raises ValueError where it is none."""
    since: int | None = None
    """Made at or after this, epoch ms."""
    q: str | None = None
    """Text that id, value, reason, rule, actor, incident or note contain, any case."""

    def fits(self, block: Block, contained: Network | None) -> bool:
        """Whether a list shows this block. `contained`: what `contains` says, read."""
        if self.q is not None:
            texts = (
                *(block.id, block.value, block.reason, block.rule, block.actor),
                *(block.incident_id, block.note),
            )
            if not any(self.q.lower() in text.lower() for text in texts if text):
                return False
        return (
            (self.status is None or block.status == self.status)
            and (self.review is None or block.review == self.review)
            and (self.rule is None or block.rule == self.rule)
            and (self.origin is None or block.origin == self.origin)
            and (self.value is None or self.value in (block.value, block.key))
            and (self.since is None or block.created_at >= self.since)
            and (
                contained is None or (block.scope in ADDRESSES and holds(network_of(block.value), contained))
            )
        )


class AllowEntry(msgspec.Struct, frozen=True):
    """An address or network that is never blocked, and the note why."""

    value: str
    note: str
    actor: str
    created_at: int
    until: int | None = None


class Change(msgspec.Struct, frozen=True):
    """One row of the changes feed, in order. `decision` for add and remove, `allow` for allow_add, allow_remove, `list`
    for list."""

    cursor: str
    op: str
    """`add` (also when its end changed), `remove`, `allow_add`, `allow_remove`, `list` (its content is another)."""
    reason: str
    decision: Decision | None = None
    allow: AllowEntry | None = None
    list: str | None = None
    """The name of an external list."""
