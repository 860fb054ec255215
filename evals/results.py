"""The public protocols: our figures, measured now, beside those that others have published.

``python -m evals.results --data DIR`` runs the suite of every protocol and writes ``evals/RESULTS.md``. With
``--out DIR`` the runs are kept there, so that an interrupted one goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field
from rich.console import Console

from evals.cli import HELD, Asked, run_folder, run_suites, told
from evals.figures import Figure
from evals.report import show
from evals.runner import RunReport
from policies.errors import HandrailError
from policies.folder import Line, Strict
from tools.assistants import parse_yaml

HERE = Path(__file__).resolve().parent
SUITES, PUBLISHED, PAGE = HERE / "suites", HERE / "published.yaml", HERE / "RESULTS.md"
HEAD = """\
# Results on public sets

Written by `make results DATA=DIR` (`python -m evals.results --data DIR`), which runs `evals/suites/NAME.yaml`
for each line; `handrail eval run evals/suites/NAME.yaml --data DIR` runs one. Intervals are 95 %: Wilson's for
shares, a bootstrap of cases for the rest. *Beside it* is measured in the same run: for intents logistic
regression on the same vectors of the same examples, for search BM25 alone and the cosine of question and window
of text alone, for judgements the share of words in common and the similarity. *Difference* is ours less the last
of these, case by case. Published figures are what their authors report; they were not measured here. No key, no
network and no language model was used.

"""
TAIL = """\
## Sets without a figure here

- `retrieval/plausible`: pages to ingest, without questions.
- `grading/saf`: short answers with marks. No part of the product marks answers yet.
- `actions/retail`: tasks for a language model that calls tools; gpt-4o is reported at pass^1 .604.
"""
_NAMES = {
    "baseline": "logistic regression",
    "lexical": "BM25",
    "dense": "windows' cosine",
    "similarity": "similarity",
}
_OF_WORDS = "shared words"


class Published(Strict):
    """One figure of a protocol, and what others have."""

    suite: Line
    what: Line
    metric: Line
    beside: list[Line] = Field(default_factory=list)
    paired: Line | None = None
    """A metric that is a difference."""
    published: dict[Line, float]


class Protocol(Strict):
    """A public set with what is measured on it."""

    title: Line
    folder: Line
    """Where it is in the data folder."""
    note: Line = ""
    rows: list[Published]


class Page(Strict):
    """All protocols."""

    protocols: list[Protocol]


def read_protocols(path: Path = PUBLISHED) -> list[Protocol]:
    """Read the protocols; raises ``ConfigError`` with file, line and field."""
    return parse_yaml(path, path.read_text(encoding="utf-8"), Page).protocols


def suites_of(protocols: Sequence[Protocol]) -> list[Path]:
    """Return the suites that the protocols name, each once."""
    names = dict.fromkeys(row.suite for protocol in protocols for row in protocol.rows)
    return [SUITES / f"{name}.yaml" for name in names]


def render(protocols: Sequence[Protocol], reports: Mapping[str, RunReport]) -> str:
    """Return the page; ``reports`` are by the names of suites."""
    parts = [HEAD]
    for protocol in protocols:
        note = f"\n{protocol.note}\n" if protocol.note else ""
        lines = [_line(row, reports[row.suite]) for row in protocol.rows]
        columns = ("what", "Handrail", "beside it, same run", "difference", "published", "suite")
        parts.append(f"## {protocol.title}\n{note}\n{_table(columns, lines)}\n")
    return "".join([*parts, TAIL])


def _line(row: Published, report: RunReport) -> list[str]:
    figures = report.figures
    beside = [f"{_name(metric, row)} {_percent(figures[metric].value)}" for metric in row.beside]
    published = [f"{name} {_percent(value)}" for name, value in row.published.items()]
    ours = figures[row.metric]
    return [
        row.what,
        f"**{_percent(ours.value)}** ({_interval(ours)}; {ours.count})",
        ", ".join(beside),
        _difference(figures[row.paired]) if row.paired else "",
        ", ".join(published),
        f"`{row.suite}`",
    ]


def _name(metric: str, row: Published) -> str:
    signal = metric.partition("_")[0]
    # The judge's floor has the name of the search's.
    return _OF_WORDS if signal == "lexical" and "auroc" in row.metric else _NAMES[signal]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _interval(figure: Figure) -> str:
    return f"{100 * figure.low:.1f} to {100 * figure.high:.1f}"


def _difference(figure: Figure) -> str:
    return f"{100 * figure.value:+.1f} ({100 * figure.low:+.1f} to {100 * figure.high:+.1f})"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites, write the page and return 0; gates do not count here, the figures are what they are."""
    parser = argparse.ArgumentParser(prog="python -m evals.results", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of public data")
    parser.add_argument("--out", type=Path, help="keep the runs in this folder, and go on with those in it")
    parser.add_argument("--cache", type=Path, help="keep the exported encoder in this folder")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    asked = parser.parse_args(arguments)
    try:
        protocols = read_protocols()
        paths = suites_of(protocols)
        with run_folder(asked.out) as out:
            found = run_suites(Asked(suites=paths, data=asked.data, out=out, cache=asked.cache))
        reports = {path.stem: report for path, report in zip(paths, found, strict=True)}
        asked.page.write_text(render(protocols, reports), encoding="utf-8")
    except (HandrailError, OSError) as error:
        return told(error)
    for report in found:
        show(Console(), report)
    return HELD


if __name__ == "__main__":
    sys.exit(main())
