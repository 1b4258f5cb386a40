"""How the ingest routes appear in the OpenAPI description. Bodies and answers themselves are msgspec's."""

from typing import Any

from app.ingest.formats.registry import AUTO, NAMES

_PROBLEM = {
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                },
            }
        }
    }
}
_ERRORS = {
    "type": "array",
    "maxItems": 20,
    "items": {
        "type": "object",
        "required": ["index", "error"],
        "properties": {"index": {"type": "integer", "minimum": 0}, "error": {"type": "string"}},
    },
    "description": "The first 20 records that were set aside, by their index in the body",
}
_ANSWER = {
    "type": "object",
    "required": ["accepted", "rejected", "duplicate", "errors"],
    "properties": {
        "accepted": {"type": "integer", "minimum": 0},
        "rejected": {"type": "integer", "minimum": 0},
        "duplicate": {
            "type": "boolean",
            "description": "The same body was counted before; nothing was added",
        },
        "errors": _ERRORS,
    },
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Counted, as far as it could be decoded",
        "content": {"application/json": {"schema": _ANSWER}},
    },
    401: {"description": "No token, or one that is not valid", **_PROBLEM},
    403: {"description": "The token's role may not send events", **_PROBLEM},
    413: {"description": "Too large: 20 MiB on the wire, 64 MiB decompressed, 1,000,000 records", **_PROBLEM},
    422: {"description": "Nothing in the body could be decoded; sending it again cannot help", **_PROBLEM},
    503: {
        "description": "Not counted; send it again after the seconds in Retry-After",
        "headers": {"Retry-After": {"schema": {"type": "integer"}}},
        **_PROBLEM,
    },
}

_TEXT = {"type": "string"}
_EVENT = {
    "type": "object",
    "description": "Names of ECS, OpenTelemetry and nginx are understood; other fields are kept as evidence",
    "properties": {
        "timestamp": {
            "oneOf": [{"type": "string"}, {"type": "number"}],
            "description": "RFC 3339, common log format, or epoch s, ms, us, ns by magnitude",
        },
        "client_ip": _TEXT, "method": _TEXT, "path": _TEXT, "query": _TEXT,
        "status": {"type": "integer"},
        "user_agent": _TEXT, "user": _TEXT, "api_key_id": _TEXT, "host": _TEXT,
        "bytes": {"type": "integer"},
        "duration_ms": {"type": "number"},
        "message": _TEXT,
        "outcome": {"type": "string", "enum": ["success", "failure", "unknown"]},
        "request_id": _TEXT, "forwarded_for": _TEXT, "referer": _TEXT,
        "category": {"type": "string", "enum": ["authentication", "web", "health_check"]},
    },
    "example": {
        "timestamp": "2026-11-23T10:00:00.123Z", "client_ip": "203.0.113.9", "path": "/login", "status": 401,
    },
}  # fmt: skip
_HEADERS = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string"},
        "description": "A repeat with the same key (or, without one, body) within 15 minutes counts nothing",
    },
    {
        "name": "Content-Encoding",
        "in": "header",
        "schema": {"type": "string"},
        "description": "gzip, deflate, zstd, snappy or identity; gzip and zstd are also recognised without it",
    },
]

EVENTS: dict[str, Any] = {
    "parameters": _HEADERS,
    "requestBody": {
        "required": True,
        "description": "The framing is recognised from the body; the content type is not believed",
        "content": {
            "application/json": {"schema": {"oneOf": [{"type": "array", "items": _EVENT}, _EVENT]}},
            "application/x-ndjson": {"schema": _TEXT},
            "text/plain": {"schema": _TEXT},
        },
    },
}
RAW: dict[str, Any] = {
    "parameters": [
        {
            "name": "format",
            "in": "query",
            "schema": {"type": "string", "enum": list(NAMES), "default": AUTO},
            "description": "The lines' format; auto finds it line by line",
        },
        *_HEADERS,
    ],
    "requestBody": {"required": True, "content": {"text/plain": {"schema": _TEXT}}},
}
