"""Container logs of Kubernetes: each line wraps what the program wrote, which is read as what it is.

Source: see app/ingest/container_log.py.
"""

from app.ingest.container_log import split_container_line
from app.ingest.formats.format import Format
from app.ingest.mapping import unwrap
from detectors.event import Event

NAME = "cri"


def parse(line: str, received_ms: int) -> Event | None:
    """What the line wraps: JSON, a line of a known format, or a plain message; None where it is no such line."""
    if split_container_line(line) is None:
        return None
    return unwrap(Event(message=line), received_ms)


FORMAT = Format(
    NAME,
    "Kubernetes' container logs, around JSON or a line of any of these formats",
    "Kubernetes' CRI log format",
    parse,
    find=parse,
    marks=(" stdout ", " stderr "),
)
