"""not_found_churn: one address asks for many different pages that do not exist.

Looks at: 404 and 410; counts different paths of one address, those that differ only in their ids (numbers, UUIDs) as
one: walking ids is object_enumeration, and an app that asks for many photos looks for no weak spot.
Why: who looks for weak spots does not know what is there; a broken link repeats, a scanner varies.
Default: 20 different paths in a minute from one address; investigates.
When it is wrong: a search engine that follows the links of a site that was rebuilt.
Source: ATT&CK T1595.003, OWASP OAT-018; CrowdSec's http-probing asks for 10 in 10 seconds.
"""

from collections.abc import Iterable

from detectors.decoding import decode_target, normal_path
from detectors.detector import Detector, Look, Verdict
from detectors.object_enumeration import route_of


class NotFoundChurn(Detector):
    """Counts paths; what differs is the path, decoded, its ids replaced."""

    statuses = frozenset({404, 410})

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each page that is not there."""
        if look.event.status not in self.statuses or not look.event.path:
            return ()
        route, _ = route_of(look.event.path)
        path = normal_path(decode_target(look.event.path))
        return (Verdict(self._rule, f"no page {path[:80]!r}", value=route),)
