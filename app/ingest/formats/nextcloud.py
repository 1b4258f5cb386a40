"""Nextcloud's logins: nextcloud.log, and audit.log of the app admin_audit. One JSON object a line.

`Bruteforce attempt ... detected`, and `Login failed` of the audit log, tell of the same attempt and do not count again.
Source: Nextcloud server lib/private/Log/LogDetails.php; lib/private/Authentication/Login/LoggedInCheckCommand.php
(`Login failed: $username (Remote IP: $ip)`); apps/admin_audit/lib/Listener/AuthEventListener.php.
"""

from app.ingest.formats.patterns import ADDRESS, failure, success
from app.ingest.formats.record_format import record_format

FORMAT = record_format(
    "nextcloud",
    title="Nextcloud's logins in nextcloud.log and audit.log (JSON)",
    source="Nextcloud lib/private/Log/LogDetails.php",
    keys={"reqId": (), "remoteAddr": (), "app": (), "message": ()},
    text="message",
    fields={"client_ip": "remoteAddr", "timestamp": "time", "path": "url"},
    programs=("nextcloud",),
    patterns=(
        failure("Login failed: ", rf"Login failed: '?(?P<user>.*?)'? \(Remote IP: '?{ADDRESS}'?\)"),
        success('Login successful: "', r'Login successful: "(?P<user>.*)"'),
    ),
)
