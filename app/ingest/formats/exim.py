"""Exim: refused logins of mail clients, in its main log or in syslog.

The name of the client's greeting, in parentheses, and the user name (`set_id`) are the attacker's: the address is the
one in brackets behind a greeting without blanks and parentheses, else nobody's.
Source: Exim src/smtp_in.c (`%s authenticator failed for %s: %s`); src/host.c, host_and_ident().
"""

from app.ingest.formats.patterns import ADDRESS, failure
from app.ingest.formats.text_format import text_format
from app.ingest.formats.times import DATE_AND_TIME, from_spaced_zone

_REFUSED = r"[^ ]{1,64}+ authenticator failed for "
_HOST = rf"(?:[^ ()\[\]]++ )?+(?:\([^ ()]*+\) )?+\[{ADDRESS}\](?::[0-9]{{1,5}}+)?+"
_CONNECTION = r"(?: I=\[[0-9A-Fa-f.:]++\](?::[0-9]++)?+)?+(?: Ci=[0-9]++)?+(?: U=[^ ]++)?+"
_DATA = r": 535 Incorrect authentication data(?: \(set_id=(?P<user>.*)\))?(?:: [0-9]++ Time\(s\))?"

FORMAT = text_format(
    "exim",
    title="Exim: refused SMTP logins, from its main log or syslog",
    source="Exim smtp_in.c",
    programs=("exim",),
    header=(
        rf"(?P<timestamp>{DATE_AND_TIME}(?: [+-][0-9]{{4}})?+) "
        r"(?:(?P<host>[^ ]++) exim\[[0-9]++\]: )?+(?:\[[0-9]++\] )?+"
    ),
    read_time=from_spaced_zone,
    patterns=(
        failure("authenticator failed for ", rf"{_REFUSED}{_HOST}{_CONNECTION}{_DATA}"),
        failure("authenticator failed for ", rf"{_REFUSED}.*: 535 Incorrect authentication data.*"),
    ),
)
