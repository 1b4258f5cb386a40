"""Asterisk: refused registrations and requests (SIP, IAX2) and logins to its manager.

The lines of the level NOTICE count, which every installation writes. The lines of the level SECURITY tell of the same
attempts and do not count again; nor does `tried to authenticate with nonexistent user`, which another line follows.
Source: Asterisk channels/chan_sip.c, handle_request_register(); res/res_pjsip/pjsip_distributor.c,
log_failed_request(); channels/chan_iax2.c; main/manager.c, authenticate(); main/logger.c.
"""

from app.ingest.formats.patterns import ADDRESS, ADDRESS_AND_PORT, failure
from app.ingest.formats.text_format import text_format
from app.ingest.formats.times import BSD, DATE_AND_TIME
from detectors.timestamps import bsd_time_ms

_PLACE = (
    r"(?:NOTICE|WARNING) ?+\[[0-9]++\](?:\[C-[0-9a-f]++\])?+:? ++[a-z0-9_/]++\.c(?::[0-9]++)?+:?"
    r"(?: in)?+(?: [a-z0-9_]++)?+: ++"
)
_FAILED = r"' failed for '"
_SENDER = rf"(?P<user>(?:(?!{_FAILED}).)*+)"
_CALL = rf"\(callid: (?:(?!{_FAILED}).)*+"


def _read_time(text: str, received_ms: int) -> int | str | None:
    return text if text[:1].isdigit() else bsd_time_ms(text, received_ms)


FORMAT = text_format(
    "asterisk",
    title="Asterisk: refused registrations, requests and manager logins (level NOTICE), from its own log or syslog",
    source="Asterisk chan_sip.c, pjsip_distributor.c, chan_iax2.c, manager.c",
    programs=("asterisk",),
    header=rf"\[(?P<timestamp>{DATE_AND_TIME}|{BSD})(?:\.[0-9]++)?+\] ",
    read_time=_read_time,
    patterns=(
        failure(
            "Registration from '",
            rf"{_PLACE}Registration from '(?P<user>.*){_FAILED}{ADDRESS_AND_PORT}' - [^']*+",
        ),
        failure(
            "Request ",
            rf"{_PLACE}Request (?:'[A-Z]++' )?+from '{_SENDER}{_FAILED}{ADDRESS_AND_PORT}' {_CALL}",
        ),
        failure("Request ", rf"{_PLACE}Request (?:'[A-Z]++' )?+from '.*{_FAILED}.*"),
        failure(
            "failed to authenticate as '",
            rf"{_PLACE}(?:Host )?{ADDRESS} failed to authenticate as '(?P<user>[^']*+)'.*",
        ),
        failure(
            "failed MD5 authentication for '",
            rf"{_PLACE}Host {ADDRESS} failed MD5 authentication for '(?P<user>[^']*+)'.*",
        ),
        failure(
            "No registration for peer '",
            rf"{_PLACE}No registration for peer '(?P<user>.*)' \(from {ADDRESS}\)",
        ),
    ),
)
