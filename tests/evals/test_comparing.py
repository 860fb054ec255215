"""A worse run is named, an equal one is not, and chance is rarely taken for a change."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from rich.console import Console

from evals.cli import FAILED_TO_RUN, GATE_FAILED, HELD, Asked, compare_command, run_command, score_command
from evals.comparing import DOUBT, compare_metric, compare_runs, judged
from evals.fakes import StubTarget
from evals.rows import Label, Row
from evals.runs import CASES, HEAD, open_run
from evals.scoring import figure, sample
from policies.errors import InputError
from tests.evals.stubs import SUITE, right_but, run_stub, write_suite

MANY = SUITE.replace("[accuracy]", "[accuracy, latency, cost]")


def compared(
    folder: Path, before: set[int], after: set[int], count: int = 120, suite: str = SUITE
) -> tuple[Path, Path]:
    path = write_suite(folder, count, suite)
    for name, wrong in (("a", before), ("b", after)):
        run_stub(path, folder / name, StubTarget(answer=right_but(wrong)))
    return folder / "a", folder / "b"


def test_a_worse_router_is_named_with_what_it_gets_wrong_now(tmp_path: Path) -> None:
    # Every second message of the tag `even` is misrouted now; two that were wrong are right.
    one, two = compared(tmp_path, {1, 3}, set(range(0, 60, 2)), suite=MANY)
    found = compare_runs(open_run(one), open_run(two))
    worse = {(each.metric, each.tag) for each in found.regressions}
    assert worse == {("accuracy", None), ("accuracy", "even")}
    accuracy = found.differences[0]
    assert accuracy.difference == pytest.approx(-28 / 120)
    assert accuracy.low < -28 / 120 < accuracy.high < 0
    assert [each.id for each in found.mended] == ["1", "3"]
    assert len(found.broken) == 30
    assert (found.broken[0].before, found.broken[0].after) == (None, "wrong; not 0")
    assert {each.outcome for each in found.differences if each.metric.startswith("latency")} == {"not judged"}


def test_no_change_is_no_regression(tmp_path: Path) -> None:
    one, two = compared(tmp_path, {1, 2, 3}, {1, 2, 3})
    found = compare_runs(open_run(one), open_run(two))
    assert (found.regressions, found.broken, found.mended) == ([], [], [])
    assert {each.outcome for each in found.differences} == {"no change"}


def test_what_moves_by_chance_alone_is_no_regression(tmp_path: Path) -> None:
    """Other cases are wrong, but as many: the first twenty against the next twenty-one."""
    one, two = compared(tmp_path, set(range(20)), set(range(20, 41)))
    found = compare_runs(open_run(one), open_run(two))
    assert (found.regressions, found.differences[0].outcome) == ([], "not certain")


def test_too_few_cases_to_be_certain_are_not_taken_for_no_change(tmp_path: Path) -> None:
    one, two = compared(tmp_path, set(), set(range(4)), count=4)
    shown = screen()
    assert compare_command(one, two, None, shown) == HELD
    printed = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "Too few cases to be certain of accuracy." in printed
    assert "not certain" in printed
    assert "no change" not in printed


def test_a_small_difference_over_many_cases_is_no_change(tmp_path: Path) -> None:
    one, two = compared(tmp_path, {1, 2}, {2, 3, 4}, count=300, suite=MANY)
    found = {each.metric: each.outcome for each in compare_runs(open_run(one), open_run(two)).differences}
    assert (found["accuracy"], found["cost"]) == ("no change", "no change")


@pytest.mark.parametrize("command", ["score", "compare", "baseline"])
def test_a_run_that_is_not_finished_is_not_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    one, two = compared(tmp_path, set(), set(), count=5)
    head = orjson.loads((one / HEAD).read_bytes()) | {"status": "running"}
    (one / HEAD).write_bytes(orjson.dumps(head))
    cases = one / CASES
    cases.write_bytes(b"".join(cases.read_bytes().splitlines(keepends=True)[:2]))
    if command == "score":
        code = score_command(one, ["balanced_accuracy"], None, screen())
    elif command == "compare":
        code = compare_command(two, one, None, screen())
    else:
        code = run_command(Asked(suites=[tmp_path / "suite.yaml"], out=tmp_path / "new", baseline=one), screen())
    assert code == FAILED_TO_RUN
    assert "a: the run is not finished; it holds 2 of 5 cases. Go on with the" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_run_that_was_repeated_more_often_is_no_change(tmp_path: Path) -> None:
    """What weighs rows, such as alpha, comes out otherwise over twice as many; the cases went as before."""
    path = write_suite(tmp_path, 60, SUITE.replace("[accuracy]", "[accuracy, kappa, krippendorff_alpha]"))
    for name, repeat in (("a", 1), ("b", 2)):
        run_stub(path, tmp_path / name, StubTarget(answer=right_but(set(range(0, 60, 4)))), repeat=repeat)
    for pair in (("a", "b"), ("b", "a")):
        found = compare_runs(*(open_run(tmp_path / name) for name in pair))
        assert {(each.outcome, each.difference) for each in found.differences} == {("no change", 0.0)}
        assert (found.cases, found.only_before, found.only_after) == (60, 0, 0)


def test_what_four_digits_do_not_show_is_no_change() -> None:
    """Another processor adds up in another order, and every score is off by a hair the same way."""
    right = [number % 4 > 0 for number in range(200)]

    def sure(confidence: float) -> list[Row]:
        return [replace(row, scores={**row.scores, "confidence": confidence}) for row in rows(right)]

    found = compare_metric("ece", sure(0.61), sure(0.61 - 1e-9))
    assert found is not None
    assert (0 < found.difference < 1e-8, found.p < DOUBT) == (True, True)
    assert [each.outcome for each in judged([found])] == ["no change"]


def test_an_improvement_is_told_and_is_no_regression(tmp_path: Path) -> None:
    one, two = compared(tmp_path, set(range(40)), set())
    found = compare_runs(open_run(one), open_run(two))
    assert (found.regressions, found.differences[0].outcome) == ([], "better")


def rows(right: Sequence[bool], scores: Sequence[float] | None = None, repeat: int = 1) -> list[Row]:
    """Return rows of cases; of repeats, the next ones belong to the same case."""
    return [
        Row(
            place=number // repeat,
            repeat=number % repeat,
            id=f"{number // repeat:06}",
            dataset="d",
            file="d",
            line=1,
            input="",
            expected={"intent": "x" if number % 3 else None},
            output={},
            scores={
                "accuracy": float(each),
                "known": float(number % 3 > 0),
                "in_scope": 0.0 if scores is None else scores[number],
            },
            label=Label("x" if number % 3 else "y", "x" if each == bool(number % 3) else "y"),
            wrong=None if each else "wrong",
            cost=1.0 + each,
        )
        for number, each in enumerate(right)
    ]


@pytest.mark.parametrize("metric", ["accuracy", "cost", "pass^2"])
def test_two_runs_of_the_same_thing_look_different_at_most_as_often_as_allowed(metric: str) -> None:
    """At a level of 5 % sixty comparisons of equals name about three; nine would be a fault (p < 0.005)."""
    draw = np.random.default_rng(7)
    alarms = 0
    for _ in range(60):
        ease = draw.beta(4, 1, 60)
        before, after = (rows((draw.random(120) < np.repeat(ease, 2)).tolist(), repeat=2) for _ in range(2))
        if metric == "accuracy":
            before, after = (
                [replace(row, id=f"{row.id}-{row.repeat}", repeat=0) for row in each] for each in (before, after)
            )
        found = compare_metric(metric, before, after)
        alarms += found is not None and found.p < 0.05
    assert alarms < 9


def test_a_metric_that_is_no_mean_is_compared_too() -> None:
    draw = np.random.default_rng(8)
    known = np.arange(150) % 3 > 0
    good = (draw.random(150) + known).tolist()
    bad = (draw.random(150) + 0.3 * known).tolist()
    before, after = rows([True] * 150, good), rows([True] * 150, bad)
    found = compare_metric("oos_auroc", before, after)
    assert found is not None
    assert found.p < 0.01
    assert found.low < found.difference < found.high < 0
    same = compare_metric("oos_auroc", before, before)
    assert same is not None
    assert (same.p, same.difference) == (1.0, 0.0)


def test_runs_without_a_common_case_can_not_be_compared(tmp_path: Path) -> None:
    run_stub(write_suite(tmp_path / "x", 3), tmp_path / "a", StubTarget(answer=right_but(set())))
    path = write_suite(tmp_path / "y", 3)
    (tmp_path / "y" / "cases.jsonl").write_text('{"id": "z", "input": "m", "expected": {"intent": "0"}}\n')
    run_stub(path, tmp_path / "b", StubTarget(answer=lambda _: None))
    with pytest.raises(InputError, match="have no case in common"):
        compare_runs(open_run(tmp_path / "a"), open_run(tmp_path / "b"))


def test_a_difference_of_two_metrics_is_taken_case_by_case() -> None:
    some = [replace(row, scores={"recall@5": 1.0, "dense_recall@5": 0.5}) for row in rows([True] * 20)]
    found = sample("recall@5 - dense_recall@5", some)
    assert found is not None
    assert (found.figure().value, found.figure().low, found.figure().high) == (0.5, 0.5, 0.5)
    assert sample("recall@5 - lexical_recall@5", some) is None


def screen() -> Console:
    return Console(file=io.StringIO(), width=160)


def test_the_command_tells_a_regression_by_its_exit_code_and_its_name(tmp_path: Path) -> None:
    one, two = compared(tmp_path, set(), set(range(0, 60, 2)))
    shown = screen()
    assert compare_command(one, two, tmp_path / "c.json", shown) == GATE_FAILED
    assert "Worse beyond doubt: accuracy," in shown.file.getvalue()  # type: ignore[attr-defined]
    assert "cases.jsonl:1 0" in shown.file.getvalue()  # type: ignore[attr-defined]
    made = orjson.loads((tmp_path / "c.json").read_bytes())
    assert made["regressions"][0]["metric"] == "accuracy"
    assert compare_command(two, one, None, screen()) == HELD
    assert compare_command(one, tmp_path / "none", None, screen()) == FAILED_TO_RUN


def test_more_can_be_measured_of_a_run_without_calling_anything(tmp_path: Path) -> None:
    one, _ = compared(tmp_path, {1}, set(), count=10)
    shown = screen()
    assert score_command(one, ["balanced_accuracy", "krippendorff_alpha"], tmp_path / "s.json", shown) == HELD
    made = orjson.loads((tmp_path / "s.json").read_bytes())
    assert made["balanced_accuracy"]["value"] == pytest.approx(0.9)
    assert made["krippendorff_alpha"]["count"] == 10
    assert score_command(one, ["latency"], None, screen()) == HELD
    assert score_command(tmp_path, ["kappa"], tmp_path / "new" / "s.json", screen()) == HELD
    both = orjson.loads((tmp_path / "new" / "s.json").read_bytes())
    assert {name: figures["kappa"]["count"] for name, figures in both.items()} == {"a": 10, "b": 10}


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("recall@5", "there is no metric 'recall@5' for this target; known are accuracy,"),
        ("latency_p200", "there is no metric 'latency_p200' for this target"),
        ("accuracy@oos_recall:2", "there is no metric 'accuracy@oos_recall:2' for this target"),
        ("krippendorff_alpha:ordinal", "no case tells of krippendorff_alpha:ordinal"),
        ("quadratic_kappa", "no case tells of quadratic_kappa"),
        ("oos_auroc", "no case tells of oos_auroc"),
    ],
)
def test_a_metric_that_the_cases_do_not_have_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str, told: str
) -> None:
    run_stub(write_suite(tmp_path, 5), tmp_path / "run", StubTarget(answer=right_but({1})))
    assert score_command(tmp_path / "run", [metric], None, screen()) == FAILED_TO_RUN
    assert told in capsys.readouterr().err


def test_out_of_scope_is_a_kind_for_alpha_as_for_kappa() -> None:
    told = [None, None, "x", "y", None, "y"] * 10
    wanted = [None, "x", "x", "y", "y", None] * 10
    labelled = [
        replace(row, label=Label(*pair))
        for row, pair in zip(rows([True] * 60), zip(wanted, told, strict=True), strict=True)
    ]
    alpha, kappa = figure("krippendorff_alpha", labelled), figure("kappa", labelled)
    assert (alpha.count, kappa.count) == (60, 60)
    assert alpha.value == pytest.approx(kappa.value, abs=0.01)


ROUTER = """\
name: tiny router
target: router
encoder: hashing
intents: {intents}
dataset: cases.jsonl
metrics: [accuracy]
"""


def test_a_regression_from_the_baseline_fails_like_a_gate(tmp_path: Path) -> None:
    """A router that learned from mixed-up examples is worse, which fails the run that is compared."""
    topics = {"tracking": "where is my parcel", "refund": "i want my money back", "hours": "when do you open"}
    fillers = ["please", "today", "now", "again", "thanks", "hello", "quick", "urgent", "sorry", "hm"]
    taught = [(f"{text} {filler}", name) for filler in fillers[:3] for name, text in topics.items()]
    mixed = [(text, list(topics)[(number + 1) % 3]) for number, (text, _) in enumerate(taught)]
    asked = [(f"{filler} {text}", name) for filler in fillers for name, text in topics.items()]
    for file, rows in (("good", taught), ("bad", mixed), ("cases", asked)):
        lines = [
            {"id": str(n), "input": text, "expected": {"intent": name}} for n, (text, name) in enumerate(rows)
        ]
        (tmp_path / f"{file}.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    suite = tmp_path / "router.yaml"
    suite.write_text(ROUTER.format(intents="good.jsonl"))
    assert run_command(Asked(suites=[suite], out=tmp_path / "before"), screen()) == HELD
    assert run_command(Asked(suites=[suite], baseline=tmp_path / "before"), screen()) == HELD
    suite.write_text(ROUTER.format(intents="bad.jsonl"))
    shown = screen()
    junit = tmp_path / "junit.xml"
    asked_for = Asked(suites=[suite], baseline=tmp_path / "before", junit=junit)
    assert run_command(asked_for, shown) == GATE_FAILED
    assert "Worse beyond doubt: accuracy." in shown.file.getvalue()  # type: ignore[attr-defined]
    assert 'name="accuracy"' in junit.read_text()
    assert 'tests="1" failures="1"' in junit.read_text()
    assert 'message="accuracy was 1 and is 0 now"' in junit.read_text()
