"""How the lookup routes appear in the OpenAPI description. The answers themselves are encoded by msgspec."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from actions.blocks.subjects import Scope
from app.policies.enforcement import Fallback
from detectors.finding import DecisionType

ListForm = Literal["json", "txt", "pf", "haproxy", "nginx", "ipset", "nftables"]
"""The formats of `GET /v1/blocklist`; all but JSON are written by list_formats.py."""


class DecisionModel(BaseModel):
    """A block in force."""

    id: str
    value: str
    reason: str
    rule: str | None
    incident_id: str | None
    created_at: datetime
    until: datetime | None
    scope: Scope
    type: DecisionType
    origin: str


class AllowedModel(BaseModel):
    """A network that is never blocked."""

    value: str
    until: datetime | None


class AnswerModel(BaseModel):
    """Whether one address is blocked; the most specific decision in force says why."""

    ip: str
    blocked: bool
    decision: DecisionModel | None
    allowlisted: bool


class AnswersModel(BaseModel):
    """One answer for each address, in the order they were asked."""

    items: list[AnswerModel]


class ListModel(BaseModel):
    """The whole blocklist, and the cursor from which to follow it."""

    cursor: str
    blocks: list[DecisionModel]
    allowlist: list[AllowedModel]
    fallback: dict[DecisionType, Fallback]


class RemovedModel(BaseModel):
    """A block that is over."""

    id: str
    value: str
    scope: Scope


class DisallowedModel(BaseModel):
    """A network that left the allowlist."""

    value: str


class ChangesModel(BaseModel):
    """What happened since the cursor that was given."""

    cursor: str
    added: list[DecisionModel]
    removed: list[RemovedModel]
    allow_added: list[AllowedModel]
    allow_removed: list[DisallowedModel]
    fallback: dict[DecisionType, Fallback]


class ResetModel(ListModel):
    """The cursor is too old (or of another list): forget everything and take this."""

    reset: bool


QUESTION_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["ips"],
                    "properties": {
                        "ips": {"type": "array", "items": {"type": "string"}, "maxItems": 1000},
                        "types": {"type": "array", "items": {"enum": [kind.value for kind in DecisionType]}},
                    },
                }
            }
        },
    }
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No token, or not a valid one"},
    403: {"description": "The token has another role"},
    422: {"description": "Not an address, or not a valid request; the problem body names what"},
    503: {"description": "The list is not loaded yet; try again after Retry-After seconds"},
}
TEXT_LIST: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    204: {
        "description": "The request may pass; X-Bartizan-Decision is allow, unknown, or what is not acted on"
    },
    403: {"description": "It may not, or the token has another role; X-Bartizan-Reference is the block's id"},
}
