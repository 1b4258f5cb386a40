"""MessagePack bodies: what Fluent Bit sent by default up to 2.2, and what Fluentd can send.

A body is one object after another, without anything between: maps (Fluentd), `[time, {record}]` (Fluent Bit up to
2.0) or `[[time, {metadata}], {record}]` (from 2.1 on). An array of maps is taken as well.
Source: https://github.com/msgpack/msgpack/blob/master/spec.md, the event stream of Fluentd's forward protocol
(https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1, EventTime), fluent-bit's
plugins/out_http/http.c (FLB_PACK_JSON_FORMAT_NONE sends the chunk as it is).
"""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any, NamedTuple

import msgpack
import msgspec

from app.ingest.body import BodyTooLarge
from app.ingest.decode import RECORD_LIMIT_BYTES, Decoded, Rejected, decode_records
from app.ingest.framing import RECORDS_LIMIT
from app.ingest.msgpack_objects import Damaged, Objects, TooDeep

EVENT_TIME = 0
"""Fluentd's extension type: seconds and nanoseconds, four bytes each, big-endian."""
TIME_KEY = "date"
"""Where Fluent Bit writes the time of a record, when it writes JSON."""

_PAIR = 0x92
_NO_MAP = "not a MessagePack map"
_TOO_DEEP = "the record is nested too deep"
_TOO_LONG = f"the record is longer than {RECORD_LIMIT_BYTES} bytes"
_DAMAGE = (msgpack.exceptions.UnpackException, ValueError, TypeError, RecursionError, MemoryError)


def decode_msgpack(body: bytes, received_ms: int) -> Decoded:
    """The events of a MessagePack body. Each record becomes its JSON, which is evidence that people can read.

    An object that is no record is set aside by itself. Where the stream is damaged, what came before counts and the
    rest is one rejection: nobody can tell where the next object begins.
    Raises: BodyTooLarge over 1,000,000 records.
    """
    records: list[bytes] = []
    positions: list[int] = []
    rejected: list[Rejected] = []
    for index, found in enumerate(_records(body)):
        if index >= RECORDS_LIMIT:
            raise BodyTooLarge(f"the body has more than {RECORDS_LIMIT} records")
        if isinstance(found, Unusable):
            rejected.append(Rejected(index, found.reason, found.packed))
            continue
        records.append(found)
        positions.append(index)
    decoded = decode_records(records, received_ms)
    rejected += [Rejected(positions[one.index], one.reason, one.record) for one in decoded.rejected]
    decoded.rejected = sorted(rejected, key=attrgetter("index"))
    return decoded


class Unusable(NamedTuple):
    """An object that is no record."""

    reason: str
    packed: bytes
    """As it came; of a damaged stream, all that is left of it."""


_EMPTY = Unusable("not a MessagePack map, or an empty one", b"")
"""One byte, of which a body may hold a million: the same for all of them."""


def _records(body: bytes) -> Iterator[bytes | Unusable]:
    """The JSON of each record, or why there is none.

    Each object is first passed over, which allocates nothing, and only then built: an array that claims four thousand
    million elements in five bytes never gets its memory.
    """
    objects = Objects(body)
    start = 0
    while start < len(body):
        try:
            if _is_array(body[start]):
                start = objects.enter_array(start)
                continue
            end = objects.pass_over(start)
        except TooDeep as error:
            yield Unusable(_TOO_DEEP, body[start : error.end])
            start = error.end
            continue
        except Damaged:
            yield Unusable(f"MessagePack is damaged behind byte {start}", body[start:])
            return
        if end - start > RECORD_LIMIT_BYTES:
            yield Unusable(_TOO_LONG, body[start:end])
        elif end - start == 1:
            yield _EMPTY
        elif not _may_be_record(body[start]):
            yield Unusable(_NO_MAP, body[start:end])
        else:
            yield from _build(body[start:end])
        start = end


def _is_array(byte: int) -> bool:
    """Whether an array begins whose elements are records: any but a pair, which is Fluent Bit's time and record."""
    return (0x90 <= byte <= 0x9F and byte != _PAIR) or byte in (0xDC, 0xDD)


def _may_be_record(byte: int) -> bool:
    """Whether a map or a pair begins; nothing else needs to be built."""
    return 0x80 <= byte <= 0x8F or byte in (0xDE, 0xDF, _PAIR)


def _build(packed: bytes) -> Iterator[bytes | Unusable]:
    try:
        built = msgpack.unpackb(
            packed, strict_map_key=False, unicode_errors="replace", ext_hook=_event_time, timestamp=1
        )
    except msgpack.exceptions.StackError:
        yield Unusable(_TOO_DEEP, packed)
        return
    except _DAMAGE:
        yield Unusable("the record has keys or times that MessagePack does not allow", packed)
        return
    if type(built) is list and all(type(item) is dict for item in built):
        yield from (_as_json(item, packed) for item in built)
    else:
        yield _as_json(_with_time(built), packed)


def _event_time(code: int, data: bytes) -> float | None:
    if code != EVENT_TIME or len(data) != 8:
        return None
    return int.from_bytes(data[:4], "big") + int.from_bytes(data[4:], "big") / 1e9


def _with_time(found: Any) -> Any:
    """The map of a record, its time in it as in Fluent Bit's JSON, unless it has one by that name."""
    if type(found) is not list or len(found) != 2 or type(found[1]) is not dict:
        return found
    time, record = found
    if type(time) is list and time:
        time = time[0]
    if type(time) is not int and type(time) is not float:
        return record
    return {TIME_KEY: time, **record}


def _as_json(record: Any, packed: bytes) -> bytes | Unusable:
    if type(record) is not dict:
        return Unusable(_NO_MAP, packed)
    try:
        return msgspec.json.encode(_plain(record))
    except (RecursionError, ValueError, TypeError, UnicodeError):
        return Unusable(_TOO_DEEP, packed)


def _plain(value: Any) -> Any:
    """The same with texts for keys and for binary values, as JSON needs it."""
    if type(value) is dict:
        return {_text(key): _plain(item) for key, item in value.items()}
    if type(value) is list:
        return [_plain(item) for item in value]
    return value.decode("utf-8", "replace") if type(value) is bytes else value


def _text(key: Any) -> str:
    if type(key) is bytes:
        return key.decode("utf-8", "replace")
    return key if type(key) is str else str(key)
