"""What ``handrail eval run`` does; the command itself is declared in ``handrail/cli.py``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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

from evals.report import show, to_json
from evals.runner import CONCURRENCY, RunReport, run_suite
from evals.suite import load_suite
from evals.targets import prepare
from evals.targets.base import Announce, Prepared, Workroom
from policies.errors import HandrailError

HELD, FAILED_TO_RUN, GATE_FAILED = 0, 1, 2


def run_command(
    suites: Sequence[Path],
    data: Path | None = None,
    json: Path | None = None,
    *,
    cache: Path | None = None,
    concurrency: int = CONCURRENCY,
    console: Console | None = None,
) -> int:
    """Run suites and return the exit code: 0 if all gates hold, 2 if one fails, 1 for errors.

    All suites are checked before any runs. ``data`` stands for ``${DATA}`` in suites. ``json`` gets one
    object for one suite and a list for several; it is written even if a gate fails. ``cache`` keeps the
    exported encoder and encoded documents; without it they are made for this call.
    """
    try:
        reports = run_suites(suites, data, cache=cache, concurrency=concurrency)
        if json is not None:
            write_json(json, reports)
    except (HandrailError, OSError) as error:
        Console(stderr=True).print(Text(str(error), style="red"), soft_wrap=True)
        return FAILED_TO_RUN
    for report in reports:
        show(console or Console(), report)
    return HELD if all(report.passed for report in reports) else GATE_FAILED


def run_suites(
    suites: Sequence[Path],
    data: Path | None = None,
    *,
    cache: Path | None = None,
    concurrency: int = CONCURRENCY,
) -> list[RunReport]:
    """Run suites, with progress on standard error, and return what they have shown; raises ``HandrailError``."""
    told = Console(stderr=True)
    prepared = [prepare(load_suite(path, data and data.resolve())) for path in suites]
    with _cache(cache) as room:
        return [_run(each, room, concurrency, told) for each in prepared]


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


def _run(prepared: Prepared, cache: Path, concurrency: int, told: Console) -> RunReport:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=told) as progress:
        name = prepared.suite.file.name
        task = progress.add_task(name, total=len(prepared.cases), start=False)

        def announce(what: str) -> None:
            progress.update(task, description=f"{name}: {what}")

        async def run() -> RunReport:
            room = Workroom(cache=cache, announce=announce)
            return await run_suite(prepared, room, concurrency=concurrency, tick=_tick(progress, task, announce))

        return anyio.run(run)


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
    """Write everything about runs: one object for one, a list for several."""
    made = [to_json(report) for report in reports]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(made[0] if len(made) == 1 else made, option=orjson.OPT_INDENT_2) + b"\n")
