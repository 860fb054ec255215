"""A long text is judged in a thread, so that nothing else waits for it."""

from __future__ import annotations

import threading

import anyio
import pytest

from policies.guards import Finding, GuardRequest, Stage
from policies.types import Reason
from tools.guards.long_texts import LONGEST_HERE, Aside


class Told:
    """A guard that tells in which thread it judged."""

    name = "told"
    stages: tuple[Stage, ...] = ("output",)

    def judge(self, request: GuardRequest) -> Finding:
        """Judge nothing."""
        thread = "main" if threading.current_thread() is threading.main_thread() else "another"
        return Finding(guard=self.name, score=0.0, reason=Reason(code=thread, text=request.text))


@pytest.mark.parametrize(("length", "thread"), [(LONGEST_HERE, "main"), (LONGEST_HERE + 1, "another")])
def test_the_length_of_a_text_says_where_it_is_judged(length: int, thread: str) -> None:
    guard = Aside(Told())
    found = anyio.run(guard, GuardRequest(stage="output", text="a" * length))
    assert (guard.name, guard.stages, found.reason.code) == ("told", ("output",), thread)
