"""The pii target: spans met at all, spans met exactly, and texts in which there is nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from evals.runner import RunReport, run_suite
from evals.spans import Pair, Span, by_type, figure
from evals.suite import load_suite
from evals.targets import prepare
from evals.targets.base import Target, Workroom
from evals.targets.pii import PiiTarget
from policies.errors import ConfigError
from policies.personal_data import Found, find

SUITE = """\
name: tiny pii
target: pii
dataset: cases.jsonl
metrics: [recall, false_alarms, span_f2, span_precision, span_recall, typed_f2, typed_precision, typed_recall]
"""
MAIL = {"type": "EMAIL", "start": 9, "end": 18}
CASES = [
    {"id": "1", "input": "Write to a@b.co.uk please", "expected": {"spans": [MAIL]}},
    {
        "id": "2",
        "input": "Write to a@b.co.uk, Ann",
        "expected": {"spans": [MAIL, {**MAIL, "start": 20, "end": 23}]},
    },
    {"id": "3", "input": "Order 12", "expected": {"spans": []}},
    {"id": "4", "input": "x@y.example is ours", "expected": {"spans": []}},
]


class ShapeFinder:
    """Finds what has a shape."""

    async def all(self, text: str) -> Sequence[Found]:
        return find(text)


def write(folder: Path, cases: Sequence[object] = CASES) -> Path:
    (folder / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    (folder / "suite.yaml").write_text(SUITE)
    return folder / "suite.yaml"


async def run(path: Path) -> RunReport:
    @asynccontextmanager
    async def opened(_: Workroom) -> AsyncIterator[Target]:
        yield PiiTarget(finder=ShapeFinder())

    prepared = replace(prepare(load_suite(path)), open=opened)
    return await run_suite(prepared, Workroom(cache=path.parent, announce=lambda _: None))


@pytest.mark.anyio
async def test_spans_are_counted_over_all_texts_and_texts_one_by_one(tmp_path: Path) -> None:
    report = await run(write(tmp_path))
    assert {name: (round(it.value, 4), it.count) for name, it in report.figures.items()} == {
        "recall": (0.5, 2),
        "false_alarms": (0.5, 2),
        "span_f2": (0.6667, 6),
        "span_precision": (0.6667, 3),
        "span_recall": (0.6667, 3),
        "typed_f2": (0.6667, 6),
        "typed_precision": (0.6667, 3),
        "typed_recall": (0.6667, 3),
    }
    assert [result.wrong for result in report.results] == [
        None,
        "missed: EMAIL “Ann”",
        None,
        "found for nothing: EMAIL “x@y.example”",
    ]
    assert {tag: it.count for tag, it in report.tags["span_recall"].items()} == {"EMAIL": 3}


TWO = Pair(
    expected=[Span("PERSON", 0, 8), Span("PHONE", 10, 20)],
    found=[Span("PERSON", 0, 3), Span("CARD", 10, 20), Span("PERSON", 30, 33)],
)


def test_one_shared_character_of_any_type_is_enough_unless_strict() -> None:
    names = ("span_recall", "span_precision", "typed_recall", "typed_precision", "typed_f2")
    assert {name: round(figure(name, [TWO]).value, 4) for name in names} == {
        "span_recall": 1.0,
        "span_precision": 0.6667,
        "typed_recall": 0.0,
        "typed_precision": 0.0,
        "typed_f2": 0.0,
    }


def test_the_f_measure_is_that_of_the_books() -> None:
    precision, recall = figure("span_precision", [TWO]).value, figure("span_recall", [TWO]).value
    assert figure("span_f2", [TWO]).value == pytest.approx(5 * precision * recall / (4 * precision + recall))
    assert figure("span_f1", [TWO]).value == pytest.approx(2 * precision * recall / (precision + recall))
    halved = 1.25 * precision * recall / (0.25 * precision + recall)
    assert figure("span_f0.5", [TWO]).value == pytest.approx(halved)


def test_each_type_has_its_own_figure_where_there_is_any() -> None:
    assert {kind: it.value for kind, it in by_type("span_recall", [TWO]).items()} == {"PERSON": 1.0, "PHONE": 1.0}
    assert {kind: it.value for kind, it in by_type("span_precision", [TWO]).items()} == {
        "CARD": 1.0,
        "PERSON": 0.5,
    }


def test_a_span_must_be_inside_its_text(tmp_path: Path) -> None:
    path = write(tmp_path, [{"id": "1", "input": "short", "expected": {"spans": [MAIL]}}])
    with pytest.raises(ConfigError, match=r"cases\.jsonl:1: expected\.spans\.0: 9 to 18 is not in the text\."):
        prepare(load_suite(path))


def test_false_alarms_need_a_text_without_any(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="false_alarms needs cases without personal data"):
        prepare(load_suite(write(tmp_path, CASES[:2])))
