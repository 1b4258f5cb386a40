"""Vaultwarden's logins: passwords, second factors, the admin page. The address stands before the user name.

Source: Vaultwarden src/api/identity.rs (`Username or password is incorrect. Try again`, `IP: {}. Username: {}.`,
`User {} logged in successfully. IP: {}`), src/api/admin.rs, src/api/core/two_factor/.
"""

from app.ingest.formats.patterns import ADDRESS, USER, failure, success
from app.ingest.formats.text_format import text_format
from app.ingest.formats.times import DATE_AND_TIME

_REFUSED = (
    r"(?:Username or password is incorrect\. Try again\.|This user has been disabled\.|Invalid admin token[.!]"
    r"|Token is invalid!|Invalid TOTP code! Server time: [0-9: -]++UTC)"
)

FORMAT = text_format(
    "vaultwarden",
    title="Vaultwarden's logins, second factors and admin page",
    source="Vaultwarden src/api/identity.rs",
    programs=("vaultwarden",),
    header=rf"\[(?P<timestamp>{DATE_AND_TIME}(?:[+-][0-9]{{4}})?+)\]\[vaultwarden::[a-z_:]++\]\[[A-Z]++\] ",
    patterns=(
        failure(" IP: ", rf"{_REFUSED} IP: {ADDRESS}(?:\. Username: (?P<user>.*?)\.?)?"),
        success(" logged in successfully. IP: ", rf"User {USER} logged in successfully\. IP: {ADDRESS}"),
    ),
)
