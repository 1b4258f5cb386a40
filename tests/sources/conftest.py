"""The sources on a real Redis, with a clock that stands still until a test moves it."""

import pytest
from redis.asyncio import Redis
from tending import Tending


@pytest.fixture
def tending(redis: Redis) -> Tending:
    return Tending(redis)
