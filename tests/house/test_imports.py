"""Imports run one way: app -> actions -> detectors. The client imports nothing of ours."""

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = {
    "detectors": set(),
    "actions": {"detectors"},
    "app": {"actions", "detectors"},
    "client": {"bartizan_client"},
}
OURS = {"app", "actions", "detectors", "benchmarks", "tests", "bartizan_client"}


def imports_of(path: Path) -> set[str]:
    """The root packages that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room):
    files = [f for f in (ROOT / room).rglob("*.py") if "build" not in f.parts]
    assert len(files) > 3
    for path in files:
        wrong = (imports_of(path) & OURS) - {room} - ROOMS[room]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_no_module_of_the_server_does_anything_at_import():
    """Only definitions, constants and imports at the top of a file; `for` gathers routers, `if` guards `main`."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    allowed = (ast.Import, ast.ImportFrom, *definitions, ast.Expr, ast.If, ast.For)
    for room in ("detectors", "actions", "app"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.parse(path.read_text("utf-8")).body:
                assert isinstance(node, allowed), f"{path.relative_to(ROOT)}:{node.lineno}"


def test_no_test_imports_a_conftest():
    """pytest imports it under another name; a second time would do again what it does at import."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.endswith("conftest") for name in [module, *names]), path.relative_to(ROOT)


@pytest.mark.parametrize("name", ["utils", "helpers", "manager", "common", "base"])
def test_no_file_has_a_name_that_says_nothing(name):
    assert not [p for room in ROOMS for p in (ROOT / room).rglob(f"{name}.py")]


def test_broad_excepts_stand_only_around_detectors_and_actions():
    """CONVENTIONS: `except Exception` around each detector and around each action, and nowhere else."""
    for room in ("detectors", "actions", "app"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name):
                    is_broad = node.type.id in ("Exception", "BaseException")
                    assert not is_broad or path.name in ("responder.py", "roster.py"), f"{path}:{node.lineno}"


def test_no_two_files_of_the_tests_have_one_name():
    """They are imported by their bare names, so of two only the first would be; pytest collects nothing then."""
    found = [p for p in (ROOT / "tests").rglob("*.py") if "node_modules" not in p.parts]
    names = Counter(path.name for path in found if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []
