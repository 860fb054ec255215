"""Suites and cases are checked before anything runs, and a mistake is told with file, line and field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from evals.suite import load_suite
from evals.targets import prepare
from policies.errors import ConfigError

SUITE = """\
name: tiny
target: router
intents: intents.jsonl
dataset: cases.jsonl
metrics: [accuracy]
"""
INTENTS = """\
{"id": "1", "input": "where is my parcel", "expected": {"intent": "tracking"}}
{"id": "2", "input": "i want my money back", "expected": {"intent": "refund"}}
"""
CASES = '{"id": "1", "input": "has it been sent", "expected": {"intent": "tracking"}}\n'


def write(folder: Path, suite: str = SUITE, cases: str = CASES) -> Path:
    (folder / "intents.jsonl").write_text(INTENTS)
    (folder / "cases.jsonl").write_text(cases)
    (folder / "suite.yaml").write_text(suite)
    return folder / "suite.yaml"


def test_a_suite_lists_its_metrics_and_those_that_its_gates_need(tmp_path: Path) -> None:
    gates = 'gates: {accuracy: ["> baseline_accuracy", ">= 0.5"], latency_p95: "< 900"}\n'
    suite = load_suite(write(tmp_path, SUITE.replace("[accuracy]", "[latency, macro_f1]") + gates))
    assert suite.metrics == ("latency_p50", "latency_p95", "macro_f1", "accuracy", "baseline_accuracy")
    assert [(gate.metric, gate.rule) for gate in suite.gates] == [
        ("accuracy", "> baseline_accuracy"),
        ("accuracy", ">= 0.5"),
        ("latency_p95", "< 900"),
    ]


def test_the_data_folder_may_stand_in_paths(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "more.jsonl").write_text(CASES)
    written = SUITE.replace("dataset: cases.jsonl", "dataset: [cases.jsonl, '${DATA}/more.jsonl']")
    cases = prepare(load_suite(write(tmp_path, written), data)).cases
    assert [case.file for case in cases] == [tmp_path / "cases.jsonl", data / "more.jsonl"]


@dataclass(frozen=True, kw_only=True)
class Wrong:
    id: str
    told: str
    suite: str = SUITE
    cases: str = CASES


WRONG = [
    Wrong(
        id="a suite with a misspelt key",
        suite=SUITE.replace("dataset", "datasets"),
        told="suite.yaml:1: dataset: this field is required; add it.",
    ),
    Wrong(
        id="an unknown target",
        suite=SUITE.replace("router", "oracle"),
        told="suite.yaml:2: target: there is no target 'oracle'; known are router, retriever,",
    ),
    Wrong(
        id="a metric of another target",
        suite=SUITE.replace("[accuracy]", "[recall@5]"),
        told="suite.yaml:5: metrics: there is no metric 'recall@5' for this target; known are accuracy,",
    ),
    Wrong(
        id="a gate that can't be read",
        suite=SUITE + "gates:\n  accuracy: 0.8\n",
        told="suite.yaml:7: gates.accuracy",
    ),
    Wrong(
        id="a gate on an unknown metric",
        suite=SUITE + 'gates: {accuracy: "> baseline"}\n',
        told="suite.yaml:6: gates: there is no metric 'baseline' for this target",
    ),
    Wrong(
        id="two sources of intents",
        suite=SUITE + "assistant: .\n",
        told="suite.yaml:1: the file: give either `intents` or `assistant`",
    ),
    Wrong(
        id="a missing data folder",
        suite=SUITE.replace("cases.jsonl", "${DATA}/cases.jsonl"),
        told="suite.yaml:4: dataset: ${DATA}/cases.jsonl needs the data folder. Give it as --data DIR.",
    ),
    Wrong(
        id="a missing file of cases",
        suite=SUITE.replace("cases.jsonl", "none.jsonl"),
        told="none.jsonl: the file is missing. Mend the path in the suite.",
    ),
    Wrong(
        id="a metric that lacks its cases",
        suite=SUITE.replace("[accuracy]", "[oos_auroc]"),
        told="suite.yaml:5: metrics: oos_auroc needs cases with an intent and cases without.",
    ),
    Wrong(id="a case that is not JSON", cases=CASES + "{'id': 2}\n", told="cases.jsonl:2: this is not JSON:"),
    Wrong(id="a case that is a list", cases="[]\n", told="cases.jsonl:1: this is no JSON object."),
    Wrong(
        id="a case without an intent",
        cases=CASES + '\n{"id": "2", "input": "hm", "expected": {}}\n',
        told="cases.jsonl:3: expected.intent: this field is required.",
    ),
    Wrong(
        id="a case whose input is no text",
        cases='{"id": "2", "input": 7.5, "expected": {"intent": []}}\n',
        told="cases.jsonl:1: expected.intent: Input should be a valid string.",
    ),
    Wrong(
        id="a case with an unknown intent",
        cases=CASES.replace("tracking", "tracing"),
        told="cases.jsonl:1: expected.intent: there is no intent 'tracing'. Mend its name,",
    ),
    Wrong(id="an id that stands twice", cases=CASES + CASES, told="cases.jsonl:2: id: '1' stands twice"),
    Wrong(id="no cases", cases="\n", told="cases.jsonl: there are no cases in it."),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.id)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, case: Wrong) -> None:
    path = write(tmp_path, case.suite, case.cases)
    with pytest.raises(ConfigError) as caught:
        prepare(load_suite(path))
    assert str(tmp_path / case.told) in str(caught.value)


def test_a_missing_suite_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_suite(tmp_path / "none.yaml")


def test_a_line_separator_inside_a_message_does_not_end_the_line(tmp_path: Path) -> None:
    cases = prepare(load_suite(write(tmp_path, cases=CASES.replace("been sent", "been\u2028sent")))).cases
    assert [case.data.input for case in cases] == ["has it been\u2028sent"]
