"""What a test needs besides Bartizan itself, and what happens where that is not here."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent


def missing(what: str) -> NoReturn:
    """Skip on a laptop with a clear word, fail in CI: a check that silently did not run is no check."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is needed in CI")
    pytest.skip(f"{what} is not here")
