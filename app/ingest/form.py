"""A log record as a web form: what Python's logging.handlers.HTTPHandler posts.

The content type alone says nothing: libcurl sets it for whatever is posted (syslog-ng's bare messages, JSON).
Source: https://docs.python.org/3/library/logging.handlers.html#httphandler, the URL standard 5.1.
"""

import re
from urllib.parse import parse_qsl

import msgspec

from app.ingest.decode import Decoded, decode_records

PAIRS_LIMIT = 1_000
"""A LogRecord has about 25 attributes, and what the application adds."""
_FORM = re.compile(rb"[A-Za-z0-9_.*%+-]++=[!-%'-~]*+(?:&[A-Za-z0-9_.*%+-]++=[!-%'-~]*+)++\r?\n?")
"""Two pairs at least, and no blank, line end or control character in between: those are text."""
_LOG_RECORD_KEY = "levelno"


def decode_form(body: bytes, received_ms: int) -> Decoded | None:
    """The one event of a form; None where the body is none. Its record is the form as JSON, so that it can be read."""
    if _FORM.fullmatch(body) is None:
        return None
    try:
        pairs = parse_qsl(
            body.strip().decode("ascii"), keep_blank_values=True, max_num_fields=PAIRS_LIMIT, errors="replace"
        )
    except ValueError:
        return None
    fields = dict(pairs)
    if _LOG_RECORD_KEY in fields:
        # Python writes None as a word.
        fields = {name: value for name, value in fields.items() if value != "None"}
    return decode_records([msgspec.json.encode(fields)], received_ms)
