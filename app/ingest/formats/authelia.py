"""Authelia's logins, in its text (logfmt) or JSON log.

Values with blanks stand in quotes, and the address is a key of its own: a user name cannot reach it.
Source: Authelia internal/handlers/response.go, doMarkAuthenticationAttemptWithRequest();
handler_firstfactor_password.go (`Error occurred getting details for user with username input '%s' ...` is all that is
written for an unknown user).
"""

from app.ingest.formats.patterns import failure, success
from app.ingest.formats.record_format import record_format

_USER = r"'(?P<user>.*)'"

FORMAT = record_format(
    "authelia",
    title="Authelia's logins (logfmt or JSON)",
    source="Authelia internal/handlers/response.go",
    keys={"remote_ip": (), "msg": (), "path": (), "level": ()},
    text="msg",
    fields={"client_ip": "remote_ip"},
    marks=("remote_ip=",),
    programs=("authelia",),
    patterns=(
        failure(
            "Unsuccessful ",
            rf"Unsuccessful [^ ]++ authentication attempt by user {_USER}(?:: .*| and they .*)?",
        ),
        failure(
            "Error occurred ",
            rf"Error occurred getting details for user with username input {_USER} which .*",
        ),
        success("Successful ", rf"Successful [^ ]++ authentication attempt made by user {_USER}"),
    ),
)
