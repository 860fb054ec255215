"""A suite runs whole, offline and without a model: exit code, figures and JSON."""

from __future__ import annotations

import io
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from evals.cli import FAILED_TO_RUN, GATE_FAILED, HELD, Asked, run_command
from evals.report import to_json
from evals.runner import CaseFailed, run_suite
from evals.suite import load_suite
from evals.targets import prepare
from evals.targets.base import Observation, Prepared, Workroom

INTENTS = {
    "tracking": ["where is my parcel", "track my parcel please", "has the parcel left"],
    "refund": ["i want my money back", "refund my money please", "when is the money back"],
    "hours": ["when do you open", "are you open on sunday", "opening hours of the shop"],
}
CASES = [
    ("1", "can i track the parcel", "tracking", ["short"]),
    ("2", "give me my money", "refund", []),
    ("3", "is the shop open", "hours", ["short"]),
    ("4", "tell me a joke about penguins", None, []),
]
ROUTER = """\
name: tiny router
target: router
encoder: hashing
intents: intents.jsonl
dataset: cases.jsonl
metrics: [accuracy, routed_accuracy, baseline_accuracy, macro_f1, oos_auroc, oos_recall, latency]
gates: {accuracy: ">= 0.9"}
"""


def lines(rows: list[dict[str, object]]) -> bytes:
    return b"\n".join(orjson.dumps(row) for row in rows)


@pytest.fixture
def router(tmp_path: Path) -> Path:
    taught = [(text, name) for name, texts in INTENTS.items() for text in texts]
    (tmp_path / "intents.jsonl").write_bytes(
        lines([{"id": i, "input": text, "expected": {"intent": name}} for i, (text, name) in enumerate(taught)])
    )
    (tmp_path / "cases.jsonl").write_bytes(
        lines([{"id": i, "input": text, "expected": {"intent": name}, "tags": t} for i, text, name, t in CASES])
    )
    (tmp_path / "router.yaml").write_text(ROUTER)
    return tmp_path / "router.yaml"


def workroom(tmp_path: Path) -> Workroom:
    return Workroom(cache=tmp_path / "cache", announce=lambda _: None)


@pytest.mark.anyio
async def test_the_router_is_measured_beside_its_baseline(tmp_path: Path, router: Path) -> None:
    ticks: list[int] = []
    prepared = prepare(load_suite(router))
    report = await run_suite(prepared, workroom(tmp_path), concurrency=2, tick=lambda: ticks.append(1))
    assert len(ticks) == 4
    figures = report.figures
    assert {name: figure.count for name, figure in figures.items()} == {
        "accuracy": 3,
        "routed_accuracy": 3,
        "baseline_accuracy": 3,
        "macro_f1": 3,
        "oos_auroc": 4,
        "oos_recall": 1,
        "latency_p50": 4,
        "latency_p95": 4,
    }
    assert [figures[name].value for name in ("accuracy", "baseline_accuracy", "macro_f1")] == [1.0, 1.0, 1.0]
    assert set(report.tags["accuracy"]) == {"short"}
    assert report.tags["accuracy"]["short"].count == 2
    assert report.passed


@pytest.mark.anyio
async def test_the_json_holds_every_case(tmp_path: Path, router: Path) -> None:
    report = await run_suite(prepare(load_suite(router)), workroom(tmp_path))
    made = orjson.loads(orjson.dumps(to_json(report)))
    assert [case["id"] for case in made["cases"]] == ["1", "2", "3", "4"]
    case = made["cases"][0]
    assert (case["input"], case["expected"]) == ("can i track the parcel", {"intent": "tracking"})
    assert (case["line"], case["tags"], case["output"]["best"]) == (1, ["short"], "tracking")
    assert case["scores"]["accuracy"] == 1.0
    assert case["latency_ms"] > 0
    assert made["gates"] == [{"metric": "accuracy", "rule": ">= 0.9", "value": 1.0, "limit": 0.9, "held": True}]


def test_the_exit_code_tells_gates_that_hold_from_those_that_fail(tmp_path: Path, router: Path) -> None:
    screen = Console(file=io.StringIO(), width=120)
    assert run_command(Asked(suites=[router], json=tmp_path / "out" / "one.json"), screen) == HELD
    (tmp_path / "strict.yaml").write_text(ROUTER.replace('">= 0.9"', '"> baseline_accuracy"'))
    two = [router, tmp_path / "strict.yaml"]
    assert run_command(Asked(suites=two, json=tmp_path / "two.json"), screen) == GATE_FAILED
    assert orjson.loads((tmp_path / "out" / "one.json").read_bytes())["passed"] is True
    assert [each["passed"] for each in orjson.loads((tmp_path / "two.json").read_bytes())] == [True, False]
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "0 of 1 gates hold; 4 cases" in shown
    assert "> baseline_accuracy │ FAILED" in shown
    assert "FAILED: accuracy is 1, not > baseline_accuracy (1)." in shown


def test_a_narrow_terminal_cuts_no_name_and_no_number(router: Path) -> None:
    router.write_text(ROUTER.replace("oos_recall,", "oos_recall, 'accuracy@oos_recall:0.9', judged,"))
    screen = Console(file=io.StringIO(), width=80)
    assert run_command(Asked(suites=[router], repeat=2), screen) == HELD
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown
    assert shown.count("tell me a joke") == 1  # though it went wrong twice
    assert "No language model has judged: the suite's assistant names none" in shown


def test_a_mistake_in_one_suite_stops_all(
    tmp_path: Path, router: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text(ROUTER.replace("cases.jsonl", "none.jsonl"))
    code = run_command(Asked(suites=[router, tmp_path / "bad.yaml"], json=tmp_path / "out.json"))
    assert (code, (tmp_path / "out.json").exists()) == (FAILED_TO_RUN, False)
    assert "none.jsonl: the file is missing." in capsys.readouterr().err


class Broken:
    """A target that breaks down on one case."""

    async def __aenter__(self) -> Broken:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def run(self, case: object) -> Observation:
        raise RuntimeError(f"no {type(case).__name__} today")


@pytest.mark.anyio
async def test_a_breakdown_names_the_case(tmp_path: Path, router: Path) -> None:
    prepared = prepare(load_suite(router))
    broken = Prepared(suite=prepared.suite, cases=prepared.cases[:1], open=lambda _: Broken())
    with pytest.raises(
        CaseFailed, match=r"cases\.jsonl:1: the case can't be run: RuntimeError\('no Case today'\)"
    ):
        await run_suite(broken, workroom(tmp_path))
