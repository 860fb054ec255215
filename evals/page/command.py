"""What ``handrail eval report`` does; the command itself is declared in ``handrail/evaluation.py``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evals.cli import HELD, told
from evals.page.build import render_page
from evals.runs import Run, find_runs
from policies.errors import ConfigError, HandrailError, InputError

PAGE = "report.html"


def report_command(folder: Path, out: Path | None = None, baseline: Path | None = None) -> int:
    """Write the page of a run, or of each run in a folder, print where it is, and return the exit code."""
    try:
        runs = find_runs(folder)
        if out is not None and len(runs) > 1:
            remedy = "Leave --out out: each page goes into its run's folder."
            raise ConfigError(f"{folder} holds {len(runs)} runs, but {out} is one file.", remedy=remedy)
        before = [None if baseline is None else _baseline_of(run, runs, baseline) for run in runs]
        for run, other in zip(runs, before, strict=True):
            path = out or run.folder / PAGE
            page = render_page(run, other)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page, encoding="utf-8")
            print(path)  # noqa: T201 - a script reads it
    except (HandrailError, OSError) as error:
        return told(error)
    return HELD


def _baseline_of(run: Run, runs: Sequence[Run], folder: Path) -> Run:
    found = find_runs(folder)
    if len(runs) == 1 and len(found) == 1:
        return found[0]
    named = [each for each in found if each.folder.name == run.folder.name]
    if not named:
        remedy = "Name the --out of a run of the same suites."
        raise InputError(f"{folder} holds no run called {run.folder.name}.", remedy=remedy)
    return named[0]
