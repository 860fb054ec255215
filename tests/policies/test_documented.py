"""The page on policies shows the facts and effects that there are.

``python tests/policies/test_documented.py`` writes its tables.
"""

from __future__ import annotations

from pathlib import Path

from policies.expressions import FACTS
from policies.rules import EFFECTS
from tools.guards.phrases import load_wording

PAGE = Path(__file__).resolve().parent.parent.parent / "design" / "policies.md"
BEGIN = "<!-- facts and effects: written by tests/policies/test_documented.py -->\n"
END = "<!-- end of facts and effects -->"
BEGIN_PROHIBITIONS = "<!-- prohibitions: written by tests/policies/test_documented.py -->\n"
END_PROHIBITIONS = "<!-- end of prohibitions -->"


def tables() -> str:
    """Return the tables as the page shows them."""
    lines = ["| fact | type | what | in |", "|---|---|---|---|"]
    for name, fact in FACTS.items():
        kind = fact.type.replace("|", "\\|")
        where = f"`on: {fact.only}`" if fact.only else "all"
        lines.append(f"| `{name}` | `{kind}` | {fact.about} | {where} |")
    lines += ["", "| effect | what follows |", "|---|---|"]
    lines += [f"| `{name}` | {what} |" for name, what in EFFECTS.items()]
    return "\n".join(lines) + "\n"


def prohibitions() -> str:
    """Return the table of what is shipped as forbidden."""
    lines = ["| prohibition | why | phrases |", "|---|---|---|"]
    lines += [
        f"| `{each.id}` | {each.reason} | {len(each.says) or 'none: policy fills it'} |"
        for each in load_wording("promises").prohibitions
    ]
    return "\n".join(lines) + "\n"


def test_the_page_shows_the_prohibitions_that_are_shipped() -> None:
    text = PAGE.read_text()
    begin = text.index(BEGIN_PROHIBITIONS) + len(BEGIN_PROHIBITIONS)
    assert text[begin : text.index(END_PROHIBITIONS)] == prohibitions()


def test_the_page_shows_the_facts_and_effects_that_there_are() -> None:
    text = PAGE.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == tables()


if __name__ == "__main__":
    old = PAGE.read_text()
    new = old[: old.index(BEGIN) + len(BEGIN)] + tables() + old[old.index(END) :]
    begin = new.index(BEGIN_PROHIBITIONS) + len(BEGIN_PROHIBITIONS)
    PAGE.write_text(new[:begin] + prohibitions() + new[new.index(END_PROHIBITIONS) :])
