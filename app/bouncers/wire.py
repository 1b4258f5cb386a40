"""Answers in upstream's form, byte for byte: `null` without a newline, whole seconds, every member always there.

Source: crowdsec, pkg/models/decision.go, pkg/apiserver/controllers/v1/decisions.go; docs/bouncers.md, Pitfalls.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from app.bouncers.durations import remaining
from app.bouncers.offers import CHUNK, Offer, origin_of, scenario_of

JSON = "application/json; charset=utf-8"
NOTHING = b"null"
GONE = "-1s"
"""How long what is gone still lasts. Source: a lifted decision in upstream's stream."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """A decision on the wire; clients die of a member that is missing."""

    duration: str
    id: int
    origin: str
    scenario: str
    scope: str
    type: str
    value: str


_encode = msgspec.json.Encoder().encode


def item_of(offer: Offer, now: int, *, is_gone: bool = False) -> Item:
    """An offer as upstream's clients read it."""
    decision = offer.decision
    return Item(
        duration=GONE if is_gone else remaining(decision.until, now),
        id=offer.id,
        origin=origin_of(decision),
        scenario=scenario_of(decision),
        scope=offer.scope.value,
        type=offer.type.value,
        value=offer.value,
    )


def as_list(offers: list[Offer], now: int) -> bytes:
    """The answer of `/v1/decisions`."""
    return _encode([item_of(offer, now) for offer in offers]) if offers else NOTHING


async def list_in_pieces(offers: list[Offer], now: int) -> AsyncIterator[bytes]:
    """The same in pieces, with other work in between; of a list that is not empty."""
    yield b"["
    async for piece in _items(offers, now, is_gone=False):
        yield piece
    yield b"]"


def as_delta(new: list[Offer], deleted: list[Offer], now: int) -> bytes:
    """The answer of `/v1/decisions/stream`, whole."""
    added = _encode([item_of(offer, now) for offer in new])
    gone = _encode([item_of(offer, now, is_gone=True) for offer in deleted])
    return b'{"new":%b,"deleted":%b}' % (added, gone)


async def in_pieces(new: list[Offer], deleted: list[Offer], now: int) -> AsyncIterator[bytes]:
    """The same in pieces, with other work in between."""
    yield b'{"new":['
    async for piece in _items(new, now, is_gone=False):
        yield piece
    yield b'],"deleted":['
    async for piece in _items(deleted, now, is_gone=True):
        yield piece
    yield b"]}"


async def _items(offers: list[Offer], now: int, *, is_gone: bool) -> AsyncIterator[bytes]:
    for start in range(0, len(offers), CHUNK):
        items = [item_of(offer, now, is_gone=is_gone) for offer in offers[start : start + CHUNK]]
        yield (b"," if start else b"") + _encode(items)[1:-1]
        await asyncio.sleep(0)
