"""blocklist_stale: an external list cannot be had for longer than the policy lets its last good copy stand.

Default: the `expires` of each list in the policy, three days where it says nothing. Whoever else is blocked by the list
comes in again from then on, and nothing else says so.
Source: the number is ours; it spares a publisher's weekend.
"""

from typing import ClassVar

from detectors.guide import Guide
from detectors.rule import Rule


class BlocklistStale:
    """Looks at nothing itself: app/blocklists/refresher.py knows how each list is doing."""

    guide: ClassVar[Guide] = Guide(
        phrase="{subject} could not be had",
        what=(
            "An external blocklist of the policy could not be had from its source for longer than its `expires`, "
            "which alone says how long; threshold and window say nothing here. Its last good copy is no longer in "
            "force: whoever only stood on it comes in again. The first time that it can be had says that it is over, "
            "and so does a policy that no longer names it. It is on where the policy does not name it; "
            "`mode: observe` turns it off."
        ),
        needs="Nothing of the log; a list under `blocklists` of the policy.",
        check=(
            "`bartizan blocklists list` shows the error and since when. Ask for the list by hand from the machine "
            "that Bartizan runs on: its publisher may have moved it, the key in its URL may have ended, or a firewall "
            "stands in between."
        ),
        act=(
            "Mend the `url` or `file` in the policy, then `bartizan blocklists refresh NAME`. A list that has grown "
            "beyond its `cap` needs a higher one, if the growth is no mistake."
        ),
        wrong="A list that its publisher has given up: take it out of the policy. One that rests for longer: raise "
        "its `expires`.",
        references=("T1562",),
    )

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
