"""A target that does nothing, for tests of the running itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from evals.cases import Case, RouterCase, cases_of
from evals.rows import Label
from evals.suite import Suite
from evals.targets.base import Observation, Prepared, Target, Workroom

Answer = Callable[[Case[Any]], str | None]


@dataclass(frozen=True, kw_only=True)
class StubTarget:
    """Answers a router's cases by a function, after a pause if it has one."""

    answer: Answer
    seconds: float = 0.0
    filling: str = ""
    """Put into every output, to see what becomes of long ones."""

    async def run(self, case: Case[RouterCase]) -> Observation:
        """Tell the intent of one message."""
        if self.seconds:
            await anyio.sleep(self.seconds)
        told, expected = self.answer(case), case.data.expected.intent
        scores = {"known": float(expected is not None), "accuracy": float(told == expected)}
        wrong = None if told == expected else f"{told}; not {expected}"
        output = {"intent": told, "best": told, "filling": self.filling}
        return Observation(output=output, scores=scores, wrong=wrong, label=Label(expected, told), cost=0.0)


def stubbed(suite: Suite, target: Target) -> Prepared:
    """Prepare a suite of the router with another target in its place."""

    @asynccontextmanager
    async def opened(_: Workroom) -> AsyncIterator[Target]:
        yield target

    return Prepared(suite=suite, cases=cases_of(suite, RouterCase), open=opened)
