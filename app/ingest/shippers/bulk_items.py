"""The items of the answer to a `_bulk` request: what became of each action.

Short ones, since Fluent Bit reads no more than 512 kB of an answer: index, id, status, and an error if there is one.
Source: Elasticsearch's reference of the bulk API (response body).
"""

import msgspec

from app.ingest.shippers.bulk_body import Action, Actions

_DONE = {"create": 201, "index": 201, "update": 200, "delete": 200}


def items_of(taken: Actions, index: str, made_id: str, *, is_short: bool) -> list[bytes]:
    """One item for each action, in order.

    `index` and `made_id` (a place is added) stand where an action names none. `is_short`: only what the query's
    `filter_path` of Beats asks for, status and error.
    """
    ready: dict[Action, tuple[bytes, bytes, bytes]] = {}
    failures = {reason: _failure(reason) for reason in set(taken.failures.values())}
    items = []
    for place, action in enumerate(taken.actions):
        parts = ready.get(action)
        if parts is None:
            parts = ready[action] = _parts(action, index, is_short=is_short)
        opening, named, result = parts
        if place in taken.failures:
            result = failures[taken.failures[place]]
        if is_short:
            items.append(opening + result)
        else:
            items.append(b"%b%b,%b" % (opening, named or b'"%b%d"' % (made_id.encode(), place), result))
    return items


def cause_of(reason: str) -> dict[str, str]:
    """Why a document was not taken, in the words of Elasticsearch 8."""
    return {"type": "document_parsing_exception", "reason": f"failed to parse: {reason}"}


def _parts(action: Action, index: str, *, is_short: bool) -> tuple[bytes, bytes, bytes]:
    """What comes before the id, the id where there is one, and what follows."""
    opening = b'{"%b":{' % action.name.encode()
    if not is_short:
        opening += b'"_index":%b,"_id":' % msgspec.json.encode(action.index_name or index)
    named = msgspec.json.encode(action.id) if action.id is not None else b""
    return opening, named, b'"status":%d}}' % _DONE[action.name]


def _failure(reason: str) -> bytes:
    return b'"status":400,"error":%b}}' % msgspec.json.encode(cause_of(reason))
