"""credential_stuffing: one address tries the accounts of many people.

Default: 10 different users in 5 minutes from one address, which is then blocked.
Source: ATT&CK T1110.004, OWASP OAT-008; CrowdSec's ssh-bf_user-enum and Elastic's Okta rule use 10 to 15 users.
"""

from detectors.auth_failures import FailedLogins
from detectors.guide import Guide


class CredentialStuffing(FailedLogins):
    """Counts failed authentications; what differs, and for whom, stands in its rule."""

    guide = Guide(
        phrase="{subject} failed to log in {times}",
        what=(
            "A list of leaked user names and passwords is tried, each pair once, so that no "
            "single account fails often; some of them fit. Counted are the different users of one "
            "address whose authentication fails."
        ),
        needs="`client_ip` and `user`, and `status` or `outcome`.",
        check=(
            "`bartizan incidents show ID`: users that do not exist at your site, in alphabetical "
            "or random order, come from a list; colleagues' names come from an office. Search "
            "your login log for a success from this address."
        ),
        act=(
            "Keep the address blocked. Force a password reset and end the sessions of every account that "
            "logged in from this address since `first_seen`; tell those users that the password "
            "is known from another site."
        ),
        wrong=(
            "An office, a school or a carrier behind one address, on a morning after a password "
            "change: its users succeed as well. `bartizan allow add NETWORK --note ...`, or a "
            "higher threshold."
        ),
        references=("T1110.004", "OAT-008", "API2:2023"),
    )
