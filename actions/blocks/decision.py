"""A decision in force: what enforcement needs of a block, and all that an external list says of its entries.

It is the row of the hash of active blocks and of the changes feed, and what lookups find in memory.
"""

import msgspec

from actions.blocks.subjects import Scope, key_of
from detectors.finding import DecisionType

OWN = "rule"


class Decision(msgspec.Struct, frozen=True, gc=False):
    """A block in force. Times are epoch milliseconds; `until` None is for good."""

    id: str
    value: str
    """Canonical, as in `Block`."""
    until: int | None
    scope: Scope = Scope.IP
    type: DecisionType = DecisionType.BAN
    origin: str = OWN
    """Who made it: `rule`, `admin`, `api`, `import`, or `lists:NAME` for an external list."""
    reason: str = ""
    rule: str | None = None
    incident_id: str | None = None
    created_at: int = 0
    seen: str = ""
    """Of an IPv6 network: the addresses inside that attacked, newest first, with a space in between."""

    def __post_init__(self) -> None:
        """A network is a range, also in rows of before there were scopes."""
        if "/" in self.value and self.scope is Scope.IP:
            msgspec.structs.force_setattr(self, "scope", Scope.RANGE)

    @property
    def key(self) -> str:
        """Its field in the hash of the blocks in force."""
        return key_of(self.scope, self.value)
