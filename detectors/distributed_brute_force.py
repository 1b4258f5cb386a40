"""distributed_brute_force: many addresses try one account.

Looks at: failed authentications that name a user; counts different addresses of one user.
Why: behind a botnet or a proxy list no address fails often, but the account does.
Default: 8 different addresses in 30 minutes; tells an administrator. No address is to blame alone, so none is blocked.
When it is wrong: a shared account (`admin`, `info`) whose password has just changed.
Source: ATT&CK T1110.001; Elastic's Okta rule asks for 5 addresses and 10 attempts; OWASP ASVS 2.2.1.
"""

from detectors.auth_failures import FailedLogins


class DistributedBruteForce(FailedLogins):
    """Counts failed authentications; what differs, and for whom, stands in its rule."""
