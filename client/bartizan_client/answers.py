"""What somebody gets who is refused: the answers of the package, and those an application gives itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from bartizan_client.decision import Block, DecisionType

THROTTLE_S = 10
"""Retry-After for who is throttled."""
UNKNOWN_S = 2
"""Retry-After while there has never been a list: Bartizan starts in less."""
_TITLES = {403: "Forbidden", 429: "Too Many Requests", 503: "Service Unavailable"}
DETAILS = {
    403: "Requests from this address are refused.",
    429: "Too many requests; try again later.",
    503: "The blocklist is not known yet; try again.",
}


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def problem(status: int, reference: str | None = None, retry_after_s: int | None = None) -> Answer:
    """A problem body. `reference` is the block's id. Source: RFC 9457."""
    document = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": DETAILS[status]}
    if reference is not None:
        document["reference"] = reference
    body = json.dumps(document).encode()
    headers = [
        ("content-type", "application/problem+json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
    ]
    if retry_after_s is not None:
        headers.append(("retry-after", str(retry_after_s)))
    return Answer(status, headers, body)


def default_answer(type: DecisionType, block: Block) -> Answer:
    """429 for who is throttled, else 403."""
    if type is DecisionType.THROTTLE:
        return problem(429, block.id, THROTTLE_S)
    return problem(403, block.id)


def too_many_requests(address: str, block: Block, request: Any) -> Answer:
    """429 with Retry-After: `response={"throttle": too_many_requests}`."""
    return default_answer(DecisionType.THROTTLE, block)


def answer_of(given: Any) -> Answer:
    """What an application gives: an Answer, or (status, headers, body) with a mapping or pairs, text or bytes.

    Raises: ValueError where it is neither.
    """
    if not (isinstance(given, tuple) and len(given) == 3):
        raise ValueError(f"an Answer or (status, headers, body) is needed, not {type(given).__name__}")
    status, headers, body = given
    if not (isinstance(status, int) and 200 <= status <= 599):
        raise ValueError(f"{status!r} is no status")
    raw = body.encode() if isinstance(body, str) else bytes(body)
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    checked = [(str(name).lower(), str(value)) for name, value in pairs]
    if any(sign in part for pair in checked for part in pair for sign in "\r\n\0"):
        raise ValueError("a header must not hold a line break")
    checked = [(name, value) for name, value in checked if name != "content-length"]
    return Answer(int(status), [*checked, ("content-length", str(len(raw)))], raw)
