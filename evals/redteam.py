"""The red team: the attacks that we know to try, and what is caught, missed and flagged for nothing, in a table.

``python -m evals.redteam --data DIR`` runs all suites ``evals/suites/redteam-*.yaml`` and writes the tables of
``design/redteam.md``; without ``--data`` the honest questions of public sets are left out, and nothing is written.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evals.cli import GATE_FAILED, HELD, Asked, run_folder, run_suites, told, write_json
from evals.figures import Figure
from evals.runner import RunReport
from evals.suite import DATA
from policies.errors import HandrailError

ROOT = Path(__file__).resolve().parent.parent
SUITES = ROOT / "evals" / "suites"
PAGE = ROOT / "design" / "redteam.md"
COLUMNS = ("suite", "place", "against", "caught", "95 %", "missed", "false alarms", "95 %", "gates")
TAG_COLUMNS = ("suite", "kind of case", "caught", "95 %", "false alarms", "95 %")
CAUGHT, ALARMS = "recall", "false_alarms"


def suites(data: Path | None) -> list[Path]:
    """Return the suites of the red team, without those that need the data folder if there is none."""
    found = sorted(SUITES.glob("redteam-*.yaml"))
    return [path for path in found if data is not None or DATA not in path.read_text(encoding="utf-8")]


def row(report: RunReport) -> list[str]:
    """Return what the table says of one suite."""
    file, figures = report.suite.file, report.figures
    caught, alarms = figures.get(CAUGHT), figures.get(ALARMS)
    missed = str(caught.count - _hits(caught)) if caught else ""
    held = "; ".join(
        f"{each.gate.metric} {each.gate.rule}{'' if each.held else ' FAILED'}" for each in report.verdicts
    )
    name = report.suite.path.stem
    return [name, file.place or "", file.kind or file.name, *_of(caught), missed, *_of(alarms), held]


def tag_rows(report: RunReport) -> list[list[str]]:
    """Return what is known of each kind of case of one suite."""
    caught, alarms = report.tags.get(CAUGHT, {}), report.tags.get(ALARMS, {})
    tags = sorted({*caught, *alarms}, key=lambda tag: (tag not in caught, tag))
    return [[report.suite.path.stem, tag, *_of(caught.get(tag)), *_of(alarms.get(tag))] for tag in tags]


def _of(figure: Figure | None) -> tuple[str, str]:
    if figure is None or not figure.count:
        return "", ""
    return f"{_hits(figure)} / {figure.count}", f"{100 * figure.low:.1f} to {100 * figure.high:.1f} %"


def _hits(figure: Figure) -> int:
    return round(figure.value * figure.count)


def render(page: str, reports: Sequence[RunReport]) -> str:
    """Return the page with its tables made anew; the rest of it stays."""
    page = _between(page, "table", _markdown(COLUMNS, [row(each) for each in reports]))
    return _between(page, "kinds", _markdown(TAG_COLUMNS, [line for each in reports for line in tag_rows(each)]))


def _between(page: str, name: str, text: str) -> str:
    begin, end = (f"<!-- {name}: {which} -->" for which in ("begin", "end"))
    return re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{text}{end}", page, count=1, flags=re.S)


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def show_table(console: Console, reports: Sequence[RunReport]) -> None:
    """Print the table."""
    table = Table(*COLUMNS, title="red team", title_justify="left")
    for report in reports:
        table.add_row(*row(report), style=None if report.passed else "red")
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites and return the exit code, as ``handrail eval run`` has it."""
    parser = argparse.ArgumentParser(prog="python -m evals.redteam", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of public data, for the honest questions")
    parser.add_argument("--json", type=Path, help="write every case and figure into this file")
    parser.add_argument("--cache", type=Path, help="keep the exported encoder in this folder")
    asked = parser.parse_args(arguments)
    try:
        with run_folder(None) as out:
            wanted = Asked(suites=suites(asked.data), data=asked.data, out=out, cache=asked.cache)
            reports = run_suites(wanted)
            if asked.json is not None:
                write_json(asked.json, reports)
        if asked.data is not None and PAGE.exists():
            PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), reports), encoding="utf-8")
    except (HandrailError, OSError) as error:
        return told(error)
    show_table(Console(width=200), reports)
    return HELD if all(report.passed for report in reports) else GATE_FAILED


if __name__ == "__main__":
    sys.exit(main())
