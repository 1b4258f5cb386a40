"""PAM's refusals by programs that say nothing better themselves: console and web logins, remote desktops, file shares.

sshd, Dovecot, vsftpd and ProFTPD log each attempt in words of their own, which count; their PAM lines do not.
The names before and behind `rhost` are the attacker's.
Source: Linux-PAM modules/pam_unix/support.c (`authentication failure; logname=%s uid=%d euid=%d tty=%s ruser=%s
rhost=%s %s%s`).
"""

from app.ingest.formats.patterns import ADDRESS, failure
from app.ingest.formats.text_format import text_format

_WORDS = r"(?:(?! rhost=).)*+"
_REFUSED = rf"(?:pam_[a-z0-9]++\([^ ()]++\): )?authentication failure;{_WORDS} rhost="

FORMAT = text_format(
    "pam",
    title="PAM's refusals by cockpit, login, samba, webmin and xrdp",
    source="Linux-PAM pam_unix/support.c",
    programs=("cockpit", "login", "samba", "smbd", "webmin", "xrdp"),
    patterns=(
        failure("authentication failure;", rf"{_REFUSED}{ADDRESS}(?: ++user=(?P<user>{_WORDS}))?"),
        failure("authentication failure;", rf"{_REFUSED}.*"),
    ),
)
