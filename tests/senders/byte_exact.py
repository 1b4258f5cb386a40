"""Senders that cannot be installed here: requests written byte for byte to what their sources and manuals say.

`on_503` is what they do with an answer of 503 with Retry-After, in the settings that docs/shippers.md names.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ByteExact:
    """One sender, by its requests."""

    name: str
    protocol: str
    test: str
    """The file of tests/ that has its requests."""
    named: str
    """How that file calls it."""
    on_503: str


_SHIPPERS = "ingest/shippers/"

SENDERS = (
    ByteExact("Vector", "Loki push", _SHIPPERS + "test_loki.py", "vector", "tries again for ever"),
    ByteExact("Vector", "Splunk HEC", _SHIPPERS + "test_splunk.py", "vector", "tries again for ever"),
    ByteExact(
        "Vector", "Elasticsearch _bulk", _SHIPPERS + "test_elasticsearch.py", "vector", "tries again for ever"
    ),
    ByteExact("Vector", "Datadog", _SHIPPERS + "test_datadog.py", "vector", "tries again for ever"),
    ByteExact(
        "Fluent Bit",
        "Loki push",
        _SHIPPERS + "test_loki.py",
        "fluent-bit",
        "tries again with Retry_Limit no_limits, else once",
    ),
    ByteExact(
        "Fluent Bit",
        "Splunk HEC",
        _SHIPPERS + "test_splunk.py",
        "fluent-bit",
        "tries again with Retry_Limit no_limits, else once",
    ),
    ByteExact(
        "Fluent Bit",
        "Elasticsearch _bulk",
        _SHIPPERS + "test_elasticsearch.py",
        "fluent-bit",
        "tries again with Retry_Limit no_limits, else once",
    ),
    ByteExact(
        "Fluent Bit",
        "OTLP/HTTP",
        _SHIPPERS + "test_otlp.py",
        "fluent bit",
        "tries again with Retry_Limit no_limits, else once",
    ),
    ByteExact(
        "Fluent Bit",
        "Datadog",
        _SHIPPERS + "test_datadog.py",
        "fluent-bit",
        "tries again with Retry_Limit no_limits, else once",
    ),
    ByteExact(
        "Fluent Bit, Fluentd",
        "MessagePack on /v1/events",
        "ingest/test_msgpack_records.py",
        "fluentd",
        "Fluentd tries again for 72 h",
    ),
    ByteExact(
        "Promtail, Grafana Alloy",
        "Loki push",
        _SHIPPERS + "test_loki.py",
        "promtail",
        "ten tries over minutes",
    ),
    ByteExact(
        "rsyslog omhttp",
        "Loki push",
        _SHIPPERS + "test_loki.py",
        "omhttp",
        'tries again for ever with action.resumeRetryCount="-1"',
    ),
    ByteExact(
        "Docker's splunk driver",
        "Splunk HEC",
        _SHIPPERS + "test_splunk.py",
        "docker",
        "tries again from its buffer",
    ),
    ByteExact(
        "OpenTelemetry Collector",
        "OTLP/HTTP",
        _SHIPPERS + "test_otlp.py",
        "collector",
        "tries again for 5 minutes, heeds Retry-After",
    ),
    ByteExact(
        "Filebeat",
        "Elasticsearch _bulk",
        _SHIPPERS + "test_elasticsearch.py",
        "filebeat",
        "tries again for ever",
    ),
    ByteExact(
        "Logstash",
        "Elasticsearch _bulk",
        _SHIPPERS + "test_elasticsearch.py",
        "logstash",
        "tries again for ever",
    ),
    ByteExact(
        "winston-elasticsearch",
        "Elasticsearch _bulk",
        _SHIPPERS + "test_elasticsearch.py",
        "winston-elasticsearch",
        "not examined",
    ),
    ByteExact("Vercel drains", "Vercel", _SHIPPERS + "test_vercel.py", "vercel", "not documented"),
    ByteExact(
        "AWS Firehose",
        "Firehose",
        _SHIPPERS + "test_firehose.py",
        "firehose",
        "tries again for the configured time, then S3",
    ),
    ByteExact("Cloudflare Logpush", "Logpush", _SHIPPERS + "test_logpush.py", "logpush", "not documented"),
)
