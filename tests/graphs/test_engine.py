"""The engine insists: a run that fails is tried again, and one that stands in line stands there once."""

from __future__ import annotations

import anyio
import pytest

from graphs import engine
from graphs.engine import MOST_FAILURES, Engine
from tools.storage.runs import Pending

pytestmark = pytest.mark.anyio

RUN = Pending("w", "run_1", "con_1")


async def test_a_run_that_fails_is_tried_a_few_times_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []

    async def work(pending: Pending) -> None:
        tried.append(pending.run_id)
        if pending is RUN:
            raise RuntimeError("It never works.")

    monkeypatch.setattr(engine, "RETRY_SECONDS", 0.001)
    async with anyio.create_task_group() as tasks:
        working = Engine(tasks, work, concurrency=1)
        working.submit(RUN)
        working.submit(Pending("w", "run_2", "con_1"))
        await working.settled()
    assert tried == ["run_1"] * MOST_FAILURES + ["run_2"]


async def test_a_run_that_is_submitted_twice_is_worked_on_once() -> None:
    tried: list[str] = []

    async def work(pending: Pending) -> None:
        tried.append(pending.run_id)

    async with anyio.create_task_group() as tasks:
        working = Engine(tasks, work, concurrency=1)
        working.submit(RUN)
        working.submit(RUN)
        await working.settled()
    assert tried == ["run_1"]
