"""What the tests saw of each sender, in .senders/results/, for the table of docs/shippers.md (table.py)."""

import json
from pathlib import Path

from tests.senders.sending import INSTALLED, Sender

FOLDER = INSTALLED / "results"


def keep(sender: Sender, what: str, result: str) -> None:
    """One file for each test, since tests run in several processes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    result_of(sender, what).write_text(json.dumps({"version": sender.version(), "result": result}))


def result_of(sender: Sender, what: str) -> Path:
    """Where the result of a test is."""
    return FOLDER / f"{sender.slug}.{what}.json"
