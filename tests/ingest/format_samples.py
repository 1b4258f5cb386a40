"""The sample lines of each format: `samples/<format>.txt`.

A file begins with `#` and the source of its lines. Before each line stands what it must become:

    > [forged] failure|success|plain|none [at=TIME] [field=value ...]

`failure` and `success` are logins, `plain` is a message that is nothing for us, `none` is not of this format, `event`
is anything else. `forged`: an attacker tries to name the address of another. All addresses of others are in
198.51.100.0/24, which no event may name. `field=` says that it is absent.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from app.ingest.formats.logfmt import parse_logfmt

FOLDER = Path(__file__).parent / "samples"
KINDS = frozenset({"failure", "success", "plain", "none", "event"})
VICTIM = "198.51.100."


class Sample(NamedTuple):
    format: str
    kind: str
    is_forged: bool
    fields: dict[str, str]
    line: str


def samples() -> list[Sample]:
    """All of them, in the order of the files' names."""
    return [sample for path in sorted(FOLDER.glob("*.txt")) for sample in _samples_of(path)]


def each(chosen: Iterable[Sample]) -> Callable[[Callable[[Sample], None]], Callable[[str], None]]:
    """Makes of a check of one sample a test for each format, which names the line that fails it."""
    by_format: dict[str, list[Sample]] = {}
    for sample in chosen:
        by_format.setdefault(sample.format, []).append(sample)

    def test_of(check: Callable[[Sample], None]) -> Callable[[str], None]:
        @pytest.mark.parametrize("format_name", by_format)
        def test(format_name: str) -> None:
            for sample in by_format[format_name]:
                try:
                    check(sample)
                except Exception as error:
                    error.add_note(f"in: {sample.line}")
                    raise

        test.__doc__ = check.__doc__
        return test

    return test_of


def _samples_of(path: Path) -> list[Sample]:
    lines = path.read_text("utf-8").splitlines()
    assert lines[0].startswith("# "), f"{path.name} names no source"
    found = []
    said: str | None = None
    for line in lines:
        if said is None:
            assert line.startswith(("#", "> ")), f"{path.name}: nothing is said of {line}"
            said = line[2:] if line.startswith("> ") else None
            continue
        is_forged = said.startswith("forged ")
        kind, _, rest = said.removeprefix("forged ").partition(" ")
        fields = parse_logfmt(rest)
        assert kind in KINDS, f"{path.name}: {said}"
        assert fields is not None, f"{path.name}: {said}"
        found.append(Sample(path.stem, kind, is_forged, fields, line))
        said = None
    return found
