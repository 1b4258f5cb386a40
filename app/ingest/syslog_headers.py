"""A bare message of syslog-ng's http(), whose program and host stand in the headers of its request.

Its default body is MESSAGE alone, one request for each. In batches the headers are those of one message of many, the
first or the last by its version: so they are believed only of a body without any line end, and of no JSON, which says
for itself who wrote it.
Source: syslog-ng modules/http/http-worker.c, _format_request_headers(), _add_message_to_batch().
"""

from app.ingest.decode import Decoded
from app.ingest.formats.syslog import parse_syslog
from app.ingest.mapping import unwrap
from app.ingest.shippers.shipper import Head
from detectors.event import Event

PROGRAM, HOST = "x-syslog-program", "x-syslog-host"
LONGEST_BYTES = 256 * 1024
"""Of a message. syslog-ng cuts at 64 KiB unless it is told otherwise; a longer one is read as any other body."""
LONGEST_NAME = 255


def named_program(head: Head) -> str:
    """The program that the headers name; empty where they name none."""
    return head.headers.get(PROGRAM, "").strip()[:LONGEST_NAME]


def decode_bare_message(body: bytes, head: Head) -> Decoded | None:
    """The event of a bare message; None where the body is anything else.

    A message with a syslog header is a line of its own only where that names the same program: who logs under one
    program may write the header of another into his message.
    """
    program = named_program(head)
    if not program or b"\n" in body or len(body) > LONGEST_BYTES or body.lstrip()[:1] in (b"{", b"[", b""):
        return None
    text = body.decode("utf-8", "replace")
    line = parse_syslog(text, head.received_ms)
    host = head.headers.get(HOST, "").strip()[:LONGEST_NAME] or None
    if line is not None and line.program == program:
        event = Event(timestamp=line.timestamp, host=host or line.host, message=line.message)
    else:
        event = Event(host=host, message=text)
    return Decoded([unwrap(event, head.received_ms, program)], [body])
