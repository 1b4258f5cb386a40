"""Grafana's requests, in its logfmt or JSON log: a refused login is a 401 on /login.

`Request Completed` is written for every request that is not answered 200 or 304, in all versions. The lines `Invalid
username or password` and `Unauthorized` tell of the same attempt and do not count again. Values with blanks stand in
quotes.
Source: Grafana pkg/middleware/loggermw/logger.go, prepareLogParams(); pkg/infra/log.
"""

from app.ingest.formats.record_format import record_format

FORMAT = record_format(
    "grafana",
    title="Grafana's requests (logfmt or JSON)",
    source="Grafana pkg/middleware/loggermw/logger.go",
    keys={"logger": (), "remote_addr": (), "msg": ("Request Completed",), "status": ()},
    text="msg",
    fields={"timestamp": "t", "user": "uname"},
    marks=('msg="Request Completed"',),
    programs=("grafana",),
    patterns=(),
)
