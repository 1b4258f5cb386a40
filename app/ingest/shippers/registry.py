"""The shipper protocols that are served: their names, and their routes. One file each in this folder."""

from fastapi import APIRouter

from app.ingest.shippers import journal_upload, loki, otlp, splunk

ROUTERS: tuple[APIRouter, ...] = (journal_upload.router, loki.router, otlp.router, splunk.router)
"""Of each protocol, in any order: no two claim one path."""
NAMES: tuple[str, ...] = (
    journal_upload.JOURNAL_UPLOAD.name,
    loki.Loki.name,
    otlp.OTLP.name,
    splunk.Collector.name,
)
"""What labels the metrics and sources of each protocol (`Shipper.name`)."""
