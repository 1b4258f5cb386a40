"""What the client promises about itself: its dependencies, its Python, its documentation."""

import ast
import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest

import bartizan_client
from bartizan_client import BartizanMiddleware

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "client" / "bartizan_client").glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_file_is_python_3_9_and_imports_nothing_but_httpx(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {*sys.stdlib_module_names, "bartizan_client", "httpx"}


def test_the_distribution_needs_httpx_only_and_is_typed() -> None:
    project = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]
    assert [re.split(r"[<>=~ ]", name)[0] for name in project["dependencies"]] == ["httpx"]
    assert project["requires-python"] == ">=3.9"
    assert (Path(bartizan_client.__file__).parent / "py.typed").exists()


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "client.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    settings = inspect.signature(BartizanMiddleware).parameters.keys() - {"app"}
    assert settings <= documented
    assert documented - settings <= {
        "table",
        "addresses",
        "wire",
        "feed",
        "snapshot",
        "follower",
        "middleware",
    }
