"""nginx access logs whose log_format is a JSON object, with the usual names of its variables.

Source: https://nginx.org/en/docs/http/ngx_http_log_module.html (`escape=json`; without it, `\\xNN` escapes
make the line invalid JSON, which is mended).
"""

from app.ingest.formats.format import Format
from app.ingest.lenient_json import loads
from app.ingest.mapping import map_record
from detectors.errors import DecodeError
from detectors.event import Event

NAME = "nginx_json"


def parse(line: str, received_ms: int) -> Event | None:
    """One JSON object a line, through the field map; None where it is none."""
    if not line.lstrip().startswith("{") or not line.rstrip().endswith("}"):
        return None
    try:
        record = loads(line.encode("utf-8", "replace"))
    except DecodeError:
        return None
    return map_record(record, received_ms)


FORMAT = Format(
    NAME,
    "a JSON object a line, with any of the names above",
    "nginx ngx_http_log_module, `escape=json`",
    parse,
    find=parse,
)
