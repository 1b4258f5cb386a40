"""Which field of an event a sender's field name means: one table for all conventions.

Source: Elastic Common Schema 8, OpenTelemetry semantic conventions (present and deprecated names), the
log_format names of nginx' documentation, pino-http, and the names that application logs commonly use.
"""

OWN: tuple[str, ...] = (
    "timestamp", "client_ip", "method", "path", "query", "status", "user_agent", "user", "api_key_id",
    "host", "bytes", "duration_ms", "message", "outcome", "request_id", "forwarded_for", "referer",
    "category", "repeat",
)  # fmt: skip
"""The fields of Event, which are also the public names; they win over every other name."""

ALIASES: dict[str, tuple[str, ...]] = {
    # In order: ECS, OpenTelemetry (new, then old), nginx and Caddy, names of application logs.
    "timestamp": (
        "@timestamp", "timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "observed_time_unix_nano",
        "time_iso8601", "msec", "time_local",
        "time", "ts", "date", "datetime", "eventTime", "event.created", "created", "created_at", "asctime",
        "ISODATE", "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP",
    ),
    "client_ip": (
        "client.ip", "source.ip", "client.address", "source.address",
        "http.client_ip", "net.sock.peer.addr", "network.peer.address",
        "remote_addr", "request.client_ip", "request.remote_ip",
        "clientIp", "ip", "ip_address", "ipAddress", "remote_ip", "remoteIp", "remoteAddress",
        "remote_address", "src_ip", "source_ip", "sourceIp", "rhost", "req.ip", "req.remoteAddress",
    ),
    "method": (
        "http.request.method", "http.method", "request_method", "request.method",
        "http_method", "requestMethod", "httpMethod", "verb", "req.method",
    ),
    "path": (
        "url.original", "url.path", "http.target", "http.url", "request_uri", "request.uri", "uri",
        "request_path", "requestPath", "requestUri", "target", "req.url", "req.path", "url", "url.full",
    ),
    "query": ("url.query", "args", "query_string", "queryString"),
    "status": (
        "http.response.status_code", "http.status_code",
        "status_code", "statusCode", "http_status", "response_code", "responseCode", "response_status",
        "res.statusCode", "response.status", "response.status_code", "code",
    ),
    "user_agent": (
        "user_agent.original", "http.user_agent", "http.request.header.user-agent", "http_user_agent",
        "userAgent", "agent", "ua", "req.headers.user-agent", "request.headers.user-agent",
        "headers.user-agent", "user-agent",
    ),
    "user": (
        "user.name", "user.email", "user.id", "user.target.name", "enduser.id", "remote_user", "user_id",
        "username", "user_name", "account", "login", "email", "userId", "uid", "sub",
    ),
    "api_key_id": ("labels.api_key_id", "app.api_key.id", "apiKeyId", "key_id", "client_id"),
    "host": (
        "url.domain", "http.host", "request.host", "http_host", "server.address", "net.host.name",
        "server_name", "vhost", "req.headers.host", "host.name", "hostname", "_HOSTNAME",
    ),
    "bytes": (
        "http.response.bytes", "http.response.body.bytes", "http.response.body.size", "http.response.size",
        "http.response_content_length", "bytes_sent", "body_bytes_sent", "size", "response_size",
    ),
    "duration_ms": (
        "event.duration", "request_time", "target_processing_time",
        "responseTime", "responseTimeMs", "response_time_ms", "latency_ms", "latencyMs", "durationMs",
        "elapsed_ms", "elapsedMs", "request_duration_ms",
    ),
    "message": ("body", "event.original", "msg", "log", "event", "line", "text"),
    "outcome": ("event.outcome",),
    "request_id": (
        "http.request.id", "http.request.header.x-request-id", "requestId", "req.id", "x_request_id",
        "trace.id", "trace_id", "traceId",
    ),
    "forwarded_for": (
        "x_forwarded_for", "http_x_forwarded_for", "x-forwarded-for", "http.request.header.x-forwarded-for",
        "http.request.headers.x-forwarded-for", "req.headers.x-forwarded-for",
        "request.headers.x-forwarded-for", "headers.x-forwarded-for", "xff",
    ),
    "referer": (
        "http.request.referrer", "http_referer", "referrer", "req.headers.referer",
        "request.headers.referer", "headers.referer",
    ),
    "category": ("event.category",),
    # Not fields of an event; they decide what others mean.
    "request_line": ("request",),
    "event_type": ("event.type",),
    "program": ("SYSLOG_IDENTIFIER", "PROGRAM", "process.name", "appname", "app_name", "ident"),
    "sshd_event": ("system.auth.ssh.event",),
}  # fmt: skip

DURATION_FACTORS: dict[str, float] = {
    "event.duration": 1e-6,
    "request_time": 1e3,
    "target_processing_time": 1e3,
}
"""To milliseconds: ECS counts nanoseconds, nginx and AWS load balancers seconds. A bare `duration` is not read: Caddy
means seconds, others milliseconds."""

WRAPPERS = frozenset({"attributes", "resource", "message"})
"""Objects whose members speak as if they stood outside: OpenTelemetry prints, and messages that are maps. Not `body`:
applications log the bodies of requests under that name, and those are an attacker's words."""


def _compile() -> tuple[dict[str, tuple[str, int]], frozenset[str]]:
    field_of: dict[str, tuple[str, int]] = {name: (name, 0) for name in OWN}
    for field, names in ALIASES.items():
        for rank, name in enumerate(names, 1):
            field_of.setdefault(name, (field, rank))
            field_of.setdefault(name.lower(), (field, rank))
    prefixes = {
        ".".join(parts[:n]) for parts in (k.split(".") for k in field_of) for n in range(1, len(parts))
    }
    return field_of, frozenset(prefixes)


FIELD_OF, PREFIXES = _compile()
"""name -> (field, rank: the lowest wins), and the beginnings of dotted names, which may be nested objects.

Names are looked up as they stand, then in lower case.
"""
