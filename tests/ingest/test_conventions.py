"""One whole record of each convention, as its programs write it, and the event that it is."""

from typing import Any

import msgspec
import pytest

from app.ingest.decode import decode_events, decode_lines
from app.ingest.mapping import map_record
from detectors.addresses import Networks, client_address
from detectors.event import Event
from detectors.timestamps import parse_time

NOW = 1_795_435_200_000
AT = 1_795_428_003_123
"""2026-11-23T10:00:03.123Z"""

# Source: https://www.elastic.co/guide/en/ecs/current/ecs-http.html, and Filebeat's module nginx.
ECS = {
    "@timestamp": "2026-11-23T10:00:03.123Z",
    "ecs": {"version": "8.11.0"},
    "agent": {"type": "filebeat", "version": "8.15.0", "name": "web-1"},
    "client": {"address": "203.0.113.9", "ip": "203.0.113.9", "port": 51234},
    "source": {"address": "10.0.0.1", "ip": "10.0.0.1"},
    "event": {
        "kind": "event",
        "category": ["web"],
        "type": ["access"],
        "outcome": "failure",
        "duration": 2_500_000,
        "created": "2026-11-23T10:00:04.000Z",
    },
    "host": {"name": "web-1", "os": {"family": "debian"}},
    "http": {
        "version": "1.1",
        "request": {"method": "POST", "id": "q-1", "referrer": "https://e.example/", "bytes": 99},
        "response": {"status_code": 401, "bytes": 512, "body": {"bytes": 400}},
    },
    "url": {
        "original": "/login?next=%2F",
        "path": "/login",
        "query": "next=%2F",
        "domain": "e.example",
        "scheme": "https",
    },
    "user": {"name": "anna", "id": "42"},
    "user_agent": {"original": "curl/8.5.0", "name": "curl"},
    "labels": {"api_key_id": "key_1"},
    "trace": {"id": "t-1"},
}
# Source: https://www.elastic.co/guide/en/ecs/current/ecs-category-field-values-reference.html
ECS_AUTHENTICATION = {
    "@timestamp": "2026-11-23T10:00:03.123Z",
    "event.category": ["authentication"],
    "event.type": ["start"],
    "event.action": "user_login",
    "event.outcome": "failure",
    "source.ip": "2001:db8::1",
    "user.name": "root",
    "message": "login failed",
}
# Source: https://opentelemetry.io/docs/specs/semconv/http/http-spans/, attributes of a server.
OTEL = {
    "timeUnixNano": "1795428003123000000",
    "observedTimeUnixNano": "1795428003999000000",
    "severityText": "WARN",
    "client.address": "203.0.113.9",
    "client.port": 51234,
    "network.peer.address": "10.0.0.1",
    "server.address": "e.example",
    "http.request.method": "POST",
    "http.response.status_code": 401,
    "http.route": "/users/{id}",
    "http.response.body.size": 512,
    "http.server.request.duration": 0.25,
    "url.path": "/users/7",
    "url.query": "a=b",
    "url.scheme": "https",
    "user_agent.original": "curl/8.5.0",
    "user.id": "42",
    "http.request.header.x-forwarded-for": ["203.0.113.9"],
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
}
# Source: https://github.com/open-telemetry/semantic-conventions, model/http/deprecated (before 1.21).
OTEL_OLD = {
    "time_unix_nano": 1_795_428_003_123_000_000,
    "attributes": {
        "http.method": "GET",
        "http.target": "/a?b=c",
        "http.status_code": 403,
        "http.user_agent": "curl/8.5.0",
        "http.host": "e.example",
        "http.client_ip": "203.0.113.9",
        "net.sock.peer.addr": "10.0.0.1",
        "http.response_content_length": 12,
        "enduser.id": "anna",
    },
    "resource": {"attributes": {"host.name": "web-1", "service.name": "api"}},
}
# Source: https://schema.ocsf.io/classes/authentication
OCSF_AUTHENTICATION = {
    "class_uid": 3002,
    "class_name": "Authentication",
    "category_uid": 3,
    "activity_id": 1,
    "activity_name": "Logon",
    "type_uid": 300201,
    "time": AT,
    "severity_id": 3,
    "status": "Failure",
    "status_id": 2,
    "status_code": "401",
    "message": "Invalid credentials",
    "metadata": {"version": "1.3.0", "uid": "m-1", "product": {"name": "IdP", "vendor_name": "x"}},
    "user": {"name": "anna", "uid": "u-1", "credential_uid": "cred-7"},
    "actor": {"user": {"name": "service-account"}},
    "src_endpoint": {"ip": "203.0.113.9", "port": 51234},
    "dst_endpoint": {"hostname": "idp.example"},
}
# Source: https://schema.ocsf.io/classes/http_activity
OCSF_HTTP = {
    "class_uid": 4002,
    "activity_id": 3,
    "time": AT,
    "duration": 250,
    "status": "Success",
    "status_id": 1,
    "src_endpoint": {"ip": "203.0.113.9"},
    "http_request": {
        "http_method": "GET",
        "user_agent": "curl/8.5.0",
        "referrer": "https://e.example/",
        "uid": "q-1",
        "url": {"hostname": "e.example", "path": "/a", "query_string": "b=c", "scheme": "https"},
    },
    "http_response": {"code": 404, "length": 12},
    "actor": {"user": {"name": "anna"}},
}
# Source: https://nginx.org/en/docs/http/ngx_http_log_module.html (`escape=json`), and its variables.
NGINX = {
    "time_iso8601": "2026-11-23T10:00:03+00:00",
    "msec": "1795428003.123",
    "remote_addr": "203.0.113.9",
    "remote_user": "anna",
    "request": "GET /a/%2e%2e/b?c=d HTTP/1.1",
    "request_method": "GET",
    "uri": "/b",
    "args": "c=d",
    "status": "401",
    "body_bytes_sent": "12",
    "request_length": "99",
    "request_time": "0.250",
    "upstream_status": "200",
    "upstream_response_time": "0.240",
    "http_referrer": "https://e.example/",
    "http_user_agent": "curl/8.5.0",
    "http_x_forwarded_for": "198.51.100.1",
    "server_name": "_",
    "http_host": "e.example",
    "request_id": "5f0c",
}
# Source: https://caddyserver.com/docs/logging (an access log as the JSON encoder writes it).
CADDY = {
    "level": "info",
    "ts": 1_795_428_003.123,
    "logger": "http.log.access.log0",
    "msg": "handled request",
    "request": {
        "remote_ip": "10.0.0.1",
        "remote_port": "41342",
        "client_ip": "203.0.113.9",
        "proto": "HTTP/2.0",
        "method": "GET",
        "host": "e.example",
        "uri": "/a?b=c",
        "headers": {"User-Agent": ["curl/8.5.0"], "Accept": ["*/*"], "X-Forwarded-For": ["203.0.113.9"]},
        "tls": {"resumed": False, "version": 772, "proto": "h2", "server_name": "e.example"},
    },
    "bytes_read": 0,
    "user_id": "anna",
    "duration": 0.25,
    "size": 12,
    "status": 401,
    "resp_headers": {"Server": ["Caddy"], "Content-Type": ["text/html"]},
}
# Source: https://doc.traefik.io/traefik/observability/access-logs/ (the fields of `format: json`).
TRAEFIK = {
    "ClientAddr": "203.0.113.9:52654",
    "ClientHost": "203.0.113.9",
    "ClientPort": "52654",
    "ClientUsername": "anna",
    "DownstreamContentSize": 12,
    "DownstreamStatus": 401,
    "Duration": 250_000_000,
    "OriginContentSize": 12,
    "OriginDuration": 249_000_000,
    "OriginStatus": 200,
    "Overhead": 26_992,
    "RequestAddr": "e.example",
    "RequestContentSize": 0,
    "RequestCount": 5,
    "RequestHost": "e.example",
    "RequestMethod": "GET",
    "RequestPath": "/a?b=c",
    "RequestPort": "-",
    "RequestProtocol": "HTTP/2.0",
    "RequestScheme": "https",
    "RetryAttempts": 0,
    "RouterName": "web@docker",
    "StartLocal": "2026-11-23T11:00:03.123456789+01:00",
    "StartUTC": "2026-11-23T10:00:03.123456789Z",
    "entryPointName": "websecure",
    "level": "info",
    "msg": "",
    "request_User-Agent": "curl/8.5.0",
    "request_Referer": "https://e.example/",
    "time": "2026-11-23T10:00:04Z",
}
# Source: https://istio.io/latest/docs/tasks/observability/logs/access-log/ (encoding JSON).
ENVOY = {
    "authority": "e.example",
    "bytes_received": 0,
    "bytes_sent": 12,
    "connection_termination_details": None,
    "downstream_local_address": "10.0.0.2:8443",
    "downstream_remote_address": "[2001:db8::1]:48499",
    "duration": 250,
    "method": "GET",
    "path": "/a?b=c",
    "protocol": "HTTP/2",
    "request_id": "722ef34b",
    "requested_server_name": "e.example",
    "response_code": 401,
    "response_code_details": "via_upstream",
    "response_flags": "-",
    "route_name": "default",
    "start_time": "2026-11-23T10:00:03.123Z",
    "upstream_cluster": "outbound|80||api.default.svc.cluster.local",
    "upstream_host": "10.0.0.9:8080",
    "upstream_service_time": "249",
    "user_agent": "curl/8.5.0",
    "x_forwarded_for": "203.0.113.9",
}
# Source: https://developers.cloudflare.com/logs/reference/log-fields/zone/http_requests/
CLOUDFLARE = {
    "ClientIP": "203.0.113.9",
    "ClientIPClass": "noRecord",
    "ClientRequestHost": "e.example",
    "ClientRequestMethod": "GET",
    "ClientRequestPath": "/a",
    "ClientRequestProtocol": "HTTP/2",
    "ClientRequestReferer": "https://e.example/",
    "ClientRequestURI": "/a?b=c",
    "ClientRequestUserAgent": "curl/8.5.0",
    "ClientSrcPort": 51234,
    "EdgeEndTimestamp": 1_795_428_003_373_000_000,
    "EdgeResponseBytes": 12,
    "EdgeResponseStatus": 403,
    "EdgeStartTimestamp": 1_795_428_003_123_000_000,
    "OriginIP": "192.0.2.80",
    "OriginResponseDurationMs": 200,
    "OriginResponseStatus": 0,
    "RayID": "8f0a",
    "SecurityAction": "block",
}
# Source: https://vercel.com/docs/drains/reference/logs
VERCEL = {
    "id": "1573817187330377061717300000",
    "deploymentId": "dpl_1",
    "projectId": "prj_1",
    "source": "lambda",
    "host": "my-app-abc.vercel.app",
    "path": "/api/[id]",
    "entrypoint": "api/index.js",
    "timestamp": AT + 5,
    "requestId": "643af4e3",
    "statusCode": 401,
    "level": "info",
    "message": "START RequestId: 643af4e3",
    "proxy": {
        "timestamp": AT,
        "method": "GET",
        "host": "e.example",
        "path": "/api/7?b=c",
        "userAgent": ["curl/8.5.0"],
        "referer": "https://e.example/",
        "statusCode": 401,
        "clientIp": "203.0.113.9",
        "region": "sfo1",
        "scheme": "https",
        "responseByteSize": 12,
        "vercelCache": "MISS",
    },
}
# Source: https://github.com/pinojs/pino-http, its standard serializers.
PINO_HTTP = {
    "level": 40,
    "time": AT,
    "pid": 1,
    "hostname": "web-1",
    "req": {
        "id": 7,
        "method": "GET",
        "url": "/a?b=c",
        "query": {"b": "c"},
        "params": {},
        "headers": {"host": "e.example", "user-agent": "curl/8.5.0", "x-forwarded-for": "203.0.113.9"},
        "remoteAddress": "::ffff:10.0.0.1",
        "remotePort": 51234,
    },
    "res": {"statusCode": 401, "headers": {"content-type": "text/plain"}},
    "responseTime": 250,
    "msg": "request completed",
}
# Source: https://github.com/bithavoc/express-winston (requestWhitelist and responseWhitelist, under `meta`).
EXPRESS_WINSTON = {
    "level": "warn",
    "message": "HTTP GET /a?b=c",
    "timestamp": "2026-11-23T10:00:03.123Z",
    "meta": {
        "req": {
            "url": "/a?b=c",
            "headers": {"host": "e.example", "user-agent": "curl/8.5.0"},
            "method": "GET",
            "httpVersion": "1.1",
            "originalUrl": "/api/a?b=c",
        },
        "res": {"statusCode": 401},
        "responseTime": 250,
        "ip": "203.0.113.9",
    },
}
# Source: https://docs.python.org/3/library/logging.html#logrecord-attributes, as python-json-logger prints them.
PYTHON = {
    "name": "api.auth",
    "levelname": "WARNING",
    "levelno": 30,
    "msg": "login of %s failed",
    "args": "('anna',)",
    "message": "login of anna failed",
    "created": 1_795_428_003.123,
    "asctime": "2026-11-23 11:00:03,123",
    "process": 7,
    "module": "auth",
    "remote_addr": "203.0.113.9",
    "username": "anna",
    "outcome": "failure",
}

REQUEST = {"client_ip": "203.0.113.9", "method": "GET", "user_agent": "curl/8.5.0", "host": "e.example"}
"""What most of these records speak of."""

RECORDS: dict[str, tuple[dict[str, Any], Event]] = {
    "ECS": (
        ECS,
        Event(
            "2026-11-23T10:00:03.123Z",
            "203.0.113.9",
            "POST",
            "/login?next=%2F",
            "next=%2F",
            401,
            "curl/8.5.0",
            "anna",
            "key_1",
            "e.example",
            512,
            2.5,
            outcome="failure",
            request_id="q-1",
            referer="https://e.example/",
        ),
    ),
    "ECS authentication": (
        ECS_AUTHENTICATION,
        Event(
            "2026-11-23T10:00:03.123Z",
            "2001:db8::1",
            user="root",
            message="login failed",
            outcome="failure",
            category="authentication",
        ),
    ),
    "OpenTelemetry": (
        OTEL,
        Event(
            "1795428003123000000",
            "203.0.113.9",
            "POST",
            "/users/7",
            "a=b",
            401,
            "curl/8.5.0",
            "42",
            host="e.example",
            bytes=512,
            duration_ms=250.0,
            request_id="0af7651916cd43dd8448eb211c80319c",
            forwarded_for="203.0.113.9",
        ),
    ),
    "OpenTelemetry, old names": (
        OTEL_OLD,
        Event(1_795_428_003_123_000_000, path="/a?b=c", status=403, user="anna", bytes=12, **REQUEST),
    ),
    "OCSF authentication": (
        OCSF_AUTHENTICATION,
        Event(
            AT,
            "203.0.113.9",
            user="anna",
            api_key_id="cred-7",
            host="idp.example",
            message="Invalid credentials",
            outcome="failure",
            request_id="m-1",
            category="authentication",
        ),
    ),
    "OCSF success": (
        OCSF_AUTHENTICATION | {"status_id": 1, "status": None},
        Event(
            AT,
            "203.0.113.9",
            user="anna",
            api_key_id="cred-7",
            host="idp.example",
            message="Invalid credentials",
            outcome="success",
            request_id="m-1",
            category="authentication",
        ),
    ),
    "OCSF HTTP activity": (
        OCSF_HTTP,
        Event(
            AT,
            path="/a",
            query="b=c",
            status=404,
            user="anna",
            bytes=12,
            duration_ms=250.0,
            request_id="q-1",
            referer="https://e.example/",
            **REQUEST,
        ),
    ),
    "nginx": (
        NGINX,
        Event(
            "2026-11-23T10:00:03+00:00",
            path="/a/%2e%2e/b?c=d",
            query="c=d",
            status=401,
            user="anna",
            bytes=12,
            duration_ms=250.0,
            request_id="5f0c",
            forwarded_for="198.51.100.1",
            referer="https://e.example/",
            **REQUEST,
        ),
    ),
    "Caddy": (
        CADDY,
        Event(
            1_795_428_003.123,
            path="/a?b=c",
            status=401,
            user="anna",
            bytes=12,
            duration_ms=250.0,
            message="handled request",
            forwarded_for="203.0.113.9",
            **REQUEST,
        ),
    ),
    "Traefik": (
        TRAEFIK,
        Event(
            "2026-11-23T10:00:03.123456789Z",
            path="/a?b=c",
            status=401,
            user="anna",
            bytes=12,
            duration_ms=250.0,
            referer="https://e.example/",
            **REQUEST,
        ),
    ),
    "Envoy": (
        ENVOY,
        Event(
            "2026-11-23T10:00:03.123Z",
            path="/a?b=c",
            status=401,
            bytes=12,
            duration_ms=250.0,
            request_id="722ef34b",
            forwarded_for="203.0.113.9",
            **REQUEST | {"client_ip": "[2001:db8::1]:48499"},
        ),
    ),
    "Cloudflare": (
        CLOUDFLARE,
        Event(
            1_795_428_003_123_000_000,
            path="/a?b=c",
            status=403,
            bytes=12,
            duration_ms=250.0,
            request_id="8f0a",
            referer="https://e.example/",
            **REQUEST,
        ),
    ),
    "Vercel": (
        VERCEL,
        Event(
            AT,
            path="/api/7?b=c",
            status=401,
            bytes=12,
            message="START RequestId: 643af4e3",
            request_id="643af4e3",
            referer="https://e.example/",
            **REQUEST,
        ),
    ),
    "pino-http": (
        PINO_HTTP,
        Event(
            AT,
            path="/a?b=c",
            status=401,
            duration_ms=250.0,
            message="request completed",
            request_id="7",
            forwarded_for="203.0.113.9",
            **REQUEST | {"client_ip": "::ffff:10.0.0.1"},
        ),
    ),
    "winston": (
        EXPRESS_WINSTON,
        Event(
            "2026-11-23T10:00:03.123Z",
            path="/api/a?b=c",
            status=401,
            duration_ms=250.0,
            message="HTTP GET /a?b=c",
            **REQUEST,
        ),
    ),
    "Python logging": (
        PYTHON,
        Event(
            1_795_428_003.123,
            "203.0.113.9",
            user="anna",
            message="login of anna failed",
            outcome="failure",
        ),
    ),
}


@pytest.mark.parametrize(("record", "event"), RECORDS.values(), ids=RECORDS)
def test_a_whole_record_is_understood(record: dict[str, Any], event: Event) -> None:
    assert map_record(record, NOW) == event


@pytest.mark.parametrize("name", RECORDS)
def test_every_whole_record_has_its_moment(name: str) -> None:
    found = parse_time(RECORDS[name][1].timestamp)
    assert found in (AT, AT - AT % 1000)


@pytest.mark.parametrize(("record", "event"), RECORDS.values(), ids=RECORDS)
def test_a_wrapped_record_is_the_same(record: dict[str, Any], event: Event) -> None:
    """As Docker, Kubernetes, Fluent Bit and Fluentd deliver what a program printed."""
    text = msgspec.json.encode(record).decode()
    written = "2026-11-23T10:00:03.123456789Z"
    pod = {"pod_name": "api-1", "namespace_name": "default", "host": "node-1", "labels": {"app": "api"}}
    for outer in (
        {"log": text + "\n", "stream": "stdout", "time": written},
        {"time": written, "stream": "stdout", "logtag": "F", "log": text, "kubernetes": pod},
        {"date": 1_795_428_009.5, "message": text, "kubernetes": pod, "docker": {"container_id": "c"}},
        {"container_name": "/api", "source": "stdout", "log": text, "container_id": "c"},
        {"log": f"{written} stdout F {text}", "kubernetes": pod},
    ):
        assert map_record(outer, NOW) == event
    line = f"{written} stdout F {text}".encode()
    assert decode_lines(line, "auto", NOW).events == [event]
    assert decode_lines(line, "cri", NOW).events == [event]
    assert decode_events(line, NOW).events == [event]


CLF_LINE = '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "GET /a HTTP/1.1" 401 12 "-" "curl/8.5.0"'


@pytest.mark.parametrize("stream", ["stdout F", "stderr F", "stdout F:tag:other"])
def test_a_container_line_wraps_a_line_of_any_format(stream: str) -> None:
    event = Event("23/Nov/2026:10:00:03 +0000", "203.0.113.9", "GET", "/a", None, 401, "curl/8.5.0", bytes=12)
    assert decode_lines(f"2026-11-23T10:00:04.5Z {stream} {CLF_LINE}".encode(), "auto", NOW).events == [event]


def test_a_container_line_of_plain_text_is_a_message_at_its_time() -> None:
    line = b"2026-11-23T10:00:04.5+01:00 stderr F Traceback (most recent call last):"
    [event] = decode_lines(line, "auto", NOW).events
    assert event == Event("2026-11-23T10:00:04.5+01:00", message="Traceback (most recent call last):")
    assert decode_lines(b"2026-11-23T10:00:04Z stdout F ", "auto", NOW).events[0].message == ""
    assert decode_lines(b"203.0.113.9 no such line", "cri", NOW).rejected


def test_container_lines_in_container_lines_end() -> None:
    line = b"2026-11-23T10:00:04Z stdout F " * 30_000 + b'{"status":401}'
    [event] = decode_lines(line, "auto", NOW).events
    assert event.status is None


TRAPS: dict[str, tuple[dict[str, Any], Event]] = {
    "a bare duration has no unit": ({"client_ip": "203.0.113.9", "duration": 0.25}, Event(client_ip="203.0.113.9")),
    "a duration that says its unit": ({"duration_us": 1500, "duration": 9}, Event(duration_ms=1.5)),
    "a measured duration wins over a bare one": (
        CADDY | {"responseTime": 7, "request": {"remote_ip": "203.0.113.9", "uri": "/"}, "resp_headers": {}},
        Event(
            1_795_428_003.123, "203.0.113.9", path="/", status=401, user="anna", bytes=12, duration_ms=7.0,
            message="handled request",
        ),
    ),
    "a duration that was not measured": ({"target_processing_time": -1}, Event()),
    "Rust's target is a module": ({"target": "api::auth", "status": 401}, Event(status=401)),
    "a target that is a path": ({"target": "/a"}, Event(path="/a")),
    "a request without method and version": ({"request": "/a?b"}, Event(path="/a?b")),
    "a request that is none": ({"request": "hello"}, Event()),
    "nginx' uri without the request line": ({"uri": "/b", "args": "c=d"}, Event(path="/b", query="c=d")),
    "request_uri beside the request line": (
        {"request": "GET /a HTTP/1.1", "request_uri": "/b"}, Event(method="GET", path="/b")
    ),
    "a Python record with a query of its own": (
        {"levelno": 20, "args": "()", "query_string": "b=c", "path": "/"}, Event(path="/", query="b=c")
    ),
    "nginx' args": ({"uri": "/a", "args": "()"}, Event(path="/a", query="()")),
    "no status from the client's side": ({"response_code": 0, "response_flags": "DC"}, Event()),
    "Cloudflare in whole seconds": (
        {"EdgeStartTimestamp": "2026-11-23T10:00:03Z", "EdgeEndTimestamp": "2026-11-23T10:00:04Z"},
        Event("2026-11-23T10:00:03Z"),
    ),
    "Cloudflare's end before its start": (
        {"EdgeStartTimestamp": AT, "EdgeEndTimestamp": AT - 1}, Event(AT)
    ),
    "Vercel's crash": (
        VERCEL | {"statusCode": -1, "proxy": {"clientIp": "203.0.113.9", "path": "/x", "statusCode": -1}},
        Event(
            AT + 5, "203.0.113.9", path="/x", host="my-app-abc.vercel.app", request_id="643af4e3",
            message="START RequestId: 643af4e3",
        ),
    ),
    "a Vercel entry that is no request": (
        {k: v for k, v in VERCEL.items() if k != "proxy"},
        Event(
            AT + 5, host="my-app-abc.vercel.app", request_id="643af4e3", message="START RequestId: 643af4e3"
        ),
    ),
    "somebody else's deploymentId": ({"deploymentId": "d", "path": "/a", "status": 401}, Event(path="/a", status=401)),
    "somebody else's proxy": (
        {"client_ip": "203.0.113.9", "proxy": {"clientIp": "198.51.100.1", "path": "/x"}, "path": "/a"},
        Event(client_ip="203.0.113.9", path="/a"),
    ),
    "an OCSF logoff is no attempt": (
        {"class_uid": 3002, "activity_id": 2, "status_id": 2, "src_endpoint": {"ip": "203.0.113.9"}},
        Event(client_ip="203.0.113.9"),
    ),
    "OCSF by its word": ({"class_uid": 3002, "status": "Failure"}, Event(outcome="failure", category="authentication")),
    "an OCSF status_code is no HTTP status": ({"class_uid": 3002, "status_code": "401", "status_id": 99},
        Event(category="authentication")),
    "a status_id without a class": ({"status_id": 2, "activity_id": 1}, Event()),
    "GELF": (
        {
            "version": "1.1", "host": "web-1", "short_message": "login failed", "timestamp": 1_795_428_003.123,
            "level": 4, "_client_ip": "203.0.113.9", "_user": "anna", "_status": 401, "_host": "inner",
        },
        Event(1_795_428_003.123, "203.0.113.9", status=401, user="anna", host="web-1", message="login failed"),
    ),
    "GELF in GELF": ({"short_message": "a", "_short_message": "b", "__short_message": "c"}, Event(message="a")),
    "journald's _UID is no account": ({"MESSAGE": "hello", "_UID": "0", "_PID": "7"}, Event(message="hello")),
}  # fmt: skip


@pytest.mark.parametrize(("record", "event"), TRAPS.values(), ids=TRAPS)
def test_a_generic_name_is_not_read_wrongly(record: dict[str, Any], event: Event) -> None:
    assert map_record(record, NOW) == event


@pytest.mark.parametrize(
    ("host", "proxies", "address"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("198.51.100.1", (), "10.0.0.5"),
        ("198.51.100.1, 203.0.113.9", ("10.0.0.5",), "203.0.113.9"),
        ("198.51.100.1", ("10.0.0.5",), "198.51.100.1"),
    ],
)
def test_traefiks_client_host_is_believed_only_of_trusted_proxies(
    host: str, proxies: tuple[str, ...], address: str
) -> None:
    """Traefik writes the X-Forwarded-For header there, and an attacker writes that header."""
    peer = f"{host}:52654" if host == "203.0.113.9" else "10.0.0.5:52654"
    event = map_record(TRAEFIK | {"ClientHost": host, "ClientAddr": peer}, NOW)
    assert client_address(event.client_ip, event.forwarded_for, Networks(proxies)) == address


@pytest.mark.parametrize(
    "logged",
    ["203.0.113.9", "203.0.113.9:443", "::ffff:203.0.113.9", "[::ffff:203.0.113.9]:443", "203.0.113.9 "],
)
def test_an_address_is_found_in_all_its_spellings(logged: str) -> None:
    event = map_record({"downstream_remote_address": logged}, NOW)
    assert client_address(event.client_ip, None, Networks()) == "203.0.113.9"
