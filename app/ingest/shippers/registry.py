"""The shipper protocols that are served: their names, and their routes. One file each in this folder."""

from fastapi import APIRouter

from app.ingest.shippers import (
    datadog,
    elasticsearch,
    elasticsearch_probes,
    firehose,
    journal_upload,
    logpush,
    loki,
    otlp,
    splunk,
    vercel,
)

ROUTERS: tuple[APIRouter, ...] = (
    elasticsearch.router,
    elasticsearch_probes.router,
    datadog.router,
    firehose.router,
    logpush.router,
    vercel.router,
    journal_upload.router,
    loki.router,
    otlp.router,
    splunk.router,
)
"""Of each protocol, in any order: no two claim one path."""
NAMES: tuple[str, ...] = (
    elasticsearch.BULK.name,
    datadog.DATADOG.name,
    firehose.FIREHOSE.name,
    logpush.LOGPUSH.name,
    vercel.NAME,
    journal_upload.JOURNAL_UPLOAD.name,
    loki.Loki.name,
    otlp.OTLP.name,
    splunk.Collector.name,
)
"""What labels the metrics and sources of each protocol (`Shipper.name`)."""
