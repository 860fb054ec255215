"""The retriever target: documents as records or as a folder, each signal beside the fusion."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.runner import RunReport, run_suite
from evals.suite import load_suite
from evals.targets import prepare
from evals.targets.base import Workroom
from policies.errors import ConfigError

SUITE = """\
name: tiny retriever
target: retriever
encoder: hashing
knowledge: documents.jsonl
dataset: cases.jsonl
metrics: [recall@1, pass@1, hit@2, lexical_recall@1, dense_hit@2, mrr, latency]
"""
DOCUMENTS = """\
{"id": "boots", "title": "Boots", "text": "Boots are waterproof and last for years."}
{"id": "tents", "text": "A tent needs six pegs and two poles."}
{"id": "stoves", "text": "Stoves burn gas. Never use a stove inside a tent."}
"""
CASES = """\
{"id": "1", "input": "are boots waterproof", "expected": {"documents": ["boots"]}}
{"id": "2", "input": "pegs and poles of a tent", "expected": {"documents": ["tents", "stoves"]}}
"""


async def run(folder: Path) -> RunReport:
    prepared = prepare(load_suite(folder / "suite.yaml"))
    return await run_suite(prepared, Workroom(cache=folder / "cache", announce=lambda _: None))


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    for name, text in {"suite.yaml": SUITE, "documents.jsonl": DOCUMENTS, "cases.jsonl": CASES}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.anyio
async def test_recall_counts_what_was_found_and_hits_count_questions(suite: Path) -> None:
    report = await run(suite)
    assert {name: figure.value for name, figure in report.figures.items() if not figure.unit} == {
        "recall@1": 0.75,
        "pass@1": 0.75,
        "hit@2": 1.0,
        "lexical_recall@1": 0.75,
        "dense_hit@2": 1.0,
        "mrr": 1.0,
    }
    assert next(iter(report.results)).output["documents"][0] == "boots"
    assert [result.wrong for result in report.results] == [None, None]


@pytest.mark.anyio
async def test_knowledge_may_be_a_folder(suite: Path) -> None:
    (suite / "docs").mkdir()
    (suite / "docs" / "boots.md").write_text("# Boots\n\nBoots are waterproof.\n")
    (suite / "docs" / "tents.md").write_text("# Tents\n\nA tent needs six pegs.\n")
    (suite / "suite.yaml").write_text(SUITE.replace("documents.jsonl", "docs"))
    (suite / "cases.jsonl").write_text(
        '{"id": "1", "input": "waterproof boots", "expected": {"documents": ["boots.md"]}}'
    )
    report = await run(suite)
    assert report.figures["mrr"].value == 1.0


def test_a_case_may_not_name_a_document_that_is_not_there(suite: Path) -> None:
    (suite / "cases.jsonl").write_text(CASES.replace('boots"]', 'shoes"]'))
    with pytest.raises(ConfigError, match=r"cases\.jsonl:1: expected\.documents: there is no document 'shoes'"):
        prepare(load_suite(suite / "suite.yaml"))
