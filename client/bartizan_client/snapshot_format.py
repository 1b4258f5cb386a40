"""How a table is written to disk: columns as they stand in memory, so that a million entries load in a second.

A line of JSON says whose list it is; sections follow, each behind its length in 8 bytes: what is small, as
JSON, then the columns of each index. The last 4 bytes are the CRC-32 of all before. Nothing in it is code.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from bartizan_client.decision import FOREVER, Block, Clock, DecisionType, Scope
from bartizan_client.index import Contents, Level
from bartizan_client.rows import Columns, Facts
from bartizan_client.table import BlockTable

FORMAT = 2
PIECE = 10_000
"""Addresses that are joined in one go: between two of them a thread that writes lets requests go on."""
SUM_BYTES = 4
LONGEST_HEAD = 4_096
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


class SnapshotFile:
    """A file that is read section by section, so that it never stands in memory as a whole."""

    def __init__(self, file: BinaryIO) -> None:
        """Raises: ValueError where it is no snapshot of this version."""
        self._file = file
        self._left = os.fstat(file.fileno()).st_size - SUM_BYTES
        line = file.readline(LONGEST_HEAD)
        self.head = json.loads(line)
        if not isinstance(self.head, dict) or self.head.get("format") != FORMAT:
            raise ValueError("it is no snapshot of this version")
        if not isinstance(self.head.get("cursor"), str):
            raise ValueError("it has no cursor")
        self._left -= len(line)
        self._sum = checksum(line)

    def section(self) -> bytes:
        """The next one. Raises: ValueError where it is longer than what is there."""
        size = int.from_bytes(self._take(8), "little")
        return self._take(size)

    def close(self) -> None:
        """Nothing more is wanted. Raises: ValueError where something is left, or the checksum is wrong."""
        if self._left or int.from_bytes(self._file.read(SUM_BYTES + 1), "little") != self._sum:
            raise ValueError("it is damaged")

    def _take(self, size: int) -> bytes:
        if size > self._left:
            raise ValueError("it is cut off")
        data = self._file.read(size)
        self._left -= size
        self._sum = checksum(data, self._sum)
        return data


def read_table(file: SnapshotFile, now: Clock) -> BlockTable:
    """The table. Raises: ValueError, KeyError, TypeError, IndexError where the sections make none."""
    small = json.loads(file.section())
    if small["byteorder"] != sys.byteorder:
        raise ValueError("it comes from another kind of machine")
    table = BlockTable(now=now)
    table.fallback = {DecisionType(type): bool(bans) for type, bans in small["fallback"].items()}
    for described in small["indexes"]:
        contents = _read_index(described, file.section)
        if described["name"] == "allowlist":
            table.allowed.load(contents)
            continue
        type = DecisionType(described["name"])
        table.indexes[type].load(contents)
        table.has_weaker = table.has_weaker or type is not DecisionType.BAN
    for id, value, reason, rule, until_s, scope, kind, origin in small["subjects"]:
        end_s = FOREVER if until_s is None else float(until_s)
        table.add(Block(id, value, reason, rule, end_s, Scope(scope), DecisionType(kind), origin))
    file.close()
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


def _read_index(described: dict[str, Any], section: Callable[[], bytes]) -> Contents:
    columns = Columns(
        _array("d", section()),
        _array("Q", section()),
        _array("I", section()),
        [Facts(*facts) for facts in described["known"]],
        {int(row): id for row, id in described["odd_ids"].items()},
    )
    text_rows = _array("I", section()).tolist()
    texts = section().decode().split("\n")[:-1]
    packed_rows = _array("I", section()).tolist()
    packed_bytes = section()
    packed = [packed_bytes[at : at + 8] for at in range(0, len(packed_bytes), 8)]
    levels = []
    for version, shift in described["levels"]:
        rows, size = _array("I", section()).tolist(), NUMBER_BYTES[version]
        numbers = section()
        read = [int.from_bytes(numbers[at : at + size], "big") for at in range(0, len(numbers), size)]
        levels.append(Level(version, shift, read, rows))
    lengths = [(len(texts), len(text_rows)), (len(packed), len(packed_rows))]
    lengths += [(len(level.numbers), len(level.rows)) for level in levels]
    if any(keys != rows for keys, rows in lengths):
        raise ValueError("its parts do not fit each other")
    return Contents(columns, texts, text_rows, packed, packed_rows, levels)


def _array(kind: str, data: bytes) -> array[Any]:
    read: array[Any] = array(kind)
    read.frombytes(data)
    return read


def _section(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = list(pieces)
    yield sum(map(len, held)).to_bytes(8, "little")
    yield from held
