"""What all tests of the ingest routes share."""

import pytest

from app.ingest import taking


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not decide what is late; test_taking.py says when that is looked at."""
    monkeypatch.setattr(taking, "ANSWER_S", 60)
    monkeypatch.setattr(taking, "LAST_S", 60)
