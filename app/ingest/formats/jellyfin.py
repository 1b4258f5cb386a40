"""Jellyfin's logins, in its log file or on the console. A success names no address.

Source: Jellyfin Jellyfin.Server.Implementations/Users/UserManager.cs, AuthenticateUser(); the templates of Serilog in
Jellyfin.Server/Resources/Configuration/logging.json.
"""

from app.ingest.formats.patterns import ADDRESS, failure, success
from app.ingest.formats.text_format import text_format
from app.ingest.formats.times import DATE_AND_TIME, from_spaced_zone

_USER = r'"?(?P<user>.*?)"?'
_DENIED = r"has been denied(?: because this account is currently disabled)?"

FORMAT = text_format(
    "jellyfin",
    title="Jellyfin's logins",
    source="Jellyfin UserManager.cs",
    programs=("jellyfin",),
    header=(
        rf"\[(?:(?P<timestamp>{DATE_AND_TIME} [+-][0-9]{{2}}:[0-9]{{2}})|[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}})\] "
        r"\[[A-Z]{3}\] (?:\[[0-9]++\] )?+(?:[A-Za-z.]++: )?+"
    ),
    read_time=from_spaced_zone,
    patterns=(
        failure(
            "Authentication request for ",
            rf'Authentication request for {_USER} {_DENIED} \(IP: "?{ADDRESS}"?\)\.',
        ),
        success("Authentication request for ", rf"Authentication request for {_USER} has succeeded\."),
    ),
)
