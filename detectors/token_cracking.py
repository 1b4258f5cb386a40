"""token_cracking: one address tries many API keys that are refused.

Default: 10 different refused keys in 5 minutes from one address, which is then blocked.
Source: OWASP API2:2023 (broken authentication), ATT&CK T1110.
"""

from collections.abc import Iterable

from detectors.detector import Detector, Look, Verdict, answer_of
from detectors.guide import Guide


class TokenCracking(Detector):
    """Counts refused keys; what differs is the key."""

    guide = Guide(
        phrase="{subject} tried {count} different keys that were refused",
        what=(
            "A client has one key, or a few; who guesses has many. Counted are the different keys "
            "of one address that are refused with 401 or 403."
        ),
        needs=(
            "`client_ip`, `status` and `api_key_id` also of refused requests (its id or a hash of "
            "it, never the key)."
        ),
        check=(
            "`bartizan incidents show ID`: keys that you never gave out are guessed; keys that "
            "you once gave out and revoked come from a leaked list. Ask your key store which of "
            "them exist."
        ),
        act=(
            "Keep the address blocked. Revoke every key of yours that the address holds, and look what was "
            "done with it since `first_seen`; make keys long and random, so that guessing is "
            "hopeless."
        ),
        wrong=(
            "A gateway in front of many clients, whose own address is logged: name it in "
            "BARTIZAN_TRUSTED_PROXIES, so that the client's address counts. After a rotation of "
            "all keys: raise the threshold for a day."
        ),
        references=("T1110", "API2:2023", "CWE-307"),
    )

    statuses = frozenset({401, 403})

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each refused key."""
        key = look.event.api_key_id
        if key is None or look.event.status not in self.statuses:
            return ()
        return (Verdict(self._rule, f"a key refused with {answer_of(look.event)}", value=key),)
