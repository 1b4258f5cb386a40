"""The name of a process among those that share a data folder."""

import fcntl
import os
import secrets
from pathlib import Path

from app.settings import write_new_private
from detectors.errors import ConfigError

MOST_PROCESSES = 1024
"""That may share one data folder at a time."""


def take_slot(data_dir: Path) -> tuple[int, str]:
    """A name for this process that no other running one has, and that the next one after it gets again.

    The same name means that findings which a killed process had taken are resumed at once by its successor.
    Answers the open, locked file (closing it gives the name back) and the name. Raises: ConfigError.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        instance = data_dir / "instance.id"
        write_new_private(instance, secrets.token_hex(6))
        prefix = instance.read_text(encoding="ascii").strip()
        for number in range(MOST_PROCESSES):
            file = os.open(data_dir / f"slot-{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
            else:
                return file, f"{prefix}-{number}"
    except OSError as error:
        raise ConfigError(f"BARTIZAN_DATA_DIR: {data_dir}: {error.strerror}") from error
    raise ConfigError(f"BARTIZAN_DATA_DIR: {data_dir}: {MOST_PROCESSES} processes use it already")
