"""distributed_brute_force: many addresses try one account.

No address is to blame alone, so none is blocked.
Default: 8 different addresses in 30 minutes; tells an administrator.
Source: ATT&CK T1110.001; Elastic's Okta rule asks for 5 addresses and 10 attempts; OWASP ASVS 2.2.1.
"""

from detectors.auth_failures import FailedLogins
from detectors.guide import Guide


class DistributedBruteForce(FailedLogins):
    """Counts failed authentications; what differs, and for whom, stands in its rule."""

    guide = Guide(
        phrase="Logins to the account {subject} failed {times}",
        what=(
            "Somebody wants this one account and tries its password through a botnet or a list of "
            "proxies: no address fails often, but the account does. Counted are the different "
            "addresses of one user whose authentication fails."
        ),
        needs="`user` and `client_ip`, and `status` or `outcome`.",
        check=(
            "`bartizan incidents show ID`: compare `client_ip` and `user_agent` of the evidence. "
            "Addresses of many providers and countries with the same user agent are one attacker. "
            "Ask your login log whether the account was entered since `first_seen`."
        ),
        act=(
            "Force a password reset and a second factor for the account, and end its sessions if "
            "a login succeeded. If the addresses share a network, `bartizan blocks add NETWORK "
            "--reason ...`."
        ),
        wrong=(
            "A shared account (`admin`, `info`) whose password has just changed: its people "
            "succeed soon after. Give each person an account of their own, or raise the "
            "threshold."
        ),
        references=("T1110.001", "CWE-307", "ASVS 2.2.1"),
    )
