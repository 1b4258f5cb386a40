"""A world of actions on a real Redis, with a clock that stands still until a test moves it."""

import pytest
from acting import Clock, Ear, Tally
from redis.asyncio import Redis

from actions.world import World


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def world(redis: Redis, clock: Clock, tally: Tally, ear: Ear) -> World:
    return World.make(redis, clock, counters=tally, channels=[ear])
