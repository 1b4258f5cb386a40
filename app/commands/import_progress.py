"""How far an import has come, on a terminal: asked of the service while it works on the file."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.commands.output import printable

if TYPE_CHECKING:
    from rich.console import Console

ASK_EVERY_S = 0.25
Ask = Callable[[], tuple[int, int] | None]
"""How many entries are dealt with, of how many; None where that is not known now."""


@contextmanager
def shown(what: str, ask: Ask, console: "Console | None" = None) -> Iterator[None]:
    """Shows it on the terminal, standard error, as long as the block runs; on a pipe nothing is asked or shown."""
    from rich.console import Console

    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("entries"))
    is_over = threading.Event()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(printable(what).replace("[", "\\["), total=None)

        def follow() -> None:
            while not is_over.wait(ASK_EVERY_S):
                found = ask()
                if found is not None:
                    progress.update(task, completed=found[0], total=found[1])

        asking = threading.Thread(target=follow, daemon=True)
        asking.start()
        try:
            yield
        finally:
            is_over.set()
