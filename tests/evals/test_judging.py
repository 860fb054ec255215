"""A language model judges what came out; what people found of the same cases says how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessage

from evals.fakes import StubTarget, stubbed
from evals.judging import Judge
from evals.runner import run_suite
from evals.suite import JudgeSettings, load_suite
from evals.targets.base import Workroom
from tests.tools.models.requests import opened_scripts
from tools.models.fakes import Line, Reply, ScriptedModel

pytestmark = pytest.mark.anyio
SUITE = """\
name: judged
target: router
intents: cases.jsonl
dataset: cases.jsonl
judge: {question: "Is it polite?", third_party: true}
metrics: [accuracy, judged]
"""
CASES = "".join(
    f'{{"id": "{number}", "input": "message {number}", "expected": {{"intent": "x", "judged": {human}}}}}\n'
    for number, human in enumerate(["true", "true", "false", "false", "true", "false"])
)


def verdicts(messages: Sequence[BaseMessage]) -> Line:
    """Say yes to all but the last two, and so be wrong of two that people have judged."""
    asked = str(messages[-1].content)
    passed = not any(f"message {number}" in asked for number in (4, 5))
    return Reply(data={"reason": "because", "passed": passed})


async def test_a_judge_is_reported_beside_the_people(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text(CASES)
    (tmp_path / "suite.yaml").write_text(SUITE)
    prepared = stubbed(load_suite(tmp_path / "suite.yaml"), StubTarget(answer=lambda _: "x"))
    settings = prepared.suite.file.judge
    assert settings is not None
    large = ScriptedModel(verdicts)
    async with opened_scripts(large=large) as models:
        room = Workroom(cache=tmp_path, announce=lambda _: None)
        report = await run_suite(prepared, room, judge=Judge(models=models, settings=settings))
    assert report.figures["judged"].value == pytest.approx(4 / 6)
    # They agree on three of six... people said yes to half, the judge to two thirds.
    chance = 1 / 2 * 2 / 3 + 1 / 2 * 1 / 3
    assert report.figures["judge_kappa"].value == pytest.approx((3 / 6 - chance) / (1 - chance))
    first = next(iter(report.results))
    assert first.output["judge"]["reason"] == "because"
    assert first.output["judge"]["prompt"].startswith("judge@")
    told = str(large.log.calls[0])
    assert "Is it polite?" in told
    assert "'judged'" not in told
    assert '"judged"' not in told


async def test_without_a_model_nothing_is_judged(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text(CASES)
    (tmp_path / "suite.yaml").write_text(SUITE)
    prepared = stubbed(load_suite(tmp_path / "suite.yaml"), StubTarget(answer=lambda _: "x"))
    report = await run_suite(prepared, Workroom(cache=tmp_path, announce=lambda _: None))
    assert (report.figures["judged"].count, report.figures["accuracy"].value) == (0, 1.0)


async def test_cases_do_not_leave_the_house_unless_the_suite_says_so(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text(CASES)
    (tmp_path / "suite.yaml").write_text(SUITE)
    prepared = stubbed(load_suite(tmp_path / "suite.yaml"), StubTarget(answer=lambda _: "x"))
    large = ScriptedModel(verdicts)
    async with opened_scripts(large=large) as models:
        judge = Judge(models=models, settings=JudgeSettings(question="Is it polite?"))
        report = await run_suite(prepared, Workroom(cache=tmp_path, announce=lambda _: None), judge=judge)
    assert (report.figures["judged"].count, large.log.calls) == (0, [])
