"""password_spraying: one address tries a few passwords on many accounts, slowly.

Default: 15 different users in an hour from one address; tells an administrator.
Source: ATT&CK T1110.003; Elastic's rules ask for more than 5 to 10 users an hour, Panther's for 20.
"""

from detectors.auth_failures import FailedLogins
from detectors.guide import Guide


class PasswordSpraying(FailedLogins):
    """Counts failed authentications; what differs, and for whom, stands in its rule."""

    guide = Guide(
        phrase="{subject} slowly failed to log in {times}",
        what=(
            "A few common passwords are tried on many accounts, slowly: that stays under every "
            "lock-out of an account and under every short window. Counted are the different users "
            "of one address whose authentication fails within an hour."
        ),
        needs="`client_ip` and `user`, and `status` or `outcome`.",
        check=(
            "`bartizan incidents show ID`: real user names, one or two tries each, in even "
            "distances, are a spray. Ask your login log whether any of them succeeded from this "
            "address."
        ),
        act=(
            "`bartizan blocks add ADDRESS --reason ...`, force a password reset for every account "
            "that logged in from there, and refuse the most common passwords for all. Look for "
            "the same users in incidents of other addresses."
        ),
        wrong=(
            "A large office behind one address: its users succeed as well, which a spray hardly "
            "does. `bartizan allow add NETWORK --note ...`, or a higher threshold."
        ),
        references=("T1110.003", "OAT-007", "API2:2023"),
    )
