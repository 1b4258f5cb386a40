"""Which other subjects of the same network or provider were found out lately.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:near:NETWORK` | sorted set, `RULE SUBJECT` by time | 7 days after the newest | 256, oldest go first |

NETWORK is the /24 (IPv6: /48) of the subject, or `AS64500` where an ASN database is configured.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from actions.blocks.networks import vicinity
from actions.incidents.incident import Incident
from actions.storage import DAY_MS, Client, act_key, storage_errors, text_of
from detectors.finding import Evidence, Finding, SubjectKind
from detectors.geo import Geo

NEAR_TTL_MS = 7 * DAY_MS
NEAR_KEPT = 256
MOST_SHARING = 20
"""Others that may share a user agent or path before it is taken for an ordinary one."""
SHARES_NAMED = 5


class Neighbour(msgspec.Struct, frozen=True):
    """Another subject, what it was found for, and when last (epoch ms)."""

    subject: str
    rule: str
    at: int


def near_key(network: str) -> str:
    """The subjects of one network or provider."""
    return act_key("near", network)


class Neighbours:
    """Remembers who was found out, by network and provider."""

    def __init__(self, redis: Client, geo: Geo) -> None:
        self._redis = redis
        self._geo = geo

    async def remember(self, finding: Finding) -> None:
        """Notes the subject of a finding, if it is an address. Twice is once. Raises: StorageError."""
        if finding.subject_kind != SubjectKind.IP:
            return
        with storage_errors("remembering neighbours"):
            async with self._redis.pipeline(transaction=True) as pipe:
                for network in self.networks_of(finding.subject):
                    key = near_key(network)
                    pipe.zadd(key, {f"{finding.rule} {finding.subject}": finding.at}, gt=True)
                    pipe.zremrangebyrank(key, 0, -NEAR_KEPT - 1)
                    pipe.pexpire(key, NEAR_TTL_MS)
                if pipe.command_stack:
                    await pipe.execute()

    def networks_of(self, value: str) -> list[str]:
        """The names under which a value is noted: its vicinity and its provider. Empty where it is no address."""
        try:
            names = [vicinity(value)]
        except ValueError:
            return []
        place = self._geo.look_up(value)
        if place is not None and place.asn is not None:
            names.append(f"AS{place.asn}")
        return names

    async def of(self, network: str, besides: str = "") -> list[Neighbour]:
        """The subjects noted for a network, the newest first. Raises: StorageError."""
        with storage_errors("reading neighbours"):
            rows: Any = await self._redis.zrevrange(near_key(network), 0, -1, withscores=True)
        found = []
        for member, at in rows:
            rule, _, subject = text_of(member).partition(" ")
            if subject != besides:
                found.append(Neighbour(subject, rule, int(at)))
        return found


class Alike(msgspec.Struct, frozen=True):
    """Another subject that was found out lately and behaved alike."""

    subject: str
    rule: str
    incident_id: str
    at: int
    shares: tuple[str, ...]
    """`user agent X`, `path /.env`: what their evidence has in common."""


def alike(
    incident: Incident | None, subject: str, evidence: Sequence[Evidence], others: Iterable[Incident]
) -> list[Alike]:
    """Those of other incidents whose evidence shares a user agent or a path with this evidence, the newest first.

    A path that a tenth of the others share as well says nothing of one attacker; so does such a user agent.
    """
    others = [one for one in others if one.subject != subject and (incident is None or one.id != incident.id)]
    traits = {one.id: _traits(one.evidence) for one in others}
    spread = Counter(trait for found in traits.values() for trait in found)
    most = max(MOST_SHARING, len(others) // 10)
    own = {trait for trait in _traits(evidence) if spread[trait] <= most}
    found = [
        Alike(one.subject, one.rule, one.id, one.last_seen, tuple(sorted(shared)[:SHARES_NAMED]))
        for one in others
        if (shared := own & traits[one.id])
    ]
    return sorted(found, key=lambda one: (-len(one.shares), -one.at))


def _traits(evidence: Iterable[Evidence]) -> set[str]:
    traits = set()
    for one in evidence:
        if one.user_agent:
            traits.add(f"user agent {one.user_agent[:120]}")
        if one.path and one.path != "/":
            traits.add(f"path {one.path.partition('?')[0][:120]}")
    return traits
