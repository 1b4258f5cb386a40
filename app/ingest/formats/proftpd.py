"""ProFTPD's logins, in syslog or in its SystemLog. The address stands before the user name.

Source: ProFTPD modules/mod_auth.c (`USER %s (Login failed): ...`, `USER %s: no such user found from ...`,
`USER %s: Login successful.`), src/log.c, pr_log_auth() and log_write() (`%s proftpd[%u] %s (%s[%s]): %s`).
"""

from app.ingest.formats.patterns import ADDRESS, USER, failure, success
from app.ingest.formats.text_format import text_format
from app.ingest.formats.times import BSD, DATE_AND_TIME
from detectors.timestamps import bsd_time_ms

_SESSION = rf"[^ ]++ \([^ ()\[\]]*+\[{ADDRESS}\]\)(?::| -) "


def _read_time(text: str, received_ms: int) -> int | str | None:
    return text if text[:1].isdigit() else bsd_time_ms(text, received_ms)


FORMAT = text_format(
    "proftpd",
    title="ProFTPD's logins, from syslog or its own log",
    source="ProFTPD mod_auth.c",
    programs=("proftpd",),
    header=rf"(?P<timestamp>{DATE_AND_TIME}|{BSD}) (?P<host>[^ ]{{1,255}}+) proftpd\[[0-9]++\] ",
    read_time=_read_time,
    patterns=(
        failure(" (Login failed): ", rf"{_SESSION}USER (?P<user>.*?) \(Login failed\): .*"),
        failure(": no such user found from ", rf"{_SESSION}USER (?P<user>.*?): no such user found from .*"),
        failure(
            "SECURITY VIOLATION: ", rf"{_SESSION}SECURITY VIOLATION: (?P<user>[Rr]oot) login attempted\.?"
        ),
        success(": Login successful.", rf"{_SESSION}(?:USER|ANON) {USER}: Login successful\."),
    ),
)
