"""The entries of a Vercel drain as events: a request is one event, however many entries speak of it.

Each console line of a function, and each stage that a request passes, is an entry with the same `requestId` and often
the same `proxy`. The entry that knows the status stands for the request; the others are kept as text, which is searched
for credentials and counts for nothing else. An entry without `proxy` is no request. `statusCode` -1 is none.
Source: Vercel documentation, "Log Drains Reference".
"""

from typing import Any, NamedTuple

import msgspec

from app.ingest.decode import LONG_RECORD_BYTES, RECORD_LIMIT_BYTES, TOO_LONG, Decoded, Rejected, cut_texts
from app.ingest.framing import frame
from app.ingest.lenient_json import loads
from app.ingest.values import read_integer, read_status, read_text
from detectors.errors import DecodeError
from detectors.event import Event

_NO_OBJECT = "not a JSON object"
_NO_ENTRY = "not an entry of a log drain"
NAMELESS = "\0"
"""Begins what stands for the name of a request that has none."""
_Number = int | float | str | None
_Text = str | int | float | None


class Proxy(msgspec.Struct, rename="camel", gc=False):
    """What the edge saw of the request. `path` has the query."""

    timestamp: _Number = None
    method: _Text = None
    host: _Text = None
    path: _Text = None
    user_agent: list[Any] | str | None = None
    referer: _Text = None
    status_code: _Number = None
    client_ip: _Text = None
    response_byte_size: _Number = None


class Entry(msgspec.Struct, rename="camel", gc=False):
    """One entry. The `path` outside of `proxy` is the route's name, so it is left alone."""

    id: _Text = None
    timestamp: _Number = None
    host: _Text = None
    message: Any = None
    request_id: _Text = None
    status_code: _Number = None
    proxy: Proxy | None = None


class Requests(NamedTuple):
    """Which of a delivery's events are requests, at the same index."""

    places: list[int]
    names: list[str]
    """What each is called; see NAMELESS."""


_ENTRY = msgspec.json.Decoder(Entry)


def read_entries(body: bytes, received_ms: int) -> Decoded:
    """The events of a drain's body, a JSON array or NDJSON; `notes` are the Requests. Raises: BodyTooLarge."""
    decoded = Decoded()
    entries: list[tuple[Entry, bytes]] = []
    for index, record in enumerate(frame(body).records):
        if len(record) > RECORD_LIMIT_BYTES:
            decoded.rejected.append(Rejected(index, TOO_LONG, record))
            continue
        try:
            entries.append((_entry(record), record))
        except DecodeError as error:
            decoded.rejected.append(Rejected(index, str(error), record))
    spokesmen = _spokesmen([entry for entry, _ in entries])
    requests = Requests([], [])
    for place, (entry, record) in enumerate(entries):
        name = _name_of(entry, place)
        if spokesmen.get(name) == place and entry.proxy is not None:
            requests.places.append(len(decoded.events))
            requests.names.append(name)
            _add(decoded, _request(entry, entry.proxy), record)
        elif entry.message:
            text = _text_of(entry)
            _add(decoded, text, msgspec.json.encode(text))
    decoded.notes = requests
    return decoded


def without(decoded: Decoded, places: frozenset[int]) -> Decoded:
    """The same without the requests in these places; their messages stay, as text."""
    left = Decoded(rejected=decoded.rejected, notes=decoded.notes)
    for place, (event, record) in enumerate(zip(decoded.events, decoded.records, strict=True)):
        if place not in places:
            _add(left, event, record)
        elif event.message:
            text = Event(event.timestamp, host=event.host, message=event.message, request_id=event.request_id)
            _add(left, text, msgspec.json.encode(text))
    return left


def _add(decoded: Decoded, event: Event, record: bytes) -> None:
    if len(record) > LONG_RECORD_BYTES:
        cut_texts(event)
    decoded.events.append(event)
    decoded.records.append(record)


def _entry(record: bytes) -> Entry:
    """Raises: DecodeError, whose message shows nothing of the record."""
    if record.lstrip()[:1] != b"{":
        raise DecodeError(_NO_OBJECT)
    try:
        entry = _ENTRY.decode(record)
    except (msgspec.DecodeError, ValueError, RecursionError):
        try:
            entry = msgspec.convert(loads(record), Entry, strict=False)
        except (msgspec.ValidationError, RecursionError) as error:
            raise DecodeError(_NO_ENTRY) from error
    # Every entry has an id and a time; an object of anything else is not dropped without a word.
    if entry.proxy is None and entry.message is None and entry.id is None and entry.timestamp is None:
        raise DecodeError(_NO_ENTRY)
    return entry


def _spokesmen(entries: list[Entry]) -> dict[str, int]:
    """The place of the entry that stands for each request: the first that knows a status, else the first."""
    found: dict[str, int] = {}
    for place, entry in enumerate(entries):
        if entry.proxy is None:
            continue
        known = found.setdefault(_name_of(entry, place), place)
        if known != place and _status_of(entries[known]) is None and _status_of(entry) is not None:
            found[_name_of(entry, place)] = place
    return found


def _name_of(entry: Entry, place: int) -> str:
    """What its request is called: by id, else by the entry's id; one without both is told from the others only."""
    name = _text(entry.request_id) or _text(entry.id)
    return name if name else f"{NAMELESS}{place}"


def _request(entry: Entry, proxy: Proxy) -> Event:
    return Event(
        timestamp=entry.timestamp if proxy.timestamp is None else proxy.timestamp,
        client_ip=_text(proxy.client_ip),
        method=_text(proxy.method),
        path=_text(proxy.path),
        status=_status_of(entry),
        user_agent=_text(proxy.user_agent),
        host=_text(proxy.host) or _text(entry.host),
        bytes=read_integer(proxy.response_byte_size, 0, ""),
        message=_message_of(entry),
        request_id=_text(entry.request_id),
        referer=_text(proxy.referer),
    )


def _text_of(entry: Entry) -> Event:
    return Event(
        entry.timestamp,
        host=_text(entry.host),
        message=_message_of(entry),
        request_id=_text(entry.request_id),
    )


def _message_of(entry: Entry) -> str | None:
    message = entry.message
    if message is None or type(message) is str:
        return message
    return msgspec.json.encode(message).decode()


def _status_of(entry: Entry) -> int | None:
    """What the client was answered. The entry's own status, of the function, where the edge's is not told."""
    proxy = entry.proxy
    told = entry.status_code if proxy is None or proxy.status_code is None else proxy.status_code
    return read_status(told, 0, "")


def _text(value: Any) -> str | None:
    return read_text(value, 0, "")
