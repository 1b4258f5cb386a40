"""The shipper protocols that are served: their names, and their routes. One file each in this folder."""

from fastapi import APIRouter

from app.ingest.shippers import loki, splunk

ROUTERS: tuple[APIRouter, ...] = (loki.router, splunk.router)
"""Of each protocol, in any order: no two claim one path."""
NAMES: tuple[str, ...] = (loki.Loki.name, splunk.Collector.name)
"""What labels the metrics and sources of each protocol (`Shipper.name`)."""
