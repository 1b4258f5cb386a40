"""vsftpd's logins, in /var/log/vsftpd.log or (syslog_enable=YES) in syslog.

The user name and an anonymous user's password are the attacker's, written between brackets and quotes that they may
hold too. PAM's line of the same attempt is not counted.
Source: vsftpd 3.0 logging.c, vsf_log_do_log_vsftpd_format(); vsftpd.conf(5).
"""

from app.ingest.formats.patterns import ADDRESS, failure, success
from app.ingest.formats.text_format import text_format
from app.ingest.formats.times import CTIME, from_ctime

_CLIENT = rf'LOGIN: Client "{ADDRESS}"'
_USER = r'\[(?P<user>(?:(?!, anon password ").)*)\]'
_ANONYMOUS = r'\[(?P<user>[^\]"]*+)\]'
_ANON = r', anon password "[^"]*+"'
_REASON = r'(?:, "[^"]*+")?'

FORMAT = text_format(
    "vsftpd",
    title="vsftpd's logins, from its own log or syslog",
    source="vsftpd logging.c",
    programs=("vsftpd",),
    header=rf"(?P<timestamp>{CTIME}) \[pid [0-9]++\] ",
    read_time=from_ctime,
    patterns=(
        failure("FAIL LOGIN: Client", rf"{_ANONYMOUS} FAIL {_CLIENT}{_ANON}{_REASON}"),
        failure("FAIL LOGIN: Client", rf"{_USER} FAIL {_CLIENT}{_REASON}"),
        # A password that looks like the end of the line: whose address is whose, nobody can tell.
        failure("FAIL LOGIN: Client", r'\[.*\] FAIL LOGIN: Client ".*'),
        success("OK LOGIN: Client", rf"{_ANONYMOUS} OK {_CLIENT}{_ANON}"),
        success("OK LOGIN: Client", rf"{_USER} OK {_CLIENT}"),
    ),
)
