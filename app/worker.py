"""One process of the service, as uvicorn starts it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """No collection of garbage until the service stands (app/main.py turns it on then), or the block is left.

    What is made while a service starts is there to stay; a seventh of its start went into looking through it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def app_from_environment() -> "FastAPI":
    """The app of one worker process. Raises: ConfigError."""
    gc.disable()
    from app.log import configure_logging
    from app.main import create_app
    from app.settings import load_settings

    settings = load_settings()
    configure_logging(settings.log_format)
    return create_app(settings)
