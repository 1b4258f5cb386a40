"""The files of a folder of Sigma rules, read within bounds."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from app.sigma.refusal import Refusal
from detectors.errors import ConfigError

MOST_FILES = 5_000
"""SigmaHQ's whole collection has about 4,300, of which 142 are about web traffic."""
MOST_BYTES = 32 * 1024 * 1024
LARGEST_FILE_BYTES = 262_144
MOST_DOCUMENTS = 200
"""Of one file."""
SUFFIXES = (".yml", ".yaml")
MOST_NODES = 50_000
"""Of one document, references counted each time: a few bytes of YAML can stand for billions of values."""
DEEPEST_NODE = 20


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of one file."""

    file: str
    """Relative to the folder."""
    number: int
    """Which of its file, from 1."""
    content: Any


def list_files(folder: Path) -> list[Path]:
    """The rule files below a folder in the order of their names. Raises: ConfigError: none such, or too many."""
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder")
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in names
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
        if len(found) > MOST_FILES:
            raise ConfigError(f"{folder} holds more than {MOST_FILES:,} files of rules")
    return sorted(found)


def folder_stamp(folder: Path) -> tuple[int, int, int]:
    """How many files, their bytes together and their newest change: differs once a rule has changed."""
    count, size_bytes, newest_ns = 0, 0, 0
    try:
        for path in list_files(folder):
            found = path.stat()
            count, size_bytes = count + 1, size_bytes + found.st_size
            newest_ns = max(newest_ns, found.st_mtime_ns, found.st_ctime_ns)
    except (OSError, ConfigError):
        return -1, 0, 0
    return count, size_bytes, newest_ns


def read_documents(folder: Path, refused: list[Refusal]) -> Iterator[Document]:
    """The documents of all files; what is no YAML is added to `refused`. Raises: ConfigError."""
    left = MOST_BYTES
    for path in list_files(folder):
        name = path.relative_to(folder).as_posix()
        try:
            # Without waiting: a named pipe has no end, and may have no beginning.
            with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    refused.append(Refusal(name, "", "is not a plain file"))
                    continue
                raw = file.read(LARGEST_FILE_BYTES + 1)
        except OSError as error:
            refused.append(Refusal(name, "", f"cannot be read: {error.strerror}"))
            continue
        if len(raw) > LARGEST_FILE_BYTES:
            refused.append(Refusal(name, "", f"larger than {LARGEST_FILE_BYTES:,} bytes"))
            continue
        left -= len(raw)
        if left < 0:
            raise ConfigError(f"{folder} holds more than {MOST_BYTES:,} bytes of rules")
        yield from _documents(name, raw, refused)


def _documents(name: str, raw: bytes, refused: list[Refusal]) -> Iterator[Document]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        refused.append(Refusal(name, "", "is not UTF-8"))
        return
    number = 0
    loader = _Loader(text)
    try:
        _check_nesting(text)
        while loader.check_node():
            number += 1
            if number > MOST_DOCUMENTS:
                refused.append(Refusal(name, "", f"more than {MOST_DOCUMENTS} documents"))
                return
            node = loader.get_node()
            if _measure(node, 0, MOST_NODES) < 0:
                refused.append(
                    Refusal(name, f"document {number}", "has too many values, or refers to itself")
                )
                continue
            content = loader.construct_document(node)
            if content is not None:
                yield Document(name, number, content)
    except (yaml.YAMLError, ValueError) as error:
        refused.append(Refusal(name, f"document {max(number, 1)}", f"not valid YAML: {_words(error)}"))
    finally:
        loader.dispose()


def _check_nesting(text: str) -> None:
    """LibYAML builds values recursively and has no limit of its own. Raises: YAMLError, ValueError."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST_NODE:
                raise ValueError("nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _words(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} in line {error.problem_mark.line + 1}"
    return str(error).splitlines()[0][:100]


def _measure(node: Node | None, depth: int, left: int) -> int:
    """How many of `left` values a node leaves; below zero where it has too many or is nested too deeply."""
    left -= 1
    if depth > DEEPEST_NODE or node is None or isinstance(node, ScalarNode):
        return -1 if depth > DEEPEST_NODE else left
    parts: list[Node] = []
    if isinstance(node, MappingNode):
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, SequenceNode):
        parts = node.value
    for part in parts:
        if left < 0:
            break
        left = _measure(part, depth + 1, left)
    return left


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Dates stay texts, as Sigma means them. LibYAML, where PyYAML has it, reads ten times as fast."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {
        first: [(tag, regex) for tag, regex in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
