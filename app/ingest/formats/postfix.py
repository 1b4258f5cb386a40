"""Postfix: logins of mail clients (SASL).

The host's name is from DNS and holds no bracket, the method is one word of the client's, the user name stands last.
Source: Postfix src/smtpd/smtpd_sasl_glue.c, smtpd_sasl_authenticate() (`%s: SASL %s authentication failed: %s`, since
3.8 with `, sasl_username=%s`); src/smtpd/smtpd.c (`client=%s, sasl_method=%s, sasl_username=%s`).
"""

from app.ingest.formats.patterns import ADDRESS, failure, success
from app.ingest.formats.text_format import text_format

_CLIENT = rf"[^\[\] ]*+\[{ADDRESS}\](?::[0-9]{{1,5}}+)?+"
_NOT_HIS_FAULT = r"(?!Connection lost to authentication server|Invalid authentication mechanism)"
_REASON = r"(?:(?!, sasl_username=).)*+"

FORMAT = text_format(
    "postfix",
    title="Postfix: SASL logins",
    source="Postfix smtpd_sasl_glue.c",
    programs=("postfix",),
    patterns=(
        failure(
            "authentication failed:",
            rf"warning: {_CLIENT}: SASL [^ ]++ authentication failed:"
            rf"(?: {_NOT_HIS_FAULT}{_REASON}(?:, sasl_username=(?P<user>.*))?)?",
        ),
        success(
            ", sasl_username=",
            rf"[0-9A-Za-z]{{1,20}}+: client={_CLIENT}, sasl_method=[^ ,]++, sasl_username=(?P<user>[^,]*+)(?:, .*)?",
        ),
    ),
)
