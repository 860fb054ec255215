"""Guards run side by side as validators, and whatever can't be judged has failed."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from policies.errors import ConfigError
from policies.guards import Binding, Finding, Guarding, GuardRequest, Stage
from policies.types import Outcome, Reason
from tools.guards.rails import Rails

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.anyio


@dataclass
class Sayer:
    """A guard that says what it is told to say."""

    name: str
    says: Callable[[GuardRequest], Awaitable[float]]
    stages: tuple[Stage, ...] = ("input", "passage", "output")
    asked: list[str] = field(default_factory=list)

    async def __call__(self, request: GuardRequest) -> Finding:
        self.asked.append(request.text)
        return _found(self.name, await self.says(request))


def _found(name: str, score: float) -> Finding:
    return Finding(guard=name, score=score, reason=Reason(code=f"guard.{name}", text=f"It is {name}."))


def _bound(
    guard: str,
    effect: Outcome = Outcome.REVISE,
    stage: Stage = "output",
    threshold: float = 0.5,
    seconds: float = 60,
) -> Binding:
    return Binding(guard=guard, stage=stage, threshold=threshold, effect=effect, seconds=seconds)


async def marked(request: GuardRequest) -> float:
    return float("marker" in request.text)


async def crashes(_request: GuardRequest) -> float:
    raise RuntimeError("no")


async def hangs(_request: GuardRequest) -> float:
    await anyio.sleep_forever()
    return 0.0


async def works_in_a_thread(_request: GuardRequest) -> float:
    await anyio.to_thread.run_sync(time.sleep, 0.1)
    return 0.0


async def blocks(_request: GuardRequest) -> float:
    time.sleep(0.1)  # noqa: ASYNC251  # that is what it is about
    return 0.0


async def half(_request: GuardRequest) -> float:
    return 0.5


async def no_number(_request: GuardRequest) -> float:
    return math.nan


async def test_a_text_passes_when_every_guard_lets_it() -> None:
    rails = Rails([Sayer("one", marked), Sayer("two", marked)], [_bound("one"), _bound("two")])
    assert await rails.check(GuardRequest(stage="output", text="fine")) == Guarding()
    assert await rails.check(GuardRequest(stage="output", text="")) == Guarding()


async def test_the_strictest_effect_of_those_that_fail_holds() -> None:
    guards = [Sayer("one", marked), Sayer("two", marked), Sayer("three", half)]
    bindings = [_bound("one", Outcome.BLOCK), _bound("two"), _bound("three", Outcome.ESCALATE, threshold=0.6)]
    found = await Rails(guards, bindings).check(GuardRequest(stage="output", text="a marker"))
    assert found == Guarding(outcome=Outcome.BLOCK, failed=(_found("one", 1.0), _found("two", 1.0)))


async def test_a_score_at_the_threshold_fails() -> None:
    found = await Rails([Sayer("half", half)], [_bound("half")]).check(GuardRequest(stage="output", text="x"))
    assert found.failed == (_found("half", 0.5),)


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (crashes, "The guard sick crashed, which counts as failed."),
        (hangs, "The guard sick took longer than 0.05 s, which counts as failed."),
        (works_in_a_thread, "The guard sick took longer than 0.05 s, which counts as failed."),
        (blocks, "The guard sick took longer than 0.05 s, which counts as failed."),
        (no_number, "The guard sick gave no number, which counts as failed."),
    ],
)
async def test_a_guard_that_crashes_or_hangs_has_failed(
    says: Callable[[GuardRequest], Awaitable[float]], told: str
) -> None:
    rails = Rails([Sayer("sick", says), Sayer("well", marked)], [_bound("sick", seconds=0.05), _bound("well")])
    found = await rails.check(GuardRequest(stage="output", text="fine"))
    reason = Reason(code="guard.crashed", text=told)
    assert found == Guarding(outcome=Outcome.REVISE, failed=(Finding(guard="sick", score=1.0, reason=reason),))


async def test_a_guard_that_the_library_does_not_run_has_failed() -> None:
    rails = Rails([Sayer("one", marked)], [_bound("one")])
    rails._rails["output"] = type(rails._rails["output"])()
    found = await rails.check(GuardRequest(stage="output", text="fine"))
    assert [each.reason.text for each in found.failed] == [
        "The guard one could not be run, which counts as failed."
    ]


async def test_only_the_guards_of_the_place_are_asked() -> None:
    one, two = Sayer("one", marked), Sayer("two", marked)
    rails = Rails([one, two], [_bound("one", stage="input"), _bound("two")])
    await rails.check(GuardRequest(stage="input", text="hello"))
    await rails.check(GuardRequest(stage="tool", text="a marker"))
    assert (one.asked, two.asked) == (["hello"], [])


async def test_a_passage_is_judged_once_but_never_on_a_crash() -> None:
    well, sick = Sayer("well", marked), Sayer("sick", crashes)
    request = GuardRequest(stage="passage", text="an article")
    for rails in (
        Rails([well], [_bound("well", stage="passage")]),
        Rails([sick], [_bound("sick", stage="passage")]),
    ):
        assert await rails.check(request) == await rails.check(request)
    assert (len(well.asked), len(sick.asked)) == (1, 2)


async def test_guards_are_told_to_forget_and_what_was_found_in_articles_stays() -> None:
    class Rememberer(Sayer):
        forgotten = 0

        def forget(self) -> None:
            self.forgotten += 1

    mindful, plain = Rememberer("mindful", marked), Sayer("plain", marked)
    rails = Rails([mindful, plain], [_bound("mindful", stage="passage"), _bound("plain", stage="passage")])
    request = GuardRequest(stage="passage", text="an article")
    await rails.check(request)
    rails.forget()
    await rails.check(request)
    assert (mindful.forgotten, mindful.asked, plain.asked) == (1, ["an article"], ["an article"])


async def test_texts_that_are_judged_at_the_same_time_are_kept_apart() -> None:
    async def slowly(request: GuardRequest) -> float:
        await anyio.sleep(0.001)
        return await marked(request)

    rails = Rails([Sayer("one", slowly), Sayer("two", marked)], [_bound("one"), _bound("two")])
    failed: dict[int, int] = {}

    async def check(number: int) -> None:
        text = "a marker" if number % 3 == 0 else "fine"
        failed[number] = len((await rails.check(GuardRequest(stage="output", text=text))).failed)

    async with anyio.create_task_group() as tasks:
        for number in range(60):
            tasks.start_soon(check, number)
    assert failed == {number: 2 if number % 3 == 0 else 0 for number in range(60)}


def test_a_binding_to_a_guard_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="There is no guard 'two'") as refused:
        Rails([Sayer("one", marked)], [_bound("two")])
    assert refused.value.remedy == "There are: one."
    with pytest.raises(ConfigError, match="can't be used at 'tool'"):
        Rails([Sayer("one", marked)], [_bound("one", stage="tool")])


def test_the_library_loads_nothing_heavy_and_has_no_wire_to_its_makers() -> None:
    code = (
        "import sys, threading, tools.guards.rails as rails; from guardrails import AsyncGuard; AsyncGuard();"
        "print([name for name in ('torch', 'litellm', 'openai', 'transformers') if name in sys.modules],"
        "rails.HubTelemetry()._tracer, threading.active_count())"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "[] None 1\n"
