"""What the admin routes share on the wire: times, pages, and the texts that people type."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from app.durations import parse_duration
from detectors.timestamps import LATEST_MS, parse_time, to_rfc3339

T = TypeVar("T")
DEFAULT_PAGE, LONGEST_PAGE = 50, 500
MOST_AT_ONCE = 500
"""Ids or values in one bulk request."""
PERMANENT = "permanent"

Moment = Annotated[
    int,
    PlainSerializer(to_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""Epoch milliseconds inside, RFC 3339 on the wire."""
Limit = Annotated[int, Field(ge=1, le=LONGEST_PAGE, description="how many items, at most")]
Cursor = Annotated[str, Field(max_length=256, description="`next_cursor` of the page before")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
"""Why a person did it; goes into the audit trail."""
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
Value = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=64)]
"""An address or CIDR."""


def _check_duration(text: str) -> str:
    if text != PERMANENT:
        parse_duration(text)
    return text


Duration = Annotated[str, StringConstraints(max_length=40), AfterValidator(_check_duration)]
"""`30m`, `4h`, `7d`, or `permanent`."""


def duration_ms(text: str) -> int | None:
    """A checked duration in milliseconds; None is permanent."""
    return None if text == PERMANENT else parse_duration(text)


def _read_moment(text: str) -> str:
    if parse_time(text) is None:
        raise ValueError("is not a time; write 2026-11-23T10:00:00Z")
    return text


TimeText = Annotated[
    str,
    StringConstraints(max_length=40),
    AfterValidator(_read_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time as people write it: RFC 3339."""


def with_times(data: Any) -> Any:
    """Plain JSON with its times written out in RFC 3339."""
    if isinstance(data, dict):
        return {
            key: to_rfc3339(value) if _is_time(key, value) else with_times(value)
            for key, value in data.items()
        }
    return [with_times(item) for item in data] if isinstance(data, list | tuple) else data


def _is_time(key: Any, value: Any) -> bool:
    is_named_so = isinstance(key, str) and (key in TIME_NAMES or key.endswith("_at"))
    return is_named_so and isinstance(value, int) and 0 <= value <= LATEST_MS


TIME_NAMES = frozenset({"at", "until", "due", "first_seen", "last_seen"})
Data = Annotated[Any, AfterValidator(with_times)]
"""Stored JSON as it is, but for its times, which are written out."""


class Output(BaseModel):
    """What goes out. Made from the stores' own structs."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Input(BaseModel):
    """What comes in. An unknown field is an error, so that a slip of the pen is not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(Output, Generic[T]):
    """One page of a list; `next_cursor` is null on the last."""

    items: list[T]
    next_cursor: str | None = None


PROBLEM: dict[str, Any] = {
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


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for the OpenAPI description."""
    words = {
        401: "No token, or not a valid one",
        403: "The token has another role",
        404: "Not known; the detail names the id",
        409: "Not possible in its present state; `allowed` names what is",
        412: "It has changed since it was read: another version than If-Match names",
        413: "Larger than is taken",
        422: "Not valid; the detail names the field",
        503: "Storage does not answer; try again after Retry-After seconds",
    }
    return {code: {"description": words[code], **PROBLEM} for code in (401, 403, 422, 503, *codes)}
