"""password_spraying: one address tries a few passwords on many accounts, slowly.

Looks at: failed authentications that name a user; counts different users of one address over an hour.
Why: few tries for each account stay under every lock-out and under every short window.
Default: 15 different users in an hour from one address; tells an administrator.
When it is wrong: a large office behind one address; look whether its users succeed as well.
Source: ATT&CK T1110.003; Elastic's rules ask for more than 5 to 10 users an hour, Panther's for 20.
"""

from detectors.auth_failures import FailedLogins


class PasswordSpraying(FailedLogins):
    """Counts failed authentications; what differs, and for whom, stands in its rule."""
