"""not_found_churn: one address asks for many different pages that do not exist.

Paths that differ only in their ids (numbers, UUIDs) are one: walking ids is object_enumeration, and an app that asks
for many photos looks for no weak spot.
Default: 20 different paths in a minute from one address; investigates.
Source: ATT&CK T1595.003, OWASP OAT-018; CrowdSec's http-probing asks for 10 in 10 seconds.
"""

from collections.abc import Iterable

from detectors.decoding import decode_target, normal_path
from detectors.detector import LONGEST_QUOTE, Detector, Look, Verdict
from detectors.guide import Guide
from detectors.object_enumeration import LONGEST_PATH, route_of


class NotFoundChurn(Detector):
    """Counts paths; what differs is the path, decoded, its ids replaced."""

    guide = Guide(
        phrase="{subject} asked for {count} different pages that do not exist",
        what=(
            "Who looks for weak spots does not know what is there; a broken link repeats, a "
            "scanner varies. Counted are the different paths of one address that are answered 404 "
            "or 410."
        ),
        needs="`client_ip`, `path` and `status`.",
        check=(
            "`bartizan incidents show ID`: names such as backup, admin, .bak or those of other "
            "products are a word list. Paths that your site once had are old links."
        ),
        act=(
            "If it is a word list, `bartizan blocks add ADDRESS --reason ...`, or `action: "
            "[block_ip, investigate]` for this rule. Look whether anything that was found (200) "
            "should not be there."
        ),
        wrong=(
            "A search engine or a link checker that follows the links of a site that was rebuilt: "
            "redirect the old paths, or `bartizan allow add NETWORK --note ...`. An application "
            "that lost its images: mend it."
        ),
        references=("T1595.003", "OAT-018"),
    )

    statuses = frozenset({404, 410})

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each page that is not there."""
        if look.event.status not in self.statuses or not look.event.path:
            return ()
        route, _ = route_of(look.event.path)
        path = normal_path(decode_target(look.event.path[:LONGEST_PATH]))
        return (Verdict(self._rule, f"status {look.event.status} on {path[:LONGEST_QUOTE]}", value=route),)
