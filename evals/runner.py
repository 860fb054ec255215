"""Runs a suite: every case through the target as often as asked, then metrics and gates."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from evals.cases import Case
from evals.figures import Figure
from evals.gates import Verdict
from evals.judging import Judge, open_judge_of
from evals.rows import Row, Rows
from evals.scoring import by_tag, figure
from evals.suite import Suite
from evals.targets.base import Prepared, Target, Workroom
from policies.errors import HandrailError

CONCURRENCY = 4
WRONG_KEPT = 20
Keep = Callable[[Row], Awaitable[None]]
Place = tuple[int, int]
"""A case of the suite and which of its repeats."""


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What a suite has shown."""

    suite: Suite
    results: Iterable[Row]
    """The rows, as they were kept; in a list they stand in the order of the cases."""
    figures: dict[str, Figure]
    tags: dict[str, dict[str, Figure]]
    """Figures by metric and tag."""
    verdicts: tuple[Verdict, ...]
    concurrency: int
    seconds: float
    repeat: int = 1
    count: int = 0
    """How many rows there are."""
    wrong_count: int = 0
    wrong: list[Row] = field(default_factory=list)
    """The first rows that did not go as expected, one of each case."""

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        return all(verdict.held for verdict in self.verdicts)


class CaseFailed(HandrailError):
    """The product broke down on a case, so there is nothing to score."""

    code = "eval.case_failed"


async def run_suite(
    prepared: Prepared,
    room: Workroom,
    *,
    rows: Rows | None = None,
    repeat: int | None = None,
    concurrency: int = CONCURRENCY,
    tick: Callable[[], None] | None = None,
    judge: Judge | None = None,
) -> RunReport:
    """Run all cases, ``concurrency`` at a time, and measure; ``tick`` is called after each.

    ``rows`` is where rows go; what is in it already is not run again. ``repeat`` overrides the suite's, and
    ``judge`` the one that the suite asks for.
    Latencies are those at this concurrency. Raises ``CaseFailed`` as soon as one case can't be run.
    """
    began = time.monotonic()
    kept: Rows = [] if rows is None else rows
    times = repeat or prepared.suite.file.repeats
    done = {(row.place, row.repeat) for row in kept}
    if len(done) < len(prepared.cases) * times:
        async with open_judge_of(prepared.suite) as own:
            keep = _keeper(kept, judge or own, tick)
            await _run_cases(prepared, room, _left(prepared, times, done), concurrency, keep)
    if isinstance(kept, list):
        kept.sort(key=_order)
    room.announce("measuring")
    seconds = time.monotonic() - began
    return await anyio.to_thread.run_sync(measure, prepared.suite, kept, concurrency, seconds, times)


async def _run_cases(
    prepared: Prepared,
    room: Workroom,
    left: Iterator[Place],
    concurrency: int,
    keep: Keep,
) -> None:
    names = _datasets(prepared.suite)

    async def work(target: Target) -> None:
        for place, repeat in left:
            case = prepared.cases[place]
            dataset = names.get(str(case.file), case.file.name)
            await keep(await _run_case(target, case, place, repeat, dataset))
            # A target that never waits would keep signals and the other tasks from being heard.
            await anyio.lowlevel.checkpoint()

    failures: list[HandrailError] = []
    try:
        async with prepared.open(room) as target, anyio.create_task_group() as tasks:
            for _ in range(concurrency):
                tasks.start_soon(work, target)
    except* HandrailError as group:
        failures = _leaves(group)
    if failures:
        raise failures[0]


def _keeper(rows: Rows, judge: Judge | None, tick: Callable[[], None] | None) -> Keep:
    async def keep(row: Row) -> None:
        rows.append(row if judge is None else await judge.judge(row))
        if tick is not None:
            tick()

    return keep


def _left(prepared: Prepared, repeat: int, done: Collection[Place]) -> Iterator[Place]:
    """Yield what is still to run, every case once before any is repeated."""
    every = itertools.product(range(repeat), range(len(prepared.cases)))
    return ((place, again) for again, place in every if (place, again) not in done)


def _datasets(suite: Suite) -> dict[str, str]:
    """Return what the suite calls its files of cases."""
    names = [each for each in suite.file.dataset if isinstance(each, str)]
    return {str(suite.locate(name, "dataset")): name for name in names}


def _leaves(group: BaseExceptionGroup[HandrailError]) -> list[HandrailError]:
    """Take the errors out of the groups that task groups put around them."""
    found: list[HandrailError] = []
    for each in group.exceptions:
        found += _leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return found


async def _run_case(target: Target, case: Case[Any], place: int, repeat: int, dataset: str) -> Row:
    began = time.perf_counter()
    try:
        seen = await target.run(case)
    except Exception as error:  # whatever it is, the reader must learn which case it was
        remedy = getattr(error, "remedy", None) or "Mend the case, or the product."
        raise CaseFailed(f"{case.file}:{case.line}: the case can't be run: {error!r}.", remedy=remedy) from error
    return Row(
        place=place,
        repeat=repeat,
        id=case.data.id,
        dataset=dataset,
        file=str(case.file),
        line=case.line,
        tags=case.data.tags,
        **case.raw,
        output=seen.output,
        scores=seen.scores,
        label=seen.label,
        wrong=seen.wrong,
        latency_ms=round(1000 * (time.perf_counter() - began), 3),
        cost=seen.cost,
        trace_id=seen.trace_id,
    )


def measure(suite: Suite, rows: Iterable[Row], concurrency: int, seconds: float, repeat: int) -> RunReport:
    """Measure what a suite asks for, over rows that are there."""
    held, wrong, wrong_count = read(rows)
    figures = {metric: figure(metric, held) for metric in suite.metrics}
    tags = {metric: found for metric in suite.metrics if (found := by_tag(metric, held))}
    return RunReport(
        suite=suite,
        results=rows,
        figures=figures,
        tags=tags,
        verdicts=tuple(gate.judge(figures) for gate in suite.gates),
        concurrency=concurrency,
        seconds=seconds,
        repeat=repeat,
        count=len(held),
        wrong_count=wrong_count,
        wrong=wrong,
    )


def read(rows: Iterable[Row]) -> tuple[list[Row], list[Row], int]:
    """Return all rows without what no metric reads, the first wrong ones whole, and how many are wrong."""
    held: list[Row] = []
    wrong: list[Row] = []
    count = 0
    for row in rows:
        held.append(row.slim())
        if row.wrong:
            count += 1
            wrong.append(row)
            if len(wrong) > 2 * WRONG_KEPT:
                wrong = _first(wrong)
    return sorted(held, key=_order), _first(wrong), count


def _first(wrong: Sequence[Row]) -> list[Row]:
    """Return the first wrong rows, of a case that was repeated only the first."""
    firsts: dict[int, Row] = {}
    for row in sorted(wrong, key=_order):
        firsts.setdefault(row.place, row)
    return list(firsts.values())[:WRONG_KEPT]


def _order(row: Row) -> tuple[int, int]:
    return row.place, row.repeat
