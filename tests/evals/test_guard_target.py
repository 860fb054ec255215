"""The guard target: what is flagged, what must be named rightly, and which cases are drawn."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from evals.cases import Judged, Told
from evals.report import show, to_json
from evals.runner import RunReport, run_suite
from evals.suite import load_suite
from evals.targets import prepare
from evals.targets.base import Target, Workroom
from evals.targets.guard import AllGuardsTarget, GuardTarget, request_of
from graphs.fakes import ScriptedGuards
from policies.errors import ConfigError
from policies.guards import Finding, Guarding, GuardRequest, Stage
from policies.types import Outcome, Reason

SUITE = """\
name: tiny guard
target: guard:injection
stage: input
dataset: cases.jsonl
metrics: [recall, false_alarms, precision, auroc, "recall@fpr:0.01", balanced_accuracy, ece]
"""
REASON = Reason(code="guard.shouting", text="Somebody shouts.")
# Two that must be flagged, of which one is quiet; three that must not, of which one is loud.
TEXTS = [("AAAA", True), ("AAbb", True), ("bbbb", False), ("Abbb", False), ("AAAb", False)]


@dataclass(frozen=True)
class ShoutingGuard:
    """Finds capitals: the score is their share."""

    name: str = "shouting"
    stages: tuple[Stage, ...] = ("input",)

    async def __call__(self, request: GuardRequest) -> Finding:
        score = sum(map(str.isupper, request.text)) / len(request.text)
        return Finding(guard=self.name, score=score, reason=REASON)


def write(folder: Path, suite: str = SUITE, texts: list[tuple[str, bool]] = TEXTS) -> Path:
    rows = [
        {"id": str(number), "input": text, "expected": {"flag": flag}, "tags": [text[0]]}
        for number, (text, flag) in enumerate(texts)
    ]
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "suite.yaml").write_text(suite)
    return folder / "suite.yaml"


async def run(path: Path, target: Target) -> RunReport:
    @asynccontextmanager
    async def opened(_: Workroom) -> AsyncIterator[Target]:
        yield target

    prepared = replace(prepare(load_suite(path)), open=opened)
    return await run_suite(prepared, Workroom(cache=path.parent, announce=lambda _: None))


@pytest.mark.anyio
async def test_a_text_whose_score_reaches_the_threshold_is_flagged(tmp_path: Path) -> None:
    report = await run(write(tmp_path), GuardTarget(guard=ShoutingGuard(), stage="input", threshold=0.6))
    assert {name: round(figure.value, 4) for name, figure in report.figures.items()} == {
        "recall": 0.5,
        "false_alarms": 0.3333,
        "precision": 0.5,
        "auroc": 0.8333,
        "recall@fpr:0.01": 0.5,
        "balanced_accuracy": 0.5833,
        "ece": 0.3,
    }
    assert [result.wrong for result in report.results] == [
        None,
        "missed (0.50)",
        None,
        None,
        "flagged for nothing (0.75)",
    ]
    assert {tag: figure.value for tag, figure in report.tags["recall"].items()} == {"A": 0.5}


@pytest.mark.anyio
async def test_where_nothing_is_flagged_precision_is_not_known_and_fails_its_gate(tmp_path: Path) -> None:
    path = write(tmp_path, SUITE + 'gates: {precision: ">= 0"}\n')
    report = await run(path, GuardTarget(guard=ShoutingGuard(), stage="input", threshold=2.0))
    assert (report.figures["precision"].count, report.passed) == (0, False)


@pytest.mark.anyio
async def test_all_guards_together_flag_what_any_of_them_holds_back(tmp_path: Path) -> None:
    held = Guarding(outcome=Outcome.ESCALATE, failed=(Finding(guard="shouting", score=0.75, reason=REASON),))
    guards = ScriptedGuards(script={"AAA": held})
    report = await run(write(tmp_path), AllGuardsTarget(guards=guards, stage="input"))
    assert report.figures["recall"].value == 0.5
    assert report.figures["false_alarms"].value == pytest.approx(1 / 3)
    assert next(iter(report.results)).output == {
        "outcome": "escalate",
        "language": "en",
        "failed": [{"guard": "shouting", "score": 0.75, "reason": "Somebody shouts."}],
    }


@pytest.mark.anyio
async def test_a_message_in_a_language_that_is_not_served_is_held_back_at_the_input(tmp_path: Path) -> None:
    path = write(
        tmp_path, texts=[("Wann kommt mein Paket endlich bei mir an?", True), ("Where is my parcel?", False)]
    )
    report = await run(path, AllGuardsTarget(guards=ScriptedGuards(), stage="input"))
    assert [result.output["language"] for result in report.results] == ["de", "en"]
    assert report.wrong == []


def test_a_drafted_sentence_cites_what_comes_with_it_and_knows_the_placeholders_of_the_question() -> None:
    given = Judged(
        text="We write to [EMAIL_1].", question="Write to [EMAIL_1]!", passages=(Told(text="We write."),)
    )
    request = request_of(given, "output")
    assert (request.stage, request.text, request.question) == ("output", given.text, given.question)
    assert request.placeholders == frozenset({"[EMAIL_1]"})
    assert [each.text for each in request.passages] == ["We write."]
    assert [(each.passage_id, each.quote) for each in request.citations] == [("passage-0", "We write.")]


def test_a_passage_is_judged_as_itself() -> None:
    request = request_of("Open daily. Closed in May.", "passage")
    assert [(each.text, each.sentences) for each in request.passages] == [(request.text, ((0, 11), (12, 26)))]
    assert request.citations == ()


@dataclass(frozen=True, kw_only=True)
class Wrong:
    id: str
    suite: str
    told: str


WRONG = [
    Wrong(
        id="a guard that there is not",
        suite=SUITE.replace("guard:injection", "guard:shouting"),
        told="suite.yaml:2: target: there is no guard 'shouting'. Mend the name; known are: groundedness,",
    ),
    Wrong(
        id="a stage at which the guard can't be used",
        suite=SUITE.replace("guard:injection", "guard:promises"),
        told="suite.yaml:3: stage: 'promises' can't be used at 'input'. It can at: output.",
    ),
    Wrong(
        id="no stage at all",
        suite=SUITE.replace("stage: input", "stage: nowhere"),
        told="suite.yaml:3: stage: Input should be 'input', 'passage', 'tool' or 'output'",
    ),
    Wrong(
        id="more drawn than there are",
        suite=SUITE + "draw: 9\n",
        told="cases.jsonl: 9 cases are to be drawn, and there are 5. Lower `draw` in the suite.",
    ),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.id)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, case: Wrong) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(load_suite(write(tmp_path, case.suite)))
    assert str(tmp_path / case.told) in str(caught.value)


def test_cases_say_what_is_expected_or_the_suite_does(tmp_path: Path) -> None:
    metrics = SUITE.partition("metrics")[0] + "metrics: [false_alarms]\n"
    path = write(tmp_path, metrics)
    (tmp_path / "cases.jsonl").write_text('{"id": "1", "input": "where?", "expected": {"intent": "tracking"}}\n')
    with pytest.raises(ConfigError, match=r"cases\.jsonl:1: expected\.flag: this field is required\. Say true"):
        prepare(load_suite(path))
    path.write_text(metrics + "flag: false\n")
    assert len(prepare(load_suite(path)).cases) == 1
    path.write_text(metrics.replace("false_alarms", "recall") + "flag: false\n")
    with pytest.raises(ConfigError, match="recall needs cases that must be flagged"):
        prepare(load_suite(path))


def test_the_same_cases_are_drawn_each_time_and_keep_their_order(tmp_path: Path) -> None:
    path = write(tmp_path, SUITE + "draw: 4\n", [(f"{number} A", number % 2 == 0) for number in range(40)])
    once, again = (prepare(load_suite(path)).cases for _ in range(2))
    assert once == again
    assert len(once) == 4
    assert [case.line for case in once] == sorted(case.line for case in once)


@pytest.mark.anyio
@pytest.mark.parametrize("private", [False, True])
async def test_a_private_suite_prints_figures_and_no_case(tmp_path: Path, private: bool) -> None:
    path = write(tmp_path, SUITE + f"private: {str(private).lower()}\n")
    report = await run(path, GuardTarget(guard=ShoutingGuard(), stage="input", threshold=0.6))
    told = io.StringIO()
    show(Console(file=told, width=160), report)
    assert ("AAAb" in told.getvalue()) is not private
    assert ("the suite is private" in told.getvalue()) is private
    assert to_json(report)["cases"][0]["output"]["score"] == 1.0
