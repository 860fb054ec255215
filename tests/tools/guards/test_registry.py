"""The page on guards shows those that there are.

``python tests/tools/guards/test_registry.py`` writes its table.
"""

from __future__ import annotations

from pathlib import Path

from policies.bindings import DEFAULT_SECONDS
from policies.guards import STAGES
from tools.guards.registry import DEFAULTS, KNOWN

PAGE = Path(__file__).resolve().parents[3] / "design" / "guards.md"
BEGIN = "<!-- guards: written by tests/tools/guards/test_registry.py -->\n"
END = "<!-- end of guards -->"


def table() -> str:
    """Return the table as the page shows it."""
    bound = {(each.guard, each.stage): each for each in KNOWN.defaults}
    lines = ["| guard | " + " | ".join(STAGES) + " |", "|---" * (len(STAGES) + 1) + "|"]
    for name in DEFAULTS:
        cells = []
        for stage in STAGES:
            each = bound.get((name, stage))
            may = "can stand" if stage in KNOWN.stages[name] else ""
            cells.append(f"`{each.effect}` from {each.threshold:g}" if each else may)
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Each may take {DEFAULT_SECONDS:g} seconds. An entry in `guards:` that names a stage puts one there.",
    ]
    return "\n".join(lines) + "\n"


def test_the_page_shows_the_guards_that_there_are() -> None:
    text = PAGE.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == table()


if __name__ == "__main__":
    old = PAGE.read_text()
    PAGE.write_text(old[: old.index(BEGIN) + len(BEGIN)] + table() + old[old.index(END) :])
