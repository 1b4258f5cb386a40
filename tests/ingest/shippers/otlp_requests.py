"""OTLP requests, byte for byte, without anybody's library."""

import struct
from collections.abc import Iterable, Mapping
from typing import Any


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(written) + bytes([number])


def part(number: int, data: bytes) -> bytes:
    """A field with a length."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def any_value(value: Any) -> bytes:
    """AnyValue{1 string, 2 bool, 3 int, 4 double, 5 array{1 values}, 6 kvlist{1 values}, 7 bytes}."""
    match value:
        case None:
            return b""
        case str():
            return part(1, value.encode("utf-8", "surrogateescape"))
        case bool():
            return b"\x10" + varint(value)
        case int():
            return b"\x18" + varint(value)
        case float():
            return b"\x21" + struct.pack("<d", value)
        case list():
            return part(5, b"".join(part(1, any_value(each)) for each in value))
        case dict():
            return part(6, b"".join(part(1, pair(name, each)) for name, each in value.items()))
    return part(7, value)


def pair(key: str, value: Any) -> bytes:
    return part(1, key.encode()) + part(2, any_value(value))


def log_record(
    attributes: Mapping[str, Any] | None = None,
    body: Any = None,
    *,
    time_ns: int = 0,
    observed_ns: int = 0,
    severity: str = "",
    trace_id: bytes = b"",
    event_name: str = "",
) -> bytes:
    made = b"\x09" + struct.pack("<Q", time_ns) if time_ns else b""
    made += b"\x10\x09" if severity else b""
    made += part(3, severity.encode()) if severity else b""
    made += part(5, any_value(body)) if body is not None else b""
    made += b"".join(part(6, pair(name, value)) for name, value in (attributes or {}).items())
    made += part(9, trace_id) + part(10, trace_id[:8]) if trace_id else b""
    made += b"\x59" + struct.pack("<Q", observed_ns) if observed_ns else b""
    return made + (part(12, event_name.encode()) if event_name else b"")


def export(records: Iterable[bytes], resource: Mapping[str, Any] | None = None) -> bytes:
    """ExportLogsServiceRequest{1 resource_logs{1 resource{1 attributes}, 2 scope_logs{1 scope, 2 log_records}}}."""
    attributes = b"".join(part(1, pair(name, value)) for name, value in (resource or {}).items())
    scope = part(1, part(1, b"app")) + b"".join(part(2, record) for record in records)
    return part(1, part(1, attributes) + part(2, scope))


def json_value(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case str():
            return {"stringValue": value}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [json_value(each) for each in value]}}
    return {"kvlistValue": {"values": json_pairs(value)}}


def json_pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": json_value(value)} for name, value in attributes.items()]


def json_record(attributes: Mapping[str, Any] | None = None, body: Any = None, **more: Any) -> dict[str, Any]:
    record = {**more, "attributes": json_pairs(attributes or {}), "droppedAttributesCount": 0}
    return record if body is None else {**record, "body": json_value(body)}


def json_export(records: list[dict[str, Any]], resource: Mapping[str, Any] | None = None) -> dict[str, Any]:
    scope = {"scope": {"name": "app"}, "logRecords": records}
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": json_pairs(resource or {}), "droppedAttributesCount": 0},
                "scopeLogs": [scope],
            }
        ]
    }
