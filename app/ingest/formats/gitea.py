"""Gitea and Forgejo: refused logins, in the log file, on the console or in syslog.

The user name stands before the address and, within the error, behind it.
Source: Gitea routers/web/auth/auth.go, SignInPost() (`Failed authentication attempt for %s from %s: %v`);
services/context (`Failed authentication attempt from %s`); docs, "Fail2ban setup".
"""

from app.ingest.formats.patterns import ADDRESS_AND_PORT, failure
from app.ingest.formats.text_format import text_format
from app.ingest.formats.times import from_slashes

_WORDS = r"(?:(?! from \[?+[0-9A-Fa-f.:]{2,45}).)*+"

FORMAT = text_format(
    "gitea",
    title="Gitea and Forgejo: refused logins",
    source="Gitea routers/web/auth/auth.go",
    programs=("gitea", "forgejo"),
    header=(
        r"(?P<timestamp>[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9}+)?+) "
        r"[^ ]++ \[[A-Z]\] (?:\[[0-9a-f-]{1,40}+\] )?+"
    ),
    read_time=from_slashes,
    patterns=(
        failure(
            "Failed authentication attempt for ",
            rf"Failed authentication attempt for (?P<user>{_WORDS}) from {ADDRESS_AND_PORT}(?:: {_WORDS})?",
        ),
        failure("Failed authentication attempt for ", r"Failed authentication attempt for .*"),
        failure(
            "Failed authentication attempt from ",
            rf"Failed authentication attempt from {ADDRESS_AND_PORT}(?:: .*)?",
        ),
    ),
)
