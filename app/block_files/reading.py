"""Files of addresses to block: plain, CSV, JSON, and the decisions of CrowdSec's tools.

A line or item that cannot be read is set aside with its place; the others are taken.
Sources: crowdsec, cscli decisions import (CSV and JSON), and its decision object; Spamhaus DROP and FireHOL for
comments (`;`, `#`) behind a value.
"""

import csv
import enum
import io
from collections.abc import Iterator
from typing import Any

import msgspec

from actions.blocks.subjects import ADDRESSES, Scope, scope_named
from app.block_files.entry import Contents, Entry, Wrong
from app.bouncers.durations import parse_go_duration
from app.durations import parse_duration
from detectors.finding import DecisionType
from detectors.timestamps import parse_time

MOST_ENTRIES = 1_000_000
LONGEST_LINE = 4096
"""Characters of a line or value; a longer one is no entry."""
LONGEST_REASON = 500
VALUE_NAMES = ("value", "ip", "cidr", "address", "network", "range")
"""What the column or member with the value may be called."""
PERMANENT = "permanent"
_SCOPES = {"username": Scope.USER}
"""CrowdSec's own scopes by other names."""


class Form(enum.StrEnum):
    """How a file is written."""

    PLAIN = "plain"
    CSV = "csv"
    JSON = "json"
    CROWDSEC = "crowdsec"


def form_of(data: bytes) -> Form:
    """The form that a file has by its looks. CrowdSec's decisions are JSON, and read as such."""
    begin = data.lstrip()[:LONGEST_LINE]
    if begin[:1] in (b"[", b"{"):
        return Form.JSON
    head = begin.split(b"\n", 1)[0].decode("utf-8", "replace").lower()
    names = [name.strip(' "\r') for name in head.split(",")]
    return Form.CSV if len(names) > 1 and any(name in VALUE_NAMES for name in names) else Form.PLAIN


def read_file(data: bytes, form: Form | None, now: int) -> Contents:
    """What a file holds; `form` None: by its looks. Durations count from `now`, epoch ms.

    Raises: ValueError where the whole is not of its form, or has more than MOST_ENTRIES.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    form = form or form_of(data)
    items = {Form.PLAIN: _plain, Form.CSV: _csv}.get(form, _json)(data)
    entries: list[Entry] = []
    wrong: list[Wrong] = []
    for line, item in items:
        if len(entries) + len(wrong) >= MOST_ENTRIES:
            raise ValueError(f"more than {MOST_ENTRIES:,} entries; split the file")
        try:
            entries.append(_entry(line, item, now))
        except ValueError as error:
            wrong.append(Wrong(line, str(error)))
    return Contents(form.value, entries, wrong)


Item = dict[str, Any] | str | csv.Error
"""An error stands for what could not be read at all."""


def _plain(data: bytes) -> Iterator[tuple[int, Item]]:
    for number, raw in enumerate(data.split(b"\n"), 1):
        text = raw.strip()
        if text and text[:1] not in b"#;":
            words = text[: LONGEST_LINE + 1].decode("utf-8", "replace").replace(";", " ").replace("#", " ")
            yield number, (words.split() or [""])[0]


def _csv(data: bytes) -> Iterator[tuple[int, Item]]:
    """Raises: ValueError where the first row names no column with values."""
    names: list[str] = []
    for line, row in _rows(data.decode("utf-8", "replace")):
        if isinstance(row, csv.Error):
            if not names:
                raise ValueError(f"line {line}: {row}")
            yield line, row
        elif not any(cell.strip() for cell in row) or row[0].lstrip().startswith("#"):
            continue
        elif names:
            yield line, dict(zip(names, (cell.strip() for cell in row), strict=False))
        else:
            names = [cell.strip().lower() for cell in row]
            if not any(name in VALUE_NAMES for name in names):
                raise ValueError(f"line {line}: no column is called {', '.join(VALUE_NAMES)}")


def _rows(text: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Each row with the line on which it ends; of one that is no CSV what is wrong, and the next line goes on."""
    reader = csv.reader(io.StringIO(text, newline=""))
    while True:
        try:
            row: list[str] | csv.Error = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            row = error
        yield reader.line_num, row


def _json(data: bytes) -> Iterator[tuple[int, Item]]:
    """An array, an object with one, or an object a line. Raises: ValueError."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        document = _lines_of_json(data)
        if document is None:
            raise ValueError(f"not JSON: {error}") from error
    if isinstance(document, dict):
        listed = next((document[name] for name in ("items", "decisions", "blocks") if name in document), None)
        document = [document] if listed is None else listed
    if not isinstance(document, list):
        raise ValueError("neither an array nor an object with items, decisions or blocks")
    number = 0
    for item in document:
        decisions = item.get("decisions") if isinstance(item, dict) and "value" not in item else None
        for one in decisions if isinstance(decisions, list) else [item]:
            number += 1
            yield number, one if isinstance(one, dict | str) else {}


def _lines_of_json(data: bytes) -> list[Any] | None:
    try:
        return [msgspec.json.decode(line) for line in data.split(b"\n") if line.strip()]
    except (msgspec.DecodeError, RecursionError):
        return None


def _entry(line: int, item: Item, now: int) -> Entry:
    """Raises: ValueError naming what is wrong."""
    if isinstance(item, csv.Error):
        raise ValueError(f"no CSV: {item}")
    if isinstance(item, str):
        return Entry(line, _short(item, "value"))
    found = next((item[name] for name in VALUE_NAMES if item.get(name)), None)
    if found is None:
        raise ValueError("no value")
    until, is_for_good = _end(item, now)
    return Entry(
        line=line,
        value=_short(str(found), "value"),
        scope=_scope(item.get("scope")),
        type=_type(item.get("type")),
        until=until,
        is_for_good=is_for_good,
        reason=str(item.get("reason") or item.get("scenario") or "")[:LONGEST_REASON],
    )


def _short(text: str, name: str) -> str:
    if not text or len(text) > LONGEST_LINE:
        raise ValueError(f"no {name}" if not text else f"a {name} of more than {LONGEST_LINE} characters")
    return text


def _scope(text: object) -> Scope | None:
    if not text:
        return None
    scope = _SCOPES.get(str(text).lower()) or scope_named(str(text))
    return None if scope in ADDRESSES else scope


def _type(text: object) -> DecisionType | None:
    if not text:
        return None
    try:
        return DecisionType(str(text).lower())
    except ValueError:
        known = ", ".join(DecisionType)
        raise ValueError(f"{str(text)[:40]!r} is not a type of decision; known are {known}") from None


def _end(item: dict[str, Any], now: int) -> tuple[int | None, bool]:
    """When it ends (epoch ms), and whether the file says that it never does. Raises: ValueError."""
    until, duration = item.get("until"), item.get("duration")
    if PERMANENT in (until, duration) or ("until" in item and until is None and not duration):
        return None, True
    if until:
        at = parse_time(until)
        if at is None:
            raise ValueError(f"until: {str(until)[:64]!r} is not a time")
    elif duration:
        at = now + _duration(str(duration))
    else:
        return None, False
    if at <= now:
        raise ValueError("it is over already")
    return at, False


def _duration(text: str) -> int:
    try:
        return parse_go_duration(text)
    except ValueError:
        return parse_duration(text)
