"""Which field of an event a sender's field name means: one table for all conventions.

Source: Elastic Common Schema 8 (https://www.elastic.co/guide/en/ecs/current/ecs-field-reference.html),
OpenTelemetry semantic conventions (present and deprecated names), OCSF (https://schema.ocsf.io), the variables of
nginx, the access log fields of Caddy, Traefik and Envoy, Cloudflare's http_requests, Vercel's log drains, pino-http,
express-winston, Python's LogRecord, and the names that application logs commonly use.
"""

OWN: tuple[str, ...] = (
    "timestamp", "client_ip", "method", "path", "query", "status", "user_agent", "user", "api_key_id",
    "host", "bytes", "duration_ms", "message", "outcome", "request_id", "forwarded_for", "referer",
    "category", "repeat",
)  # fmt: skip
"""The fields of Event, which are also the public names; they win over every other name."""

ALIASES: dict[str, tuple[str, ...]] = {
    # In order: ECS, OpenTelemetry (new, then old), OCSF, servers and clouds, names of application logs.
    "timestamp": (
        "@timestamp", "timeUnixNano", "time_unix_nano",
        "time_iso8601", "msec", "time_local",
        "StartUTC", "start_time", "EdgeStartTimestamp", "proxy.timestamp",
        "time", "time_dt", "ts", "date", "datetime", "eventTime", "event.created", "created", "created_at",
        "asctime", "@t", "ISODATE", "timereported", "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP",
        "observedTimeUnixNano", "observed_time_unix_nano",  # when a collector saw it: after an outage, hours late
    ),
    "client_ip": (
        "client.ip", "source.ip", "client.address", "source.address",
        "http.client_ip", "net.sock.peer.addr", "net.peer.ip", "network.peer.address",
        "src_endpoint.ip",
        "remote_addr",
        "ClientHost", "downstream_remote_address", "proxy.clientIp",
        "clientIp", "ip", "ip_address", "ipAddress", "remote_ip", "remoteIp", "remoteAddress",
        "remote_address", "src_ip", "source_ip", "sourceIp", "rhost", "req.ip", "req.remoteAddress",
        # Last: of many applications `request` is what the client sent.
        "request.client_ip", "request.remote_ip", "request.remote_addr", "request.ip", "request.remoteAddress",
        "meta.ip", "meta.req.ip",
    ),
    "method": (
        "http.request.method", "http.method", "http_request.http_method", "request_method", "request.method",
        "ClientRequestMethod", "proxy.method",
        "http_method", "requestMethod", "httpMethod", "verb", "req.method", "meta.req.method",
    ),
    "path": (
        "url.original", "url.path", "http.target", "http.url", "http_request.url.path",
        "request_uri", "request.uri", "uri", "ClientRequestURI", "ClientRequestPath", "x-envoy-origin-path",
        "proxy.path",
        "request_path", "requestPath", "requestUri", "target", "req.originalUrl", "req.url", "req.path",
        "request.url", "request.path", "meta.req.originalUrl", "meta.req.url", "url", "url.full",
    ),
    "query": ("url.query", "http_request.url.query_string", "args", "query_string", "queryString"),
    "status": (
        "http.response.status_code", "http.status_code", "http_response.code",
        "DownstreamStatus", "OriginStatus", "EdgeResponseStatus", "OriginResponseStatus", "proxy.statusCode",
        "status_code", "statusCode", "http_status", "response_code", "responseCode", "response_status",
        "res.statusCode", "response.status", "response.status_code", "response.statusCode",
        "meta.res.statusCode", "response", "code",
    ),
    "user_agent": (
        "user_agent.original", "http.user_agent", "http_request.user_agent",
        "http.request.header.user-agent", "http.request.header.user_agent", "http_user_agent",
        "request_User-Agent", "ClientRequestUserAgent", "proxy.userAgent",
        "userAgent", "agent", "ua", "req.headers.user-agent", "request.headers.user-agent",
        "meta.req.headers.user-agent", "headers.user-agent", "user-agent",
    ),
    "user": (
        "user.name", "user.email", "user.id", "user.target.name", "enduser.id",
        "user.email_addr", "user.uid", "actor.user.name", "actor.user.email_addr", "actor.user.uid",
        "remote_user", "user_id", "ClientUsername",
        "username", "user_name", "account", "login", "email", "userId", "uid", "sub",
    ),
    "api_key_id": (
        "labels.api_key_id", "app.api_key.id", "user.credential_uid", "actor.user.credential_uid",
        "apiKeyId", "key_id", "client_id",
    ),
    "host": (
        "url.domain", "http.host", "http_request.url.hostname", "request.host", "http_host",
        "RequestHost", "authority", ":authority", "ClientRequestHost", "proxy.host",
        "server.address", "net.host.name", "server_name", "http.server_name", "vhost", "req.headers.host",
        "request.headers.host", "meta.req.headers.host",
        "dst_endpoint.hostname", "device.hostname", "host.name", "hostname", "_HOSTNAME",
    ),
    "bytes": (
        "http.response.bytes", "http.response.body.bytes", "http.response.body.size", "http.response.size",
        "http.response_content_length", "http_response.length", "bytes_sent", "body_bytes_sent",
        "DownstreamContentSize", "EdgeResponseBytes", "proxy.responseByteSize",
        "size", "response_size", "responseLength",
    ),
    "duration_ms": (
        "event.duration", "http.server.request.duration", "http_response.latency",
        "request_time", "target_processing_time", "OriginResponseDurationMs",
        "responseTime", "responseTimeMs", "response_time_ms", "latency_ms", "latencyMs", "durationMs",
        "elapsed_ms", "elapsedMs", "request_duration_ms", "meta.responseTime",
        "duration_us", "duration_ns", "duration_s", "duration_seconds",
    ),
    "message": ("body", "event.original", "msg", "@m", "log", "event", "line", "text"),
    "outcome": ("event.outcome",),
    "request_id": (
        "http.request.id", "http.request.header.x-request-id", "http_request.uid", "metadata.uid",
        "RayID", "requestId", "req.id", "x_request_id", "x-request-id",
        "trace.id", "trace_id", "traceId",
    ),
    "forwarded_for": (
        "network.forwarded_ip", "x_forwarded_for", "http_x_forwarded_for", "x-forwarded-for",
        "http.request.header.x-forwarded-for", "http.request.header.x_forwarded_for",
        "http.request.headers.x-forwarded-for", "request_X-Forwarded-For", "req.headers.x-forwarded-for",
        "request.headers.x-forwarded-for", "meta.req.headers.x-forwarded-for", "headers.x-forwarded-for",
        "xff",
    ),
    "referer": (
        "http.request.referrer", "http_request.referrer", "http_referer", "http_referrer",
        "request_Referer", "ClientRequestReferer", "proxy.referer", "referrer", "req.headers.referer",
        "request.headers.referer", "meta.req.headers.referer", "headers.referer",
    ),
    "category": ("event.category",),
    # Not fields of an event; they decide what others mean. See conventions.py.
    "program": ("SYSLOG_IDENTIFIER", "PROGRAM", "process.name", "appname", "app_name", "ident"),
    "request_line": ("request",),
    "event_type": ("event.type",),
    "sshd_event": ("system.auth.ssh.event",),
    "duration": ("duration",),
    "peer": ("ClientAddr",),
    "envoy": ("response_flags",),
    "edge_end": ("EdgeEndTimestamp",),
    "ocsf": ("class_uid",),
    "ocsf_activity": ("activity_id",),
    "ocsf_status": ("status_id",),
    "vercel": ("deploymentId",),
    "vercel_project": ("projectId",),
    "python_record": ("levelno",),
    "gelf": ("short_message",),
}  # fmt: skip

DURATION_FACTORS: dict[str, float] = {
    "event.duration": 1e-6,
    "http.server.request.duration": 1e3,
    "request_time": 1e3,
    "target_processing_time": 1e3,
    "duration_us": 1e-3,
    "duration_ns": 1e-6,
    "duration_s": 1e3,
    "duration_seconds": 1e3,
}
"""To milliseconds: ECS counts nanoseconds, nginx, AWS load balancers and OpenTelemetry's metric seconds. What a bare
`duration` means is told by the rest of the record, in conventions.py."""

WRAPPERS = frozenset({"attributes", "resource", "message"})
"""Objects whose members speak as if they stood outside: OpenTelemetry prints, and messages that are maps. Not `body`:
applications log the bodies of requests under that name, and those are an attacker's words."""
OPENTELEMETRY = frozenset({
    "timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "observed_time_unix_nano", "observed_timestamp",
    "severityNumber", "severity_number", "severityText", "severity_text", "SeverityText",
})  # fmt: skip
"""A record with one of these is a print of OpenTelemetry's, whose `attributes` and `resource` are its own.
Source: opentelemetry-proto, logs/v1/logs.proto; what the SDKs' console exporters write."""


class Level:
    """What names mean inside one object: at the top of a record, or below `http`, `http.request` ..."""

    def __init__(self) -> None:
        self.fields: dict[str, tuple[str, int, str]] = {}
        """name below this level -> (field, rank: the lowest wins, whole name). In lower case too."""
        self.inside: dict[str, Level] = {}
        """Beginnings of dotted names, which may be nested objects. In lower case too."""


def _compile() -> Level:
    levels: dict[str, Level] = {"": Level()}
    meanings = [(name, (name, 0, name)) for name in OWN]
    meanings += [(n, (field, rank, n)) for field, ns in ALIASES.items() for rank, n in enumerate(ns, 1)]
    for name, meaning in meanings:
        parts = name.split(".")
        for start in range(len(parts)):
            level = levels.setdefault(".".join(parts[:start]), Level())
            for end in range(start + 1, len(parts)):
                inner = levels.setdefault(".".join(parts[:end]), Level())
                below = ".".join(parts[start:end])
                level.inside.setdefault(below, inner)
                level.inside.setdefault(below.lower(), inner)
            below = ".".join(parts[start:])
            level.fields.setdefault(below, meaning)
            level.fields.setdefault(below.lower(), meaning)
    return levels[""]


NAMES = _compile()
"""Names are looked up as they stand, then in lower case."""
