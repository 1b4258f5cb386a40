"""credential_stuffing: one address tries the accounts of many people.

Looks at: failed authentications that name a user; counts different users of one address.
Why: a list of leaked passwords is tried once for each account, so no single account fails often.
Default: 10 different users in 5 minutes from one address, which is then blocked.
When it is wrong: an office or a school behind one address on a morning after a password change.
Source: ATT&CK T1110.004, OWASP OAT-008; CrowdSec's ssh-bf_user-enum and Elastic's Okta rule use 10 to 15 users.
"""

from detectors.auth_failures import FailedLogins


class CredentialStuffing(FailedLogins):
    """Counts failed authentications; what differs, and for whom, stands in its rule."""
