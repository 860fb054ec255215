"""The conversation target: what counts as correct, and a tiny assistant asked through the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from evals.cases import ExpectedAnswer
from evals.runner import run_suite
from evals.suite import load_suite
from evals.targets import prepare
from evals.targets.base import Workroom
from evals.targets.conversation import judge
from graphs.views import RunView
from policies.errors import ConfigError


def view(outcome: str, text: str = "", documents: tuple[str, ...] = ()) -> RunView:
    return RunView(
        run_id="run_1",
        conversation_id="conv_1",
        status="finished",
        outcome=outcome,
        text=text,
        citations=[{"document": document} for document in documents],
        route=None,
        review_id=None,
        trace_id="0",
    )


ANSWER = view("answered", "It takes  30\nMinutes, or less.", ("sign-in.md", "sign-in.md"))


@dataclass(frozen=True, kw_only=True)
class Judged:
    id: str
    expected: dict[str, Any]
    score: dict[str, float]
    wrong: str | None = None
    run: RunView = field(default=ANSWER)


JUDGED = [
    Judged(
        id="all as expected",
        expected={"outcome": "answered", "documents": ["faq.md", "sign-in.md"], "facts": ["30 minutes"]},
        score={"correct": 1.0},
    ),
    Judged(
        id="one of several ways to say it",
        expected={"outcome": "answered", "facts": [["half an hour", "30 minutes"], "or less"]},
        score={"correct": 1.0},
    ),
    Judged(
        id="another document",
        expected={"outcome": "answered", "documents": ["faq.md"]},
        score={"correct": 0.0},
        wrong="cites sign-in.md, not faq.md",
    ),
    Judged(
        id="a fact that is missing and a word that is not allowed",
        expected={"outcome": "answered", "facts": [["24 hours", "one day"]], "forbidden": ["or LESS"]},
        score={"correct": 0.0},
        wrong="lacks “24 hours”; says “or LESS”",
    ),
    Judged(
        id="handed over though it could be answered",
        expected={"outcome": "answered", "documents": ["faq.md"]},
        run=view("handed_over"),
        score={"correct": 0.0},
        wrong="handed_over, not answered",
    ),
    Judged(
        id="handed over as it should be",
        expected={"outcome": "person"},
        run=view("handed_over"),
        score={"not_answered": 1.0},
    ),
    Judged(id="a review", expected={"outcome": "person"}, run=view("review"), score={"not_answered": 1.0}),
    Judged(
        id="answered by a rule's words though a person should",
        expected={"outcome": "person"},
        run=view("said"),
        score={"not_answered": 0.0},
        wrong="said automatically",
    ),
    Judged(
        id="handed over because something broke",
        expected={"outcome": "person"},
        run=view("degraded"),
        score={"not_answered": 0.0},
        wrong="degraded: something in the product broke",
    ),
    Judged(
        id="the wrong owner",
        expected={"outcome": "person", "owner": "human"},
        run=view("handed_over"),
        score={"not_answered": 0.0},
        wrong="queue has the conversation, not human",
    ),
]


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case.id)
def test_the_last_turn_is_judged(case: Judged) -> None:
    seen = judge(ExpectedAnswer.model_validate(case.expected), [view("answered"), case.run], "queue")
    assert (dict(seen.scores), seen.wrong) == (case.score, case.wrong)


FILES = {
    "assistant.yaml": "name: tiny\ntitle: Tiny\ngreeting: Hello!\nencoder: hashing\n",
    "policy.yaml": (
        "rules:\n- id: greet\n  when: 'text.matches(\"good morning\")'\n  effect: say\n"
        "  say: Good morning to you.\n  reason: A greeting.\n"
    ),
    "intents.yaml": """\
intents:
- name: pegs
  description: Questions about pegs.
  queue: general
  autonomy: auto
  examples: [how many pegs has a tent, are there pegs, which pegs]
- name: person
  description: Wants a person.
  queue: general
  autonomy: human
  examples: [i want to talk to a person, give me a human, let me speak with somebody]
""",
    "knowledge/pegs.md": "# Pegs\n\nA tent has six pegs.\n",
    "evals/suite.yaml": (
        "name: tiny\ntarget: conversation\nassistant: ..\ndataset: cases.jsonl\nmetrics: [not_answered, latency]\n"
    ),
    "evals/cases.jsonl": """\
{"id": "1", "input": {"turns": ["give me a human"]}, "expected": {"outcome": "person", "owner": "queue"}}
{"id": "2", "input": {"turns": ["give me a human", "please"]}, "expected": {"outcome": "person"}}
{"id": "3", "input": {"turns": ["good morning"]}, "expected": {"outcome": "person"}}
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "assistant" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "assistant" / "evals"


@pytest.mark.anyio
async def test_a_conversation_is_held_through_the_service(tmp_path: Path, folder: Path) -> None:
    prepared = prepare(load_suite(folder / "suite.yaml"))
    report = await run_suite(prepared, Workroom(cache=tmp_path / "cache", announce=lambda _: None))
    assert [result.seen.output["outcomes"] for result in report.results] == [
        ["handed_over"],
        ["handed_over", "handed_over"],
        ["said"],
    ]
    assert report.figures["not_answered"].value == pytest.approx(2 / 3)


def test_a_suite_without_answerable_cases_can_not_measure_correct_answers(folder: Path) -> None:
    suite = (folder / "suite.yaml").read_text().replace("[not_answered, latency]", "[correct]")
    (folder / "suite.yaml").write_text(suite)
    with pytest.raises(
        ConfigError, match=r"suite\.yaml:5: metrics: correct needs cases whose outcome is answered"
    ):
        prepare(load_suite(folder / "suite.yaml"))
