"""The senders that the tests run, each in a configuration that its users have, and what it is known to keep.

`on_503` and `on_kill` are what the tests found, and what they hold it to.
"""

from tests.senders import journal, rsyslog, syslog_ng
from tests.senders.scripts import of_node, of_python
from tests.senders.sending import Fate, Sender

KEPT, KEPT_UNTIL_CLOSED, LOST = Fate.KEPT, Fate.KEPT_UNTIL_CLOSED, Fate.LOST

PLAIN = [
    Sender(
        "syslog-ng http()",
        "/v1/events",
        syslog_ng.version,
        syslog_ng.to_http(syslog_ng.ONE_A_REQUEST),
        on_503=KEPT,
        on_kill=KEPT,
    ),
    Sender(
        "syslog-ng http() in batches",
        "/v1/events",
        syslog_ng.version,
        syslog_ng.to_http(syslog_ng.BATCHES),
        on_503=KEPT,
        on_kill=KEPT,
    ),
    Sender("Python HTTPHandler", "/v1/events", *of_python("", "http_handler"), on_503=LOST, on_kill=LOST),
    Sender("winston Http", "/v1/events", *of_node("winston", "winston_http"), on_503=LOST, on_kill=LOST),
    Sender(
        "winston Http in batches",
        "/v1/events",
        *of_node("winston", "winston_http", "batch"),
        on_503=LOST,
        on_kill=LOST,
    ),
    Sender(
        "pino-http-send",
        "/v1/events",
        *of_node("pino-http-send", "pino_http_send"),
        on_503=KEPT,
        on_kill=KEPT,
    ),
]

BULK = [
    Sender(
        "syslog-ng elasticsearch-http()",
        "Elasticsearch _bulk",
        syslog_ng.version,
        syslog_ng.to_elasticsearch,
        on_503=KEPT,
        on_kill=KEPT,
    ),
    # It drops whatever is answered, whatever the status, unless it is closed without an answer.
    Sender(
        "rsyslog omelasticsearch",
        "Elasticsearch _bulk",
        rsyslog.version,
        rsyslog.to_elasticsearch,
        on_503=LOST,
        on_kill=KEPT,
    ),
    Sender(
        "elasticsearch-py helpers.bulk",
        "Elasticsearch _bulk",
        *of_python("elasticsearch", "elasticsearch_bulk"),
        on_503=KEPT,
        on_kill=KEPT,
    ),
]

JOURNAL = [
    Sender(
        "systemd-journal-upload",
        "systemd journal",
        journal.version,
        journal.upload,
        on_503=KEPT,
        on_kill=KEPT,
    ),
]

OTLP_PATIENCE_S = 5.0
"""The SDKs give up after ten seconds or five tries. Source: opentelemetry-js otlp-exporter-base, retrying-transport."""
OTLP = [
    Sender(
        "OpenTelemetry Python",
        "OTLP/HTTP protobuf",
        *of_python("opentelemetry_sdk", "opentelemetry_logs"),
        on_503=KEPT,
        on_kill=KEPT,
        patience_s=OTLP_PATIENCE_S,
    ),
    Sender(
        "OpenTelemetry JS",
        "OTLP/HTTP JSON",
        *of_node("@opentelemetry/exporter-logs-otlp-http", "otlp_http", "json"),
        on_503=KEPT,
        on_kill=KEPT,
        patience_s=OTLP_PATIENCE_S,
    ),
    Sender(
        "OpenTelemetry JS, proto exporter",
        "OTLP/HTTP protobuf",
        *of_node("@opentelemetry/exporter-logs-otlp-proto", "otlp_http", "protobuf"),
        on_503=KEPT,
        on_kill=KEPT,
        patience_s=OTLP_PATIENCE_S,
    ),
]

LOKI = [
    Sender(
        "python-logging-loki",
        "Loki push JSON",
        *of_python("python_logging_loki", "loki_handler"),
        on_503=LOST,
        on_kill=LOST,
    ),
    Sender(
        "winston-loki",
        "Loki push protobuf",
        *of_node("winston-loki", "winston_loki", "protobuf"),
        on_503=KEPT_UNTIL_CLOSED,
        on_kill=KEPT_UNTIL_CLOSED,
    ),
    Sender(
        "winston-loki, json: true",
        "Loki push JSON",
        *of_node("winston-loki", "winston_loki", "json"),
        on_503=KEPT_UNTIL_CLOSED,
        on_kill=KEPT_UNTIL_CLOSED,
    ),
    Sender("pino-loki", "Loki push JSON", *of_node("pino-loki", "pino_loki"), on_503=LOST, on_kill=LOST),
]

HEC = [
    Sender(
        "splunk-handler",
        "Splunk HEC event",
        *of_python("splunk_handler", "splunk_handler_hec"),
        on_503=KEPT,
        on_kill=KEPT,
    ),
    Sender(
        "splunk-logging",
        "Splunk HEC event",
        *of_node("splunk-logging", "splunk_logging"),
        on_503=LOST,
        on_kill=KEPT,
    ),
]

SENDERS = (*PLAIN, *BULK, *JOURNAL, *OTLP, *LOKI, *HEC)
