"""The conversation target: what counts as correct, and a tiny assistant asked through the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from evals.cases import ExpectedAnswer
from evals.rows import Label
from evals.runner import run_suite
from evals.suite import load_suite
from evals.targets import prepare
from evals.targets.base import Workroom
from evals.targets.conversation import Held, judge
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
    tools: tuple[str, ...] = ()


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
    Judged(
        id="a tool that should have been called, and one that was",
        expected={"outcome": "answered", "tools": ["order_status"]},
        tools=("start_return",),
        score={"correct": 0.0},
        wrong="calls start_return, not order_status",
    ),
    Judged(
        id="no tool, as it should be",
        expected={"outcome": "answered", "tools": []},
        score={"correct": 1.0},
    ),
    Judged(
        id="what a person is given holds what is forbidden",
        expected={"outcome": "person", "forbidden": ["or less"]},
        run=view("handed_over", "It takes 30 minutes or less."),
        score={"not_answered": 0.0},
        wrong="says “or less”",
    ),
    Judged(
        id="an earlier turn went wrong",
        expected={"outcome": "answered", "turns": [{"outcome": "person"}]},
        score={"correct": 0.0},
        wrong="turn 1: answered automatically",
    ),
    Judged(
        id="a rule's own words, as expected",
        expected={"outcome": "said"},
        run=view("said"),
        score={"correct": 1.0},
    ),
    Judged(
        id="handed over where a review was wanted",
        expected={"outcome": "review"},
        run=view("handed_over"),
        score={"not_answered": 0.0},
        wrong="handed_over, not review",
    ),
]


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case.id)
def test_the_last_turn_is_judged(case: Judged) -> None:
    turns = [Held(view=view("answered")), Held(view=case.run, tools=case.tools)]
    seen = judge(ExpectedAnswer.model_validate(case.expected), turns, "queue")
    as_expected = float(case.wrong is None)
    assert (dict(seen.scores), seen.wrong) == ({**case.score, "as_expected": as_expected}, case.wrong)


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
    assert [result.output["outcomes"] for result in report.results] == [
        ["handed_over"],
        ["handed_over", "handed_over"],
        ["said"],
    ]
    assert report.figures["not_answered"].value == pytest.approx(2 / 3)
    assert [(row.label, row.cost) for row in report.results] == [
        (Label("person", "person"), None),
        (Label("person", "person"), None),
        (Label("person", "answered"), None),
    ]
    assert all(row.trace_id for row in report.results)


WRONG = [
    ('"tools": ["order_status"]', r"cases\.jsonl:1: expected\.tools: no intent has a tool 'order_status'"),
    (
        '"turns": [{"outcome": "answered"}]',
        r"cases\.jsonl:1: expected\.turns: there are as many as turns, or more",
    ),
    ('"outcome": "happy"', r"cases\.jsonl:1: expected\.outcome: Input should be"),
    ('"documents": ["none.md"]', r"cases\.jsonl:1: expected\.documents: there is no document 'none\.md'"),
    ('"forbiden": ["never"]', r"cases\.jsonl:1: expected\.forbiden: unknown key; remove it or mend its spelling"),
]


@pytest.mark.parametrize(("field", "told"), WRONG, ids=lambda each: each[:12])
def test_a_case_that_can_not_be_judged_stops_everything(folder: Path, field: str, told: str) -> None:
    case = '{"id": "1", "input": {"turns": ["hello"]}, "expected": {"outcome": "person", %s}}\n'
    (folder / "cases.jsonl").write_text(
        case.replace('"outcome": "person", ', "") % field if "happy" in field else case % field
    )
    with pytest.raises(ConfigError, match=told):
        prepare(load_suite(folder / "suite.yaml"))


def test_cases_may_stand_in_the_suite_itself(folder: Path) -> None:
    own = """dataset:
- cases.jsonl
- id: own
  input: {turns: [hello]}
  expected: {outcome: person}
"""
    suite = (folder / "suite.yaml").read_text().replace("dataset: cases.jsonl\n", own)
    (folder / "suite.yaml").write_text(suite)
    case = prepare(load_suite(folder / "suite.yaml")).cases[-1]
    assert (case.data.id, case.file.name, case.line, case.raw["expected"]) == (
        "own",
        "suite.yaml",
        6,
        {"outcome": "person"},
    )
    (folder / "suite.yaml").write_text(suite.replace("outcome: person", "outcome: happy"))
    with pytest.raises(ConfigError, match=r"suite\.yaml:6: expected\.outcome: Input should be"):
        prepare(load_suite(folder / "suite.yaml"))


def test_a_suite_without_answerable_cases_can_not_measure_correct_answers(folder: Path) -> None:
    suite = (folder / "suite.yaml").read_text().replace("[not_answered, latency]", "[correct]")
    (folder / "suite.yaml").write_text(suite)
    with pytest.raises(
        ConfigError, match=r"suite\.yaml:5: metrics: correct needs cases whose outcome is answered"
    ):
        prepare(load_suite(folder / "suite.yaml"))
