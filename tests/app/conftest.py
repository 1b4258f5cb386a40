"""What the tests of this room share: no BARTIZAN_ variable of the person who runs them reaches a test."""

import os
from pathlib import Path

import pytest

from app.policies.policy import default_text
from app.settings import Settings


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("BARTIZAN_"):
            monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path, redis_server: str) -> Settings:
    (tmp_path / "policy.yaml").write_text(default_text())
    return Settings(data_dir=tmp_path / "data", redis_url=redis_server, policy=tmp_path / "policy.yaml")
