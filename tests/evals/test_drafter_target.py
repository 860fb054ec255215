"""The drafter target: how sure the drafter is, beside the similarity of question and passage."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.runner import run_suite
from evals.suite import load_suite
from evals.targets import prepare
from evals.targets.base import Workroom

SUITE = """\
name: tiny drafter
target: drafter
encoder: hashing
dataset: cases.jsonl
metrics: [answer_auroc, similarity_auroc, answered, abstained]
"""
PASSAGE = "Our boots are waterproof. They are made of leather in Oregon."
CASES = f"""\
{{"id": "1", "input": {{"question": "are the boots waterproof", "passage": "{PASSAGE}"}}, \
"expected": {{"answerable": true, "answers": ["yes"]}}}}
{{"id": "2", "input": {{"question": "who invented paragliding", "passage": "{PASSAGE}"}}, \
"expected": {{"answerable": false}}}}
"""


@pytest.mark.anyio
async def test_an_answer_quotes_the_passage_and_an_abstention_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    (tmp_path / "cases.jsonl").write_text(CASES)
    prepared = prepare(load_suite(tmp_path / "suite.yaml"))
    report = await run_suite(prepared, Workroom(cache=tmp_path / "cache", announce=lambda _: None))
    first, second = report.results
    assert "Our boots are waterproof." in first.output["sentences"]
    assert second.output["sentences"] == []
    assert first.output["confidence"] > second.output["confidence"]
    assert {name: (figure.value, figure.count) for name, figure in report.figures.items()} == {
        "answer_auroc": (1.0, 2),
        "similarity_auroc": (1.0, 2),
        "answered": (1.0, 1),
        "abstained": (1.0, 1),
    }
