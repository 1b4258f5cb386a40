"""Entries of systemd's journal in the Journal Export Format, cut out of a stream that has no end.

`NAME=value` and a line end; or, where the value has line ends or bytes that are not text, `NAME`, a line end, the size
as 64 bits (little endian), the value, a line end. An empty line ends an entry.
Source: systemd.io/JOURNAL_EXPORT_FORMATS; journal-upload-journal.c, write_entry(); systemd.journal-fields(7).
"""

import re

import msgspec

from app.ingest.mapping import unwrap
from detectors.errors import DecodeError
from detectors.event import Event

LONG_VALUE_BYTES = 1024 * 1024
"""A longer value is cut to its beginning: a core dump is no log line."""
CUT_BYTES = 65_536
LARGEST_VALUE_BYTES = 1024**3
"""What no journal has: the sender and we do not speak of the same bytes. Source: journal-importer.h, DATA_SIZE_MAX."""

KEPT = (
    b"MESSAGE", b"SYSLOG_IDENTIFIER", b"_COMM", b"_HOSTNAME", b"__REALTIME_TIMESTAMP", b"PRIORITY", b"_PID", b"_UID",
    b"_SYSTEMD_UNIT", b"_TRANSPORT", b"CONTAINER_NAME", b"CONTAINER_ID",
    b"CONTAINER_PARTIAL_MESSAGE", b"CONTAINER_PARTIAL_ID",
)  # fmt: skip
"""The fields that are read or kept as evidence."""
CURSOR = b"__CURSOR"
_WANTED = frozenset((*KEPT, CURSOR))
_NAME = re.compile(rb"[A-Z0-9_]{1,64}+")
_ROOT = b"0"

Entry = dict[bytes, bytes]
"""The fields of KEPT, and the cursor. Of a field that stands there twice, the first."""


class EntryReader:
    """Cuts entries out of the pieces of a stream, of which it holds no more than one value."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._entry: Entry = {}
        self._has_fields = False
        self._scanned = 0
        """How far the buffer is known to have no line end."""
        self._to_skip = 0
        """Bytes of a value that is too long."""
        self._skips_line = False

    @property
    def held(self) -> int:
        """Bytes in memory that are no whole entry yet."""
        return len(self._buffer)

    def beginning(self, size: int) -> bytes:
        """The first bytes of these."""
        return bytes(self._buffer[:size])

    @property
    def is_within(self) -> bool:
        """Whether the stream would end within an entry."""
        return self._has_fields or bool(self._buffer or self._to_skip or self._skips_line)

    def feed(self, piece: bytes) -> list[Entry]:
        """The entries that end with this piece. Raises: DecodeError where it is not this format."""
        self._buffer += piece
        buffer, found, at = self._buffer, [], 0
        while True:
            at, ends_entry = self._next(buffer, at)
            if at < 0:
                break
            if ends_entry and self._has_fields:
                found.append(self._entry)
                self._entry, self._has_fields = {}, False
        return found

    def _next(self, buffer: bytearray, at: int) -> tuple[int, bool]:
        """Behind the next field, and whether an entry ends there; -1 where the rest has not come yet."""
        if self._to_skip or self._skips_line:
            at = self._skip(buffer, at)
            if at < 0:
                return at, False
        end = buffer.find(b"\n", max(at, self._scanned))
        self._scanned = 0
        if end == at:
            return at + 1, True
        if end < 0:
            return self._wait_for_line(buffer, at), False
        equals = buffer.find(b"=", at, end)
        if equals >= 0:
            self._keep(bytes(buffer[at:equals]), buffer[equals + 1 : min(end, equals + 1 + LONG_VALUE_BYTES)])
            return end + 1, False
        return self._sized(buffer, at, end)

    def _sized(self, buffer: bytearray, at: int, end: int) -> tuple[int, bool]:
        """A value whose size stands before it."""
        name, begin = bytes(buffer[at:end]), end + 9
        if not _NAME.fullmatch(name):
            raise DecodeError("the body is not in the Journal Export Format")
        if len(buffer) < begin:
            return self._wait(buffer, at), False
        size = int.from_bytes(buffer[end + 1 : begin], "little")
        if size > LARGEST_VALUE_BYTES:
            raise DecodeError(
                "the body is not in the Journal Export Format: a value is too large for any journal"
            )
        if len(buffer) > begin + size:
            self._keep(name, buffer[begin : begin + min(size, LONG_VALUE_BYTES)])
            return begin + size + 1, False
        if size <= LONG_VALUE_BYTES or len(buffer) < begin + CUT_BYTES:
            return self._wait(buffer, at), False
        self._keep(name, buffer[begin : begin + CUT_BYTES])
        self._to_skip = size + 1 - (len(buffer) - begin)
        return self._wait(buffer, len(buffer)), False

    def _wait_for_line(self, buffer: bytearray, at: int) -> int:
        if len(buffer) - at > LONG_VALUE_BYTES:
            equals = buffer.find(b"=", at, at + 80)
            if equals < 0:
                raise DecodeError("the body is not in the Journal Export Format")
            self._keep(bytes(buffer[at:equals]), buffer[equals + 1 : equals + 1 + CUT_BYTES])
            self._skips_line = True
            return self._wait(buffer, len(buffer))
        self._wait(buffer, at)
        self._scanned = len(buffer)
        return -1

    def _wait(self, buffer: bytearray, at: int) -> int:
        del buffer[:at]
        return -1

    def _skip(self, buffer: bytearray, at: int) -> int:
        """Behind what is to be skipped; -1 where it has not come yet."""
        if self._skips_line:
            end = buffer.find(b"\n", at)
            self._skips_line = end < 0
            return self._wait(buffer, len(buffer)) if end < 0 else end + 1
        skipped = min(self._to_skip, len(buffer) - at)
        self._to_skip -= skipped
        return self._wait(buffer, len(buffer)) if self._to_skip else at + skipped

    def _keep(self, name: bytes, value: bytearray) -> None:
        self._has_fields = True
        if name in _WANTED:
            self._entry.setdefault(name, bytes(value if len(value) < LONG_VALUE_BYTES else value[:CUT_BYTES]))


def read_entry(entry: Entry, received_ms: int) -> tuple[Event, bytes]:
    """What an entry says, and the entry as JSON.

    Fields without `_` in front are what the logging process chose to say. That it is sshd is believed of root only:
    everybody on the machine may call himself so, and get the address blocked that he names. A part of a line that
    Docker has cut is text: the client may have chosen where it begins. Source: moby daemon/logger/journald/journald.go.
    """
    texts = {name.decode(): str(entry[name], "utf-8", "replace") for name in KEPT if name in entry}
    event = Event(host=texts.get("_HOSTNAME") or None, message=texts.get("MESSAGE"))
    time = texts.get("__REALTIME_TIMESTAMP", "")
    if time.isascii() and time.isdecimal() and len(time) < 20:
        event.timestamp = int(time)
    program = texts.get("SYSLOG_IDENTIFIER") or texts.get("_COMM")
    if "CONTAINER_NAME" in texts or "CONTAINER_ID" in texts:
        program = None  # the identifier names the container
    is_part = "CONTAINER_PARTIAL_MESSAGE" in texts or "CONTAINER_PARTIAL_ID" in texts
    is_impostor = program is not None and program.startswith("sshd") and entry.get(b"_UID", _ROOT) != _ROOT
    if not is_impostor and not is_part:
        event = unwrap(event, received_ms, program)
    return event, msgspec.json.encode(texts)
