"""Senders that cannot be installed here: their requests stand byte for byte in the tests, as their sources say."""

from dataclasses import dataclass

LOKI, HEC, BULK, OTLP, DATADOG = (
    ("Loki push", "ingest/shippers/test_loki.py"),
    ("Splunk HEC", "ingest/shippers/test_splunk.py"),
    ("Elasticsearch _bulk", "ingest/shippers/test_elasticsearch.py"),
    ("OTLP/HTTP", "ingest/shippers/test_otlp.py"),
    ("Datadog", "ingest/shippers/test_datadog.py"),
)
MSGPACK = ("MessagePack on /v1/events", "ingest/test_msgpack_records.py")
VERCEL = ("Vercel drain", "ingest/shippers/test_vercel.py")
FIREHOSE = ("Firehose", "ingest/shippers/test_firehose.py")
LOGPUSH = ("Logpush", "ingest/shippers/test_logpush.py")


@dataclass(frozen=True)
class ByteExact:
    """One sender, by its requests."""

    name: str
    named: str
    """What the tests that have its requests call it."""
    spoken: tuple[tuple[str, str], ...]
    """Its protocols, each with the file of tests/ that has its requests."""
    on_503: str
    """What it does with an answer of 503, in the settings that docs/shippers.md gives it."""


SENDERS = (
    ByteExact("Vector", "vector", (LOKI, HEC, BULK, DATADOG), "tries again for ever"),
    ByteExact(
        "Fluent Bit",
        "fluent bit",
        (LOKI, HEC, BULK, OTLP, DATADOG, MSGPACK),
        "tries again for ever with `Retry_Limit no_limits`, else once",
    ),
    ByteExact("Fluentd", "fluentd", (MSGPACK,), "tries again for 72 hours"),
    ByteExact("Promtail, Grafana Alloy", "promtail", (LOKI,), "tries again for minutes"),
    ByteExact(
        "rsyslog omhttp",
        "omhttp",
        (LOKI,),
        'tries again for ever with `action.resumeRetryCount="-1"`, else hardly',
    ),
    ByteExact("Docker's splunk driver", "docker", (HEC,), "tries again with its next batch"),
    ByteExact(
        "OpenTelemetry Collector", "collector", (OTLP,), "tries again for 5 minutes, when Retry-After says"
    ),
    ByteExact("Filebeat", "filebeat", (BULK,), "tries again for ever"),
    ByteExact("Logstash", "logstash", (BULK,), "tries again for ever"),
    ByteExact("AWS Firehose", "firehose", (FIREHOSE,), "tries again for the configured time, then S3"),
    ByteExact("Vercel", "vercel", (VERCEL,), "not documented"),
    ByteExact("Cloudflare Logpush", "logpush", (LOGPUSH,), "not documented"),
)
