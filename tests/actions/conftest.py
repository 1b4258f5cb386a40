"""A world of actions on a real Redis, with a clock that stands still until a test moves it."""

from collections.abc import Iterator

import pytest
from acting import Clock, Ear, Tally
from crashes import fault, frail
from name_servers import dnsmasq
from redis.asyncio import Redis

from actions.world import World

__all__ = ["fault", "frail"]


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


@pytest.fixture(scope="session")
def name_server(dnsmasq_binary: str) -> Iterator[str]:
    """Address and port of a real name server with the records of name_servers.py."""
    with dnsmasq(dnsmasq_binary) as server:
        yield server
