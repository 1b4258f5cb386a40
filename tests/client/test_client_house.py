"""What the client promises about itself: its dependencies, its Python, its documentation."""

import ast
import dataclasses
import re
import sys
import tomllib
from pathlib import Path

import pytest

import bartizan_client
from bartizan_client.settings import Options, Settings

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
    framework = {"django", "asgiref"} if path.name == "django.py" else set()
    assert imported <= {*sys.stdlib_module_names, "bartizan_client", "httpx"} | framework
    at_import = {
        name.partition(".")[0]
        for node in tree.body
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not at_import & framework


def test_the_distribution_needs_httpx_only_and_is_typed() -> None:
    project = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]
    assert [re.split(r"[<>=~ ]", name)[0] for name in project["dependencies"]] == ["httpx"]
    assert project["requires-python"] == ">=3.9"
    assert (Path(bartizan_client.__file__).parent / "py.typed").exists()


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    text = (ROOT / "docs" / "client.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert documented == {field.name for field in dataclasses.fields(Settings)}


def test_what_type_checkers_know_of_the_settings_is_what_there_is() -> None:
    known = Options.__annotations__.keys()
    assert known == {field.name for field in dataclasses.fields(Settings)}


def test_every_counter_is_documented() -> None:
    text = (ROOT / "docs" / "client.md").read_text()
    used = {name for path in SOURCES for name in re.findall(r'counts\["(\w+)"\]', path.read_text())}
    assert used
    assert [name for name in sorted(used) if f"`{name}`" not in text] == []
