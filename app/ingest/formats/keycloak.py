"""Keycloak's login events, as its listener `jboss-logging` writes them: lines of text, or JSON.

The client's name stands before the address, and is the attacker's where there is no such client. Since version 22 all
values stand in quotes; before, an address counts only where no second one stands in the line.
Source: Keycloak services/.../events/log/JBossLoggingEventListenerProvider.java; server guide, "Configuring logging".
"""

from app.ingest.formats.patterns import ADDRESS, failure, success
from app.ingest.formats.record_format import record_format
from app.ingest.formats.text_format import text_format
from app.ingest.formats.times import DATE_AND_TIME

_GUESS = (
    r"(?:invalid_user_credentials|user_not_found|user_disabled|user_temporarily_disabled"
    r"|invalid_client_credentials)"
)
"""Other errors are an expired page, an unknown client, a user who changed his mind: no guess of a password."""
_QUOTED = (
    r', realmId="[^"\\]*+"(?:, realmName="[^"\\]*+")?+, clientId="[^"\\]*+", userId="[^"\\]*+"'
    rf'(?:, sessionId="[^"\\]*+")?+, ipAddress="{ADDRESS}"'
)
_QUOTED_USER = r'(?=.*, username="(?P<user>(?:[^"\\]++|\\.)*+)"|).*'
_WORDS = r"(?:(?! ipAddress=).)*+"
_BARE = rf"{_WORDS} ipAddress={ADDRESS}(?=,|\Z)"
_BARE_USER = rf"(?=.*, username=(?P<user>[^ ,]++)|){_WORDS}"

_PATTERNS = (
    failure("LOGIN_ERROR", rf'type="(?:CLIENT_)?LOGIN_ERROR"{_QUOTED}, error="{_GUESS}"{_QUOTED_USER}'),
    failure("LOGIN_ERROR", rf"type=(?:CLIENT_)?LOGIN_ERROR,{_BARE}, error={_GUESS}(?=,|\Z){_BARE_USER}"),
    failure("LOGIN_ERROR", rf'type="?(?:CLIENT_)?LOGIN_ERROR"?,.* ipAddress=.*, error="?{_GUESS}.*'),
    success('type="LOGIN"', rf'type="LOGIN"{_QUOTED}{_QUOTED_USER}'),
    success("type=LOGIN,", rf"type=LOGIN,{_BARE}{_BARE_USER}"),
)

FORMAT = text_format(
    "keycloak",
    title="Keycloak's login events (listener `jboss-logging`)",
    source="Keycloak JBossLoggingEventListenerProvider.java",
    programs=("keycloak",),
    header=rf"(?P<timestamp>{DATE_AND_TIME}) [A-Z]++ ++\[org\.key(?:cloak)?\.events\] \([^()]*+\) ",
    patterns=_PATTERNS,
)
JSON = record_format(
    "keycloak_json",
    title="the same in Keycloak's JSON log",
    source="Keycloak server guide, Configuring logging",
    keys={"loggerName": ("org.keycloak.events",), "message": ()},
    text="message",
    programs=("keycloak",),
    patterns=_PATTERNS,
)
