"""Which addresses many people share: an office, a school, a carrier. They fail more often together than one attacker
alone, and a block of one would lock all of them out.

Looks at: authentications whose record says that they succeeded (`outcome: success`, sshd `Accepted`) and names the
user; remembers who got in from an address, and when first and last. A status proves nothing: many login forms answer
a failure with 200 or a redirect, and a web server logs whatever user name it is sent. An address is shared where
enough different users (5 in the shipped policy) got in within a week, each for the first time at least an hour ago:
who takes accounts over does not wait. lua/count_batch/ reads it where a rule counts for that address that many people
trip sooner than one; rules about attacks spare nobody. Where anybody may open accounts, an attacker with five of them
and an hour is spared too, and people are told instead.
"""

from collections.abc import Iterable

from detectors.auth_failures import attempt_of, is_login_success
from detectors.detector import Detector, Look, Verdict
from detectors.finding import Severity
from detectors.rule import Kind, Rule
from detectors.windows import SHARED_ADDRESS, SHARED_MEMORY_MS

SHARED_RULE = Rule(
    SHARED_ADDRESS, 1, 3_600_000, (), Severity.LOW, kind=Kind.SHARED, memory_ms=SHARED_MEMORY_MS
)


class SharedAddress(Detector):
    """Remembers who got in. Finds nothing itself."""

    outcomes = True

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each successful login of a known user."""
        event = look.event
        if not event.user or event.outcome != "success" or not is_login_success(event, self._site):
            return ()
        return (Verdict(self._rule, f"login succeeded{attempt_of(event)}", good=True, value=event.user),)
