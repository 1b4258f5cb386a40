"""The fixtures of external lists."""

from collections.abc import Iterator

import pytest
from list_stage import LIST, Stage
from publisher import Publisher, publishing
from redis.asyncio import Redis


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as found:
        found.body = LIST
        yield found


@pytest.fixture
async def stage(redis: Redis, publisher: Publisher) -> Stage:
    made = Stage(redis, publisher)
    for process in (made.first, made.second):
        await process.follower.step()
    return made
