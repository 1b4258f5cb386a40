"""Compiled databases on disk: found again, never trusted blindly, never in the way."""

import stat
from pathlib import Path

import hyperscan
import pytest

from detectors import pattern_database
from detectors.pattern_database import _serialized, open_database
from detectors.scanner import ENCODED, Scanner, Tag, load_patterns

EXPRESSIONS = [b"alpha", b"be[t7]a"]
FLAGS = hyperscan.HS_FLAG_CASELESS


@pytest.fixture(autouse=True)
def fresh_process():
    _serialized.cache_clear()


@pytest.fixture
def compiled(monkeypatch) -> list[int]:
    """How many expressions each compilation had."""
    real, done = pattern_database._compile, []

    def compile_and_note(expressions, flags):
        done.append(len(expressions))
        return real(expressions, flags)

    monkeypatch.setattr(pattern_database, "_compile", compile_and_note)
    return done


def hits(folder: Path | None, text: bytes) -> list[int]:
    found: list[int] = []
    open_database(EXPRESSIONS, FLAGS, folder).scan(text, match_event_handler=lambda n, *_: found.append(n))
    return found


def only_file(folder: Path) -> Path:
    [file] = folder.iterdir()
    return file


def test_the_second_process_compiles_nothing(tmp_path, compiled):
    for _ in range(3):
        _serialized.cache_clear()
        assert hits(tmp_path / "cache", b"ALPHA be7a") == [0, 1]
    assert compiled == [2]
    assert stat.S_IMODE(only_file(tmp_path / "cache").stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", [
    lambda content: b"",
    lambda content: content[:-1],
    lambda content: content[:100] + bytes((content[100] ^ 1,)) + content[101:],
    lambda content: b"another file altogether",
    lambda content: content[:19] + pattern_database.hashlib.sha256(b"no database").digest() + b"no database",
])  # fmt: skip
def test_a_damaged_file_is_compiled_anew_and_replaced(damage, tmp_path, compiled):
    hits(tmp_path, b"")
    file = only_file(tmp_path)
    content = file.read_bytes()
    file.write_bytes(damage(content))
    _serialized.cache_clear()
    assert hits(tmp_path, b"alpha") == [0]
    assert len(compiled) == 2 and file.read_bytes() == content


def test_a_file_that_others_may_write_is_not_read(tmp_path, compiled):
    hits(tmp_path, b"")
    only_file(tmp_path).chmod(0o666)
    _serialized.cache_clear()
    hits(tmp_path, b"")
    assert len(compiled) == 2 and stat.S_IMODE(only_file(tmp_path).stat().st_mode) == 0o600


def test_other_expressions_flags_or_versions_never_meet(tmp_path, monkeypatch):
    open_database(EXPRESSIONS, FLAGS, tmp_path)
    open_database([b"alpha", b"beta"], FLAGS, tmp_path)
    open_database([b"alphabeta"], FLAGS, tmp_path)
    open_database(EXPRESSIONS, 0, tmp_path)
    _serialized.cache_clear()
    monkeypatch.setattr(pattern_database, "version", lambda _name: "99")
    open_database(EXPRESSIONS, FLAGS, tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


def test_files_of_old_patterns_are_forgotten(tmp_path):
    for number in range(20):
        open_database([b"word%d" % number], FLAGS, tmp_path)
    assert len(list(tmp_path.iterdir())) == 8


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path, compiled):
    (tmp_path / "file").write_text("")
    assert hits(tmp_path / "file" / "cache", b"alpha") == [0]
    assert compiled == [2]


def test_a_changed_policy_compiles_only_what_it_says(tmp_path, compiled):
    patterns = load_patterns("keys")
    Scanner(patterns, [Tag("login", ("/login",))], cache=tmp_path)
    first = sum(compiled)
    scanner = Scanner(patterns, [Tag("login", ("/enter", "/login"))], cache=tmp_path)
    assert sum(compiled) - first == 2
    assert scanner.scan([b"GET /enter", b"GET /%2e%2e"]) == {0: ["login"], 1: [ENCODED]}
