"""How a table is written to disk: columns as they stand in memory, so that a million entries load in a second.

A line of JSON says whose list it is; sections follow, each behind its length in 8 bytes: what is small, as
JSON, then the columns of each index. The last 4 bytes are the CRC-32 of all before. Nothing in it is code.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from bartizan_client.decision import FOREVER, Block, Clock, DecisionType, Scope
from bartizan_client.index import Contents, Level
from bartizan_client.rows import Columns, Facts
from bartizan_client.table import BlockTable

FORMAT = 2
PIECE = 10_000
"""Addresses that are joined in one go: between two of them a thread that writes lets requests go on."""
NUMBER_BYTES = {4: 4, 6: 16}


class TableContents(NamedTuple):
    """A table, copied so that a thread can write it while the table changes."""

    fallback: dict[DecisionType, bool]
    indexes: list[tuple[str, Contents]]
    subjects: list[Block]


def copy_of(table: BlockTable) -> TableContents:
    """All of a table."""
    indexes = [(type.value, index.contents()) for type, index in table.indexes.items() if index]
    indexes.append(("allowlist", table.allowed.contents()))
    return TableContents(dict(table.fallback), indexes, table.subjects())


def head_line(source: str, etag: str | None, cursor: str) -> bytes:
    """The first line: whose list it is, and which."""
    head = {"format": FORMAT, "source": source, "etag": etag, "cursor": cursor}
    return json.dumps(head).encode() + b"\n"


def write_table(contents: TableContents) -> Iterator[bytes]:
    """What follows the head, without the checksum."""
    yield from _section([json.dumps(_small(contents)).encode()])
    for _, index in contents.indexes:
        columns = index.columns
        yield from _section([columns.until_s.tobytes()])
        yield from _section([columns.ids.tobytes()])
        yield from _section([columns.facts.tobytes()])
        yield from _section([array("I", index.text_rows).tobytes()])
        yield from _section(
            ("\n".join(index.texts[at : at + PIECE]) + "\n").encode()
            for at in range(0, len(index.texts), PIECE)
        )
        yield from _section([array("I", index.packed_rows).tobytes()])
        yield from _section([b"".join(index.packed)])
        for level in index.levels:
            size = NUMBER_BYTES[level.version]
            yield from _section([array("I", level.rows).tobytes()])
            yield from _section([b"".join([number.to_bytes(size, "big") for number in level.numbers])])


def checksum(data: bytes, before: int = 0) -> int:
    return zlib.crc32(data, before)


def read_file(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """The head, and the sections behind it. Raises: ValueError where it is no snapshot, or a damaged one."""
    line, _, _ = data.partition(b"\n") if len(data) < 4096 else data[:4096].partition(b"\n")
    head = json.loads(line)
    if not isinstance(head, dict) or head.get("format") != FORMAT or not isinstance(head.get("cursor"), str):
        raise ValueError("it is no snapshot of this version")
    if len(data) < len(line) + 5 or zlib.crc32(memoryview(data)[:-4]) != int.from_bytes(data[-4:], "little"):
        raise ValueError("it is damaged")
    return head, memoryview(data)[len(line) + 1 : -4]


def read_table(body: memoryview, now: Clock) -> BlockTable:
    """The table. Raises: ValueError, KeyError, TypeError, IndexError where the sections make none."""
    sections = _sections(body)
    small = json.loads(bytes(next(sections)))
    if small["byteorder"] != sys.byteorder:
        raise ValueError("it comes from another kind of machine")
    table = BlockTable(now=now)
    table.fallback = {DecisionType(type): bool(bans) for type, bans in small["fallback"].items()}
    for described in small["indexes"]:
        contents = _read_index(described, sections)
        if described["name"] == "allowlist":
            table.allowed.load(contents)
            continue
        type = DecisionType(described["name"])
        table.indexes[type].load(contents)
        table.has_weaker = table.has_weaker or type is not DecisionType.BAN
    for id, value, reason, rule, until_s, scope, kind, origin in small["subjects"]:
        end_s = FOREVER if until_s is None else float(until_s)
        table.add(Block(id, value, reason, rule, end_s, Scope(scope), DecisionType(kind), origin))
    return table


def _small(contents: TableContents) -> dict[str, Any]:
    return {
        "byteorder": sys.byteorder,
        "fallback": {type.value: bans for type, bans in contents.fallback.items()},
        "subjects": [
            [*block[:4], None if block.until_s == FOREVER else block.until_s, *block[5:]]
            for block in contents.subjects
        ],
        "indexes": [
            {
                "name": name,
                "known": index.columns.known_facts,
                "odd_ids": index.columns.odd_ids,
                "levels": [[level.version, level.shift] for level in index.levels],
            }
            for name, index in contents.indexes
        ],
    }


def _read_index(described: dict[str, Any], sections: Iterator[memoryview]) -> Contents:
    columns = Columns(
        _array("d", next(sections)),
        _array("Q", next(sections)),
        _array("I", next(sections)),
        [Facts(*facts) for facts in described["known"]],
        {int(row): id for row, id in described["odd_ids"].items()},
    )
    text_rows = _array("I", next(sections)).tolist()
    texts = bytes(next(sections)).decode().split("\n")[:-1]
    packed_rows = _array("I", next(sections)).tolist()
    packed_bytes = bytes(next(sections))
    packed = [packed_bytes[at : at + 8] for at in range(0, len(packed_bytes), 8)]
    levels = []
    for version, shift in described["levels"]:
        rows, size = _array("I", next(sections)).tolist(), NUMBER_BYTES[version]
        numbers = bytes(next(sections))
        read = [int.from_bytes(numbers[at : at + size], "big") for at in range(0, len(numbers), size)]
        levels.append(Level(version, shift, read, rows))
    lengths = [(len(texts), len(text_rows)), (len(packed), len(packed_rows))]
    lengths += [(len(level.numbers), len(level.rows)) for level in levels]
    if any(keys != rows for keys, rows in lengths):
        raise ValueError("its parts do not fit each other")
    return Contents(columns, texts, text_rows, packed, packed_rows, levels)


def _array(kind: str, data: memoryview) -> array[Any]:
    read: array[Any] = array(kind)
    read.frombytes(data)
    return read


def _section(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = list(pieces)
    yield sum(map(len, held)).to_bytes(8, "little")
    yield from held


def _sections(body: memoryview) -> Iterator[memoryview]:
    """Raises: ValueError where one is longer than what is there."""
    at = 0
    while at < len(body):
        size = int.from_bytes(body[at : at + 8], "little")
        at += 8
        if at + size > len(body):
            raise ValueError("a section is cut off")
        yield body[at : at + size]
        at += size
