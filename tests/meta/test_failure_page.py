"""design/failure.md can't lie: the tests that design pages name exist, and its faults are the program's.

``python tests/meta/test_failure_page.py`` writes the table of faults.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from graphs.faults import EFFECT_POINTS
from graphs.sabotage import FAULTS

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "design" / "failure.md"
BEGIN, END = "<!-- faults: written by tests/meta/test_failure_page.py -->\n", "<!-- end of faults -->"
NAMED = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
TESTS = sorted(
    {(path, name) for page in (ROOT / "design").glob("*.md") for path, name in NAMED.findall(page.read_text())}
)


def faults_table() -> str:
    """Return the table of faults as the page shows it."""
    lines = ["| `--fault` | what it does |", "|---|---|"]
    lines += [f"| `{name}` | {what} |" for name, what in FAULTS.items()]
    points = ", ".join(f"`{point}`" for point in EFFECT_POINTS)
    return "\n".join([*lines, "", f"POINT is one of {points}."]) + "\n"


def test_the_page_shows_the_faults_that_there_are() -> None:
    text = PAGE.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == faults_table()


@pytest.mark.parametrize(("path", "name"), TESTS, ids=[f"{path}::{name}" for path, name in TESTS])
def test_every_test_that_a_design_page_names_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    assert name in [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def test_every_row_of_the_page_names_a_test() -> None:
    table = PAGE.read_text().split("## What happens")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert [row for row in rows if not NAMED.search(row.split(" | ")[-1])] == []
    assert len(rows) > 20


if __name__ == "__main__":
    old = PAGE.read_text()
    PAGE.write_text(old[: old.index(BEGIN) + len(BEGIN)] + faults_table() + old[old.index(END) :])
