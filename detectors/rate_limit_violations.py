"""rate_limit_violations: a client goes on although it was told to slow down.

Default: 50 in a minute from one address; tells an administrator.
Source: RFC 6585, 4; OWASP API4:2023 (unrestricted resource consumption), OAT-011 (scraping); the operator's document.
"""

from collections.abc import Iterable

from detectors.detector import Detector, Look, Verdict, answer_of
from detectors.guide import Guide


class RateLimitViolations(Detector):
    """Counts 429s."""

    guide = Guide(
        phrase="{subject} was told to slow down {times}",
        what=(
            "A client goes on asking although it is answered 429 (nginx `limiting requests` lines "
            "are read as 429). One that honours limits stops; one that does not is broken, "
            "scraping or attacking."
        ),
        needs="`client_ip` and `status`.",
        check=(
            "`bartizan incidents show ID`: compare `path` and `user_agent` of the evidence. One "
            "path in a steady rhythm is a broken client, many different paths or ids are a "
            "scraper, a login path is somebody who guesses passwords."
        ),
        act=(
            "Where an `api_key_id` or `user` stands in the log, ask its owner to honour "
            "Retry-After, or lower the quota of the key. A nameless scraper: `bartizan blocks add "
            "ADDRESS --reason ...`, or `action: [block_ip, alert_admin]` for this rule."
        ),
        wrong=(
            "The limit is too tight for what a page loads, or many people share the address (a "
            "carrier, an office): look how many `user` values it has, and raise the limit at the "
            "server or `threshold` here."
        ),
        references=("API4:2023", "OAT-011"),
    )

    statuses = frozenset({429})

    def judge(self, look: Look) -> Iterable[Verdict]:
        """One verdict for each 429."""
        return (Verdict(self._rule, answer_of(look.event)),) if look.event.status == 429 else ()
