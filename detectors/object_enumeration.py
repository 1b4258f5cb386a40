"""object_enumeration: somebody walks through the ids of objects that are not theirs.

404 on an id that nobody can count up or guess (a random UUID, 32 hex digits or more) does not count: it is a client
that asks whether the server has something yet; 403 on one does, since then the object is there.
Default: 20 different ids of one route in 5 minutes from one address; tells an administrator.
Source: OWASP API1:2023 (broken object level authorization), CWE-639; RFC 9562, 5.4 (random UUIDs).
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from detectors.decoding import decode_target, normal_path
from detectors.detector import LONGEST_QUOTE, Detector, Look, Verdict
from detectors.guide import Guide

_ID = re.compile(r"[0-9]{1,20}|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,64}", re.IGNORECASE)
_UNGUESSABLE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-9a-f]{32,64}", re.IGNORECASE
)
"""Version 4, or as long as an MD5: at least 122 random bits, as far as looks tell."""
LONGEST_PATH = 512


class ObjectEnumeration(Detector):
    """Counts ids; the route, its ids replaced, narrows the window."""

    guide = Guide(
        phrase="{subject} asked in vain for {count} different ids of one route",
        what=(
            "Who counts ids up looks for an object that is served although it is not theirs; a "
            "real client asks for objects it knows. Counted are the different ids (numbers, "
            "UUIDs, long hex strings) of one route that are answered 403 or 404."
        ),
        needs="`client_ip`, `path` and `status`.",
        check=(
            "`bartizan incidents show ID`: `matched` names route and id; ids in order are a walk. "
            "Then search your access log for answers of 200 to this address on the same route, "
            "and ask whether those objects belong to its `user` or key."
        ),
        act=(
            "If foreign objects were served, close the route until it checks the owner of each "
            "object, and treat it as a data breach. If all were refused, block the address or "
            "revoke its key, and use ids that cannot be guessed."
        ),
        wrong=(
            "A client that goes on asking for objects that were deleted in bulk, or a crawler "
            "with old links: its ids once existed. Answer 410, or raise the threshold."
        ),
        references=("API1:2023", "CWE-639"),
    )

    statuses = frozenset({403, 404})

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each refused object."""
        event = look.event
        if event.status not in self.statuses or not event.path:
            return ()
        route, ids = route_of(event.path)
        if not ids or (event.status == 404 and _UNGUESSABLE.fullmatch(ids[-1]) and not ids[-1].isdecimal()):
            return ()
        return (
            Verdict(
                self._rule,
                f"status {event.status} on {route[:LONGEST_QUOTE]} with id {ids[-1]}",
                value="/".join(ids),
                narrow=route,
            ),
        )


def route_of(path: str) -> tuple[str, tuple[str, ...]]:
    """The path with its ids replaced by `{id}`, and the ids in order."""
    return _route_of(path[:LONGEST_PATH])


@lru_cache(maxsize=16_384)
def _route_of(path: str) -> tuple[str, tuple[str, ...]]:
    ids, route = [], []
    for segment in normal_path(decode_target(path)).split("/"):
        is_id = bool(_ID.fullmatch(segment))
        route.append("{id}" if is_id else segment)
        if is_id:
            ids.append(segment)
    return "/".join(route), tuple(ids)
