"""What stands in for the engine and the sources where the routes are under test."""

from types import SimpleNamespace
from typing import Any

from detectors.errors import StorageError
from detectors.event import Batch, Event

NOW = 1_795_435_200_000
"""2026-11-23 12:00 UTC."""
INGEST_TOKEN = "ingest-token-for-tests-0123456789"
VIEWER_TOKEN = "viewer-token-for-tests-0123456789"

UNHEARD = SimpleNamespace(note=lambda *_, **__: None, note_refused=lambda *_, **__: None)
"""The sources have their own tests."""


class Engine:
    """Remembers the batches; the windows have their own tests."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.is_away = False

    async def process(self, batch: Batch) -> Any:
        if self.is_away:
            raise StorageError("away")
        is_known = batch.mark is not None and any(batch.mark == known.mark for known in self.batches)
        self.batches.append(batch)
        return SimpleNamespace(duplicate=is_known, counted=0, findings=[])

    @property
    def events(self) -> list[Event]:
        """Of the last batch."""
        return self.batches[-1].events
