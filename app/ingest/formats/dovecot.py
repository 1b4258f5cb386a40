"""Dovecot's logins: IMAP, POP3, ManageSieve, submission.

The login process writes one line when a connection ends, with how many attempts failed in it: that many count. The
lines of `auth` and `auth-worker`, and PAM's, tell of the same attempts and do not count again.
Source: Dovecot src/login-common/client-common.c, client_get_extra_disconnect_reason() and login_log_format_elements
(`user=<%u> method=%m rip=%r lip=%l mpid=%e %c session=<%{session}>`).
"""

from app.ingest.formats.patterns import ADDRESS, failure, success
from app.ingest.formats.text_format import text_format

_PROCESS = r"(?:(?:imap|pop3|managesieve|submission)-login: )?(?:Info: )?"
_END = r"(?:Login aborted|Aborted login|Disconnected|Remote closed connection|Client has quit the connection)"
_FAILED = (
    r"\(auth failed, (?P<repeat>[0-9]{1,9}) attempts?+(?: in [0-9]{1,9} secs)?+\)(?: \([a-z_]{1,40}+\))?+: "
)
_REST = r"(?:,(?:(?! rip=).)*+)?+"
"""What follows the address is the server's; a second address would be an attacker's doing."""

FORMAT = text_format(
    "dovecot",
    title="Dovecot's logins (IMAP, POP3, ManageSieve, submission); as many as the line says",
    source="Dovecot client-common.c",
    programs=("dovecot", "imap", "pop", "managesieve", "submission"),
    patterns=(
        failure(
            "(auth failed, ",
            rf"{_PROCESS}{_END}[^<]*?{_FAILED}(?:user=<(?P<user>.*)>,)?(?: ?method=[^ ,]++,)? ?rip={ADDRESS}{_REST}",
        ),
        success(
            "Login: user=<",
            rf"{_PROCESS}Login: user=<(?P<user>[^<>]*+)>,(?: method=[^ ,]++,)? rip={ADDRESS}{_REST}",
        ),
    ),
)
