"""The tail stays short: no function over 60 lines, no module over 600."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("handrail", "server", "evals", "graphs", "agents", "tools", "policies", "tests")
# Alembic writes a revision as one function; it is never edited again.
GENERATED = ROOT / "tools" / "storage" / "migrations" / "versions"
MODULES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if GENERATED not in path.parents
)
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
BANNED = {"utils", "helpers", "common"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_tail_is_short(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 600
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    lengths = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_no_module_is_a_drawer_for_everything() -> None:
    assert [path for path in MODULES if path.stem in BANNED] == []


def undocumented(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    missing = [] if ast.get_docstring(tree) else ["module"]
    classes = [each for each in tree.body if isinstance(each, ast.ClassDef) and not each.name.startswith("_")]
    inside = [node for each in [tree.body, *(each.body for each in classes)] for node in each]
    public = [node for node in inside if isinstance(node, NAMED) and not node.name.startswith("_")]
    return missing + [node.name for node in public if not ast.get_docstring(node)]


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if ROOT / "tests" not in path.parents],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_everything_public_is_documented(path: Path) -> None:
    assert undocumented(path) == []
