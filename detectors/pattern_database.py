"""Compiled Hyperscan databases, kept on disk: compiling the patterns takes a second, loading them a millisecond.

A file is named by a hash of all that went into it, so a changed pattern, another version of the library or another
machine never finds it. What is in it is checked before the library sees it: the owner, the mode, a digest of the
content. Whatever is wrong with it, it is compiled anew and replaced; a folder that cannot be written costs the second.
"""

import contextlib
import hashlib
import os
import platform
import secrets
import stat
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hyperscan

_MAGIC = b"bartizan patterns 1\n"
_DIGEST_BYTES = 32
_KEPT_FILES = 8
"""Databases of older patterns that stay beside the newest: a few versions may share one folder."""


def open_database(expressions: Sequence[bytes], flags: int, folder: Path | None = None) -> Any:
    """The database of these expressions, numbered in their order; from `folder` where it is there."""
    database = hyperscan.loadb(_serialized(tuple(expressions), flags, folder), hyperscan.HS_MODE_BLOCK)
    # A loaded database comes without its working memory.
    database.scratch = hyperscan.Scratch(database)
    return database


@cache
def _serialized(expressions: tuple[bytes, ...], flags: int, folder: Path | None) -> bytes:
    if folder is None:
        return _compile(expressions, flags)
    file = folder / f"patterns-{_fingerprint(expressions, flags)}.hsdb"
    found = _read(file)
    if found is None:
        found = _serialized(expressions, flags, None)
        _write(file, found)
    return found


def _compile(expressions: Sequence[bytes], flags: int) -> bytes:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=list(expressions), ids=list(range(len(expressions))), flags=[flags] * len(expressions)
    )
    return bytes(hyperscan.dumpb(database))


def _fingerprint(expressions: Sequence[bytes], flags: int) -> str:
    """Of everything that the compiled bytes depend on; the library itself refuses those of another processor."""
    made_of = hashlib.sha256(f"{version('hyperscan')} {platform.machine()} {flags}\n".encode())
    for expression in expressions:
        made_of.update(b"%d:" % len(expression) + expression)
    return made_of.hexdigest()[:32]


def _read(file: Path) -> bytes | None:
    """The database in a file; None where there is none, or none that can be trusted."""
    try:
        with file.open("rb") as opened:
            about = os.fstat(opened.fileno())
            if about.st_uid != os.geteuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None
            content = opened.read()
    except OSError:
        return None
    head, digest = len(_MAGIC), content[len(_MAGIC) : len(_MAGIC) + _DIGEST_BYTES]
    found = content[head + _DIGEST_BYTES :]
    if not content.startswith(_MAGIC) or hashlib.sha256(found).digest() != digest:
        return None
    try:
        hyperscan.loadb(found, hyperscan.HS_MODE_BLOCK)
    except hyperscan.HyperscanError:
        return None
    return found


def _write(file: Path, database: bytes) -> None:
    """Whole or not at all, for this user only."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(_MAGIC + hashlib.sha256(database).digest() + database)
        draft.replace(file)
        _forget_old(file.parent)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _forget_old(folder: Path) -> None:
    kept = sorted(folder.glob("patterns-*.hsdb"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in kept[_KEPT_FILES:]:
        file.unlink(missing_ok=True)
