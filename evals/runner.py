"""Runs a suite: every case through the target, then metrics and gates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread

from evals.cases import Case
from evals.gates import Verdict
from evals.metrics import Figure
from evals.scoring import Result, by_tag, figure
from evals.suite import Suite
from evals.targets.base import Prepared, Target, Workroom
from policies.errors import HandrailError

CONCURRENCY = 4


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What a suite has shown."""

    suite: Suite
    results: tuple[Result, ...]
    figures: dict[str, Figure]
    tags: dict[str, dict[str, Figure]]
    """Figures by metric and tag."""
    verdicts: tuple[Verdict, ...]
    concurrency: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        return all(verdict.held for verdict in self.verdicts)

    @property
    def wrong(self) -> list[Result]:
        """The cases that did not go as expected."""
        return [each for each in self.results if each.seen.wrong]


class CaseFailed(HandrailError):
    """The product broke down on a case, so there is nothing to score."""

    code = "eval.case_failed"


async def run_suite(
    prepared: Prepared,
    room: Workroom,
    *,
    concurrency: int = CONCURRENCY,
    tick: Callable[[], None] | None = None,
) -> RunReport:
    """Run all cases, ``concurrency`` at a time; ``tick`` is called after each.

    Latencies are those at this concurrency. Raises ``CaseFailed`` as soon as one case can't be run.
    """
    began = time.monotonic()
    results: list[Result | None] = [None] * len(prepared.cases)
    waiting = iter(enumerate(prepared.cases))

    async def work(target: Target, cases: Iterator[tuple[int, Case[Any]]]) -> None:
        for place, case in cases:
            results[place] = await _run_case(target, case)
            if tick is not None:
                tick()

    failures: list[HandrailError] = []
    try:
        async with prepared.open(room) as target, anyio.create_task_group() as tasks:
            for _ in range(concurrency):
                tasks.start_soon(work, target, waiting)
    except* HandrailError as group:
        failures = _leaves(group)
    if failures:
        raise failures[0]
    done = tuple(each for each in results if each is not None)
    room.announce("measuring")
    return await anyio.to_thread.run_sync(_report, prepared.suite, done, concurrency, time.monotonic() - began)


def _leaves(group: BaseExceptionGroup[HandrailError]) -> list[HandrailError]:
    """Take the errors out of the groups that task groups put around them."""
    found: list[HandrailError] = []
    for each in group.exceptions:
        found += _leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return found


async def _run_case(target: Target, case: Case[Any]) -> Result:
    began = time.perf_counter()
    try:
        seen = await target.run(case)
    except Exception as error:  # whatever it is, the reader must learn which case it was
        remedy = getattr(error, "remedy", None) or "Mend the case, or the product."
        raise CaseFailed(f"{case.file}:{case.line}: the case can't be run: {error!r}.", remedy=remedy) from error
    return Result(case=case, seen=seen, seconds=time.perf_counter() - began)


def _report(suite: Suite, results: tuple[Result, ...], concurrency: int, seconds: float) -> RunReport:
    figures = {metric: figure(metric, results) for metric in suite.metrics}
    tags = {metric: found for metric in suite.metrics if (found := by_tag(metric, results))}
    return RunReport(
        suite=suite,
        results=results,
        figures=figures,
        tags=tags,
        verdicts=tuple(gate.judge(figures) for gate in suite.gates),
        concurrency=concurrency,
        seconds=seconds,
    )
