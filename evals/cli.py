"""What the ``handrail eval`` commands do; the commands themselves are declared in ``handrail/evaluation.py``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from evals.comparing import Comparison, compare_runs
from evals.figures import Figure
from evals.junit import write_junit
from evals.report import show, show_comparison, show_figures, to_head
from evals.runner import CONCURRENCY, RunReport, read, run_suite
from evals.runs import Run, begin_run, find_runs
from evals.scoring import figure
from evals.suite import load_suite, model_of, spelt_out
from evals.targets import prepare
from evals.targets.base import Announce, Prepared, Workroom
from policies.errors import ConfigError, HandrailError, InputError

HELD, FAILED_TO_RUN, GATE_FAILED = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be run, and what is to become of it."""

    suites: Sequence[Path]
    data: Path | None = None
    """Stands for ``${DATA}`` in suites."""
    out: Path | None = None
    """The folder of the run, or of several suites' runs by name; a temporary one when absent."""
    kept: bool = True
    """Whether the folder is there afterwards."""
    resume: bool = False
    """Whether there must be a run to go on with."""
    json: Path | None = None
    """Gets one object for one suite and a list for several; it is written even if a gate fails."""
    junit: Path | None = None
    baseline: Path | None = None
    """A run, or a folder of runs by name, to compare with; a significant regression fails like a gate."""
    repeat: int | None = None
    concurrency: int = CONCURRENCY
    cache: Path | None = None
    """Keeps the exported encoder and encoded documents; without it they are made for this call."""


def run_command(asked: Asked, console: Console | None = None) -> int:
    """Run suites and return the exit code: 0 if all gates hold, 2 if one fails, 1 for errors.

    All suites are checked before any runs.
    """
    screen = console or Console()
    try:
        with run_folder(asked.out) as out:
            reports = run_suites(replace(asked, out=out, kept=asked.out is not None))
            if asked.json is not None:
                write_json(asked.json, reports)
            compared = [_with_baseline(each, asked) for each in reports] if asked.baseline else []
            if asked.junit is not None:
                write_junit(asked.junit, reports, compared)
    except (HandrailError, OSError) as error:
        return told(error)
    for report in reports:
        show(screen, report)
    for each in compared:
        show_comparison(screen, each)
    held = all(report.passed for report in reports) and not any(each.regressions for each in compared)
    return HELD if held else GATE_FAILED


def told(error: Exception) -> int:
    """Print an error and return the exit code for it."""
    Console(stderr=True).print(Text(str(error), style="red"), soft_wrap=True)
    return FAILED_TO_RUN


def run_suites(asked: Asked) -> list[RunReport]:
    """Run suites, with progress on standard error, and return what they have shown; raises ``HandrailError``.

    ``asked.out`` must be given; rows are read from there.
    """
    assert asked.out is not None
    screen = Console(stderr=True)
    prepared = [prepare(load_suite(path, asked.data and asked.data.resolve())) for path in asked.suites]
    folders = _folders(asked.out, asked.suites)
    runs = [
        begin_run(
            folder,
            each,
            {"repeat": asked.repeat or each.suite.file.repeats, "concurrency": asked.concurrency},
            resume=asked.resume,
        )
        for folder, each in zip(folders, prepared, strict=True)
    ]
    if asked.baseline is not None:
        _ = [_baseline_of(asked.baseline, each.suite.path, len(prepared)) for each in prepared]
    with _cache(asked.cache) as room:
        return [run_prepared(each, run, asked, room, screen) for each, run in zip(prepared, runs, strict=True)]


def _folders(out: Path, suites: Sequence[Path]) -> list[Path]:
    if len(suites) == 1:
        return [out]
    names = [path.stem for path in suites]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"Two suites are called {twice.pop()}.", remedy="Run them apart.")
    return [out / name for name in names]


@contextmanager
def run_folder(given: Path | None) -> Iterator[Path]:
    """Yield the folder that was asked for, or a temporary one."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="handrail-run-") as made:
        yield Path(made)


@contextmanager
def _cache(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="handrail-eval-") as made:
        yield Path(made)


class _Rate(ProgressColumn):
    """Cases a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.1f}/s")


def run_prepared(
    prepared: Prepared, run: Run, asked: Asked, cache: Path, screen: Console | None = None
) -> RunReport:
    """Run a suite into its run, with progress, or measure again what is there already."""
    screen = screen or Console(stderr=True)
    if run.finished:
        screen.print(_told_finished(run), markup=False, soft_wrap=True)
    try:
        return _run_shown(prepared, run, asked, cache, screen)
    except KeyboardInterrupt:
        then = "the same command goes on" if asked.kept else "nothing is kept without --out"
        told = f"{run.head['name']}: stopped after {run.count()} of {run.head['expected_rows']}; {then}."
        screen.print(told, markup=False, soft_wrap=True)
        raise


def _told_finished(run: Run) -> str:
    told = f"{run.folder} holds this run, finished; nothing is run again."
    if run.head["versions"].get("git_changed"):
        told += " What was changed since the last commit is not told apart: to measure it, name another folder."
    return told


def _run_shown(prepared: Prepared, run: Run, asked: Asked, cache: Path, screen: Console) -> RunReport:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    name, total, done = prepared.suite.file.name, run.head["expected_rows"], run.count()
    with run, Progress(*columns, console=screen, disable=done == total) as progress:
        task = progress.add_task(name, total=total, completed=done, start=False)

        def announce(what: str) -> None:
            progress.update(task, description=f"{name}: {what}")

        tick = _tick(progress, task, announce)

        async def work() -> RunReport:
            room = Workroom(cache=cache, announce=announce)
            repeat = run.head["settings"]["repeat"]
            return await run_suite(
                prepared, room, rows=run, repeat=repeat, concurrency=asked.concurrency, tick=tick
            )

        return _finish(run, anyio.run(work), done)


def _finish(run: Run, report: RunReport, done: int) -> RunReport:
    """Put what was measured into the run; what earlier sittings took counts too."""
    new = report.count - done
    report = replace(report, seconds=run.seconds if new else run.head["seconds"])
    if new or not run.finished:
        run.finish(to_head(report))
    return report


def _tick(progress: Progress, task: int, announce: Announce) -> Callable[[], None]:
    started = False

    def tick() -> None:
        nonlocal started
        if not started:
            started = True
            progress.start_task(task)  # type: ignore[arg-type]  # a NewType of int
            announce("running")
        progress.advance(task)  # type: ignore[arg-type]

    return tick


def write_json(path: Path, reports: Sequence[RunReport]) -> None:
    """Write everything about runs, row by row: one object for one, a list for several."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        many = len(reports) != 1
        file.write(b"[" if many else b"")
        for number, report in enumerate(reports):
            head = {**(report.results.head if isinstance(report.results, Run) else {}), **to_head(report)}
            file.write((b",\n" if number else b"") + orjson.dumps(head, option=orjson.OPT_INDENT_2)[:-2])
            file.write(b',\n  "cases": [')
            for place, row in enumerate(report.results):
                file.write((b",\n    " if place else b"\n    ") + row.to_line()[:-1])
            file.write(b"\n  ]\n}")
        file.write(b"]\n" if many else b"\n")


def _baseline_of(folder: Path, suite: Path, count: int) -> Run:
    """Return the run to compare a suite's with; raises ``InputError`` if there is none."""
    runs = find_runs(folder)
    alone = count == 1 and len(runs) == 1
    found = runs if alone else [run for run in runs if run.folder.name == suite.stem]
    if not found:
        raise InputError(
            f"{folder} holds no run of {suite.stem}.", remedy="Name the --out of a run of these suites."
        )
    found[0].require_finished()
    return found[0]


def _with_baseline(report: RunReport, asked: Asked) -> Comparison:
    assert asked.baseline is not None
    assert isinstance(report.results, Run)
    return compare_runs(_baseline_of(asked.baseline, report.suite.path, len(asked.suites)), report.results)


def score_command(folder: Path, metrics: Sequence[str], json: Path | None, console: Console | None = None) -> int:
    """Measure more metrics of what a run has kept, without calling anything; return the exit code.

    ``json`` gets the figures, of several runs by the names of their folders.
    """
    runs: list[Run] = []
    measured: dict[str, dict[str, Figure]] = {}
    try:
        runs = find_runs(folder)
        for run in runs:
            run.require_finished()
            rows, _, _ = read(run)
            names = [name for each in metrics for name in _known(run, each)]
            figures = {name: figure(name, rows) for name in names}
            if silent := [name for name, found in figures.items() if not found.count]:
                raise InputError(
                    f"{run.folder}: no case tells of {', '.join(silent)}.",
                    remedy="Name a metric of what its cases hold: design/evals.md says what each needs.",
                )
            measured[run.folder.name] = figures
        if json is not None:
            _write(json, measured[runs[0].folder.name] if len(runs) == 1 else measured)
    except (HandrailError, OSError) as error:
        return told(error)
    for run in runs:
        show_figures(console or Console(), run.head["name"], measured[run.folder.name])
    return HELD


def _write(path: Path, found: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")


def _known(run: Run, metric: str) -> tuple[str, ...]:
    names = spelt_out(metric)
    try:
        for name in names:
            model_of(str(run.head["target"])).check_metric(name)
    except ValueError as error:
        raise InputError(f"{run.folder}: {error}.", remedy="Mend the name.") from None
    return names


def compare_command(before: Path, after: Path, json: Path | None, console: Console | None = None) -> int:
    """Compare two runs of a suite and return the exit code: 2 if something got worse beyond doubt, 0 if not."""
    try:
        found = compare_runs(*(_only(find_runs(folder)) for folder in (before, after)))
        if json is not None:
            _write(json, found.to_json())
    except (HandrailError, OSError) as error:
        return told(error)
    show_comparison(console or Console(), found)
    return GATE_FAILED if found.regressions else HELD


def _only(runs: Sequence[Run]) -> Run:
    if len(runs) != 1:
        names = ", ".join(str(run.folder) for run in runs)
        raise InputError(f"There are several runs: {names}.", remedy="Name one of them.")
    return runs[0]
