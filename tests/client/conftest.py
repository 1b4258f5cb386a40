"""A Bartizan that speaks the contract, on a loopback port."""

import os
from collections.abc import AsyncIterator

import pytest
from fake_bartizan import FakeBartizan, Serving


@pytest.fixture(autouse=True)
def _no_http_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of this machine has no business between two programs on its loopback."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
async def bartizan() -> AsyncIterator[Serving]:
    serving = Serving(FakeBartizan())
    await serving.come()
    yield serving
    if not serving.task.done():
        await serving.leave()
