"""Our own decisions as a file that `read_file` reads again, a piece at a time."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from actions.blocks.decision import Decision
from actions.blocks.subjects import key_of
from app.block_files.reading import Form
from app.bouncers.durations import remaining
from app.bouncers.offers import origin_of, scenario_of
from app.lookup.decision import wire_of

AT_A_TIME = 1000
"""Written in one go: a few milliseconds."""
COLUMNS = ("value", "scope", "type", "until", "reason", "origin", "rule", "created_at")
MEDIA_TYPES = {Form.PLAIN: "text/plain", Form.CSV: "text/csv"}
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins so, and reasons hold what attackers write. Source: OWASP, CSV Injection."""
_encode = msgspec.json.Encoder().encode


def write_file(decisions: Iterable[Decision], form: Form, now: int) -> Iterator[bytes]:
    """The decisions in this form."""
    waiting, is_first = iter(decisions), True
    yield {Form.PLAIN: b"", Form.CSV: _rows([list(COLUMNS)])}.get(form, b"[")
    while some := list(islice(waiting, AT_A_TIME)):
        if form is Form.PLAIN:
            yield "".join([f"{key_of(one.scope, one.value)}\n" for one in some]).encode()
        elif form is Form.CSV:
            yield _rows([_cells(one) for one in some])
        else:
            items = _encode([wire_of(one) if form is Form.JSON else _decision(one, now) for one in some])
            yield items[1:-1] if is_first else b"," + items[1:-1]
        is_first = False
    if form in (Form.JSON, Form.CROWDSEC):
        yield b"]\n"


def _rows(rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode("utf-8", "replace")


def _cells(decision: Decision) -> list[str]:
    wire = wire_of(decision)
    reason = f"'{wire.reason}" if wire.reason.startswith(_FORMULAS) else wire.reason
    return [
        *(wire.value, wire.scope.value, wire.type.value, wire.until or "permanent", reason),
        *(wire.origin, wire.rule or "", wire.created_at),
    ]


def _decision(decision: Decision, now: int) -> dict[str, Any]:
    return {
        "duration": remaining(decision.until, now),
        "origin": origin_of(decision),
        "scenario": scenario_of(decision),
        "scope": decision.scope,
        "type": decision.type,
        "value": decision.value,
    }
