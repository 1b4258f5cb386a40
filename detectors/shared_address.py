"""Which addresses many people share: an office, a school, a carrier. They fail more often together than one attacker
alone, and a block of one would lock all of them out.

Looks at: successful logins that name a user; remembers who got in from an address, and when first and last. An address
is shared where enough different users (5 by default) got in within a week, each for the first time at least an hour
ago: who takes accounts over does not wait. lua/count_batch/ reads it where a rule counts for that address.
"""

from collections.abc import Iterable

from detectors.auth_failures import LOGIN, LOGIN_FORM, attempt_of, is_login_success
from detectors.detector import Detector, Look, Verdict
from detectors.finding import Severity
from detectors.rule import Kind, Rule
from detectors.scanner import ENCODED
from detectors.windows import SHARED_ADDRESS, SHARED_MEMORY_MS

SHARED_FROM = 5
"""Users of one address, from which on it is nobody's own: a family has fewer."""
SHARED_RULE = Rule(
    SHARED_ADDRESS, 1, 3_600_000, (), Severity.LOW, kind=Kind.SHARED, memory_ms=SHARED_MEMORY_MS
)


class SharedAddress(Detector):
    """Remembers who got in. Finds nothing itself."""

    tags = frozenset({LOGIN, LOGIN_FORM, ENCODED})
    outcomes = True

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each successful login of a known user."""
        event = look.event
        if not event.user or not is_login_success(event, self._site):
            return ()
        return (Verdict(self._rule, f"login succeeded{attempt_of(event)}", good=True, value=event.user),)
