"""The replies target: good and bad sentences at the gate of the sample's assistant, each kind by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.replies.kinds import KINDS
from evals.runner import RunReport, run_suite
from evals.suite import load_suite
from evals.targets import prepare
from evals.targets.base import Workroom
from policies.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "evals" / "suites"
SUITE = """\
name: tiny replies
target: replies
encoder: hashing
dataset: good.jsonl
metrics: ["passed:good", "passed:bad", "passed:placeholder"]
"""
QUOTE = "Home collection can be booked for $5 in the contiguous United States."
GOOD = {
    "id": "collected",
    "question": "can you fetch it from my house",
    "history": ["how do i send something back"],
    "sentences": [{"text": QUOTE, "citations": [{"document": "starting-a-return.md", "quote": QUOTE}]}],
    "split": "tune",
    "wording": "free",
}


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "suite.yaml").write_text(SUITE)
    write(tmp_path, GOOD)
    return tmp_path / "suite.yaml"


def write(folder: Path, row: object) -> None:
    (folder / "good.jsonl").write_text(json.dumps(row) + "\n")


async def run(suite: Path) -> RunReport:
    prepared = prepare(load_suite(suite))
    return await run_suite(prepared, Workroom(cache=suite.parent / "cache", announce=lambda _: None))


@pytest.mark.anyio
async def test_what_passes_is_counted_by_kind_and_a_foreign_placeholder_never_does(suite: Path) -> None:
    report = await run(suite)
    rows = {row.id: row for row in report.results}
    assert rows["collected-1"].output == {"passed": True, "reasons": []}
    assert rows["collected-1-placeholder-1"].output == {"passed": False, "reasons": ["gate.placeholder"]}
    assert report.figures["passed:good"].value == 1.0
    assert report.figures["passed:placeholder"].value == 0.0
    wrong = {row.id for row in rows.values() if row.wrong}
    assert wrong == {row.id for row in rows.values() if row.output["passed"]} - {"collected-1"}


def test_a_quote_that_no_passage_holds_names_its_case(suite: Path) -> None:
    sentence = {
        "text": "It costs $5.",
        "citations": [{"document": "starting-a-return.md", "quote": "No such words."}],
    }
    write(suite.parent, GOOD | {"sentences": [sentence]})
    with pytest.raises(ConfigError, match=r"good\.jsonl:1: sentences: .* does not hold “No such words\.”"):
        prepare(load_suite(suite))


def test_the_shipped_suites_hold_both_halves_and_the_half_to_work_with() -> None:
    both, tune = (prepare(load_suite(SHIPPED / f"{name}.yaml")) for name in ("replies", "replies-tune"))
    assert {case.data.tags[0] for case in both.cases} == {"tune", "judge"}
    assert {tag for case in tune.cases for tag in case.data.tags} == {"tune", "tune, free", "tune, near"}
    assert both.suite.file.private
    assert not tune.suite.file.private
    for prepared in (both, tune):
        assert {(gate.metric, gate.rule) for gate in prepared.suite.gates} == {
            ("passed:good", ">= 0.90"),
            *((f"passed:{kind}", "<= 0.02") for kind in KINDS),
        }


def test_a_kind_that_there_is_not_is_told(suite: Path) -> None:
    suite.write_text(SUITE.replace("passed:placeholder", "passed:spelling"))
    with pytest.raises(ConfigError, match="there is no metric 'passed:spelling'"):
        load_suite(suite)
