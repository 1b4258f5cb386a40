"""How each channel is: what waits for it, since when, and why. Keys: letters.py."""

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from actions.delivery.letters import Letters, channel_key, letters_key
from actions.storage import Client, storage_errors, text_of


class ChannelHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One channel now. Times are epoch ms, None where there is none."""

    channel: str
    is_known: bool
    """Whether the policy still has it."""
    depth: int
    """Letters that wait for it, those that wait for others of their group included."""
    oldest_at: int | None
    """When the oldest of them was written."""
    held_until: int | None
    """Until when its receiver wants to be left alone."""
    failing_since: int | None
    """Nothing has been delivered since."""
    unhealthy_since: int | None
    """It refuses for good, or has failed for ten minutes; the other channels were told."""
    delivered_at: int | None
    failed_at: int | None
    error: str
    """The last one; it stays when the channel has recovered."""


class ChannelHealths:
    """Reads the health of the channels."""

    def __init__(self, redis: Client, now: Callable[[], int], letters: Letters) -> None:
        self._redis = redis
        self._now = now
        self._letters = letters

    async def all(self, known: Collection[str]) -> list[ChannelHealth]:
        """Those of the policy, and those that are gone but for which something waits; by name.

        Raises: StorageError.
        """
        names = sorted({*known, *await self._letters.channels()})
        found = [await self._one(name, name in known) for name in names]
        return [one for one in found if one.is_known or one.depth]

    async def unhealthy(self, known: Collection[str]) -> list[str]:
        """The names of those of the policy that do not deliver. Raises: StorageError."""
        names = sorted(known)
        with storage_errors("reading the health of channels"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.hexists(channel_key(name), "unhealthy_since")
                ill = await pipe.execute()
        return [name for name, is_ill in zip(names, ill, strict=True) if is_ill]

    async def _one(self, name: str, is_known: bool) -> ChannelHealth:
        with storage_errors("reading the health of a channel"):
            fields: Any = await self._redis.hgetall(channel_key(name))
            ids: Any = await self._redis.hkeys(letters_key("item", name))

        def time(field: bytes) -> int | None:
            return int(fields[field]) if field in fields else None

        held_until = time(b"held_until")
        return ChannelHealth(
            channel=name,
            is_known=is_known,
            depth=len(ids),
            oldest_at=min((_written_at(text_of(one)) for one in ids), default=None),
            held_until=held_until if held_until and held_until > self._now() else None,
            failing_since=time(b"failing_since"),
            unhealthy_since=time(b"unhealthy_since"),
            delivered_at=time(b"delivered_at"),
            failed_at=time(b"failed_at"),
            error=text_of(fields.get(b"error", b"")),
        )


def _written_at(letter_id: str) -> int:
    """A letter is named after the outbox's row of its first message, and that after the time of writing."""
    return int(letter_id.partition("-")[0])
