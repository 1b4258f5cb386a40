"""What senders ask an Elasticsearch before they send, answered as one that has everything they want.

| sender | asks |
|---|---|
| Filebeat | `GET /`, `GET /_license?human=false`; unless told not to, `_ilm`, `_index_template`, `_data_stream` |
| Logstash | `HEAD /`, `GET /`, `GET /_license`, `_index_template` |
| Vector | `GET /` (older ones `GET /_cluster/state/version`), `GET /_cluster/health` |
| rsyslog | `GET /` |
| winston-elasticsearch | `GET /_cluster/health?wait_for_status=yellow`, `HEAD /_index_template/...` |
| clients that sniff | `GET /_nodes/_all/http` |

Source: libbeat/esleg/eslegclient, logstash-output-elasticsearch (http_client.rb), Vector's elasticsearch sink
(health check, version), omelasticsearch.c, winston-elasticsearch's bulk_writer.js.
"""

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.ingest.refused import Refused
from app.ingest.shippers.elasticsearch import BULK, PREFIXES, answer
from app.ingest.shippers.shipper import Head
from app.ingest.taking import identify

VERSION = "9.99.0"
"""Beats refuse an Elasticsearch that is older than they are."""
_NAME = "bartizan"
_UUID = "bartizanbartizanbartiz"
"""22 characters of base64url, as those of a cluster are."""

INFO: dict[str, Any] = {
    "name": _NAME,
    "cluster_name": _NAME,
    "cluster_uuid": _UUID,
    "version": {
        "number": VERSION,
        "build_flavor": "default",
        "build_type": "docker",
        "build_hash": "unknown",
        "build_date": "2026-01-01T00:00:00.000Z",
        "build_snapshot": False,
        "lucene_version": "10.0.0",
        "minimum_wire_compatibility_version": "8.18.0",
        "minimum_index_compatibility_version": "8.0.0",
    },
    "tagline": "You Know, for Search",
}
_HEALTH: dict[str, Any] = {
    "cluster_name": _NAME, "status": "green", "timed_out": False, "number_of_nodes": 1,
    "number_of_data_nodes": 1, "active_primary_shards": 1, "active_shards": 1, "relocating_shards": 0,
    "initializing_shards": 0, "unassigned_shards": 0, "active_shards_percent_as_number": 100.0,
}  # fmt: skip
_LICENSE = {"status": "active", "uid": _UUID, "type": "basic", "mode": "basic"}
_KNOWN: dict[str, dict[str, Any]] = {
    "": INFO,
    "_cluster/health": _HEALTH,
    "_cluster/state/version": {"cluster_name": _NAME, "cluster_uuid": _UUID, "version": int(VERSION[0])},
    "_license": {"license": _LICENSE},
    "_xpack": {"build": {}, "license": _LICENSE, "features": {}, "tagline": INFO["tagline"]},
}
_ACKNOWLEDGED = {"acknowledged": True}

router = APIRouter(include_in_schema=False)


async def answer_probe(request: Request, asked: str = "") -> Response:
    """What is known, `{}` for the rest; and whatever they set up is acknowledged. Needs a token, as `_bulk` does."""
    head = Head.of(request, request.app.state.world.now())
    try:
        identify(request)
    except Refused as refused:
        return BULK.refuse(refused.refusal, refused.detail, head)
    known = _KNOWN.get(f"_{asked}" if asked else "", {})
    if request.method == "HEAD":
        return answer(b"", head)
    return answer(msgspec.json.encode(_ACKNOWLEDGED if request.method == "PUT" else known), head)


for prefix in PREFIXES:
    router.add_api_route(f"{prefix}/", answer_probe, methods=["GET", "HEAD"])
    router.add_api_route(f"{prefix}/_{{asked:path}}", answer_probe, methods=["GET", "HEAD", "PUT"])
router.add_api_route("/es", answer_probe, methods=["GET", "HEAD"])
