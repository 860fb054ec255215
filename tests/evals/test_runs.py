"""A run is kept as it goes, goes on where it was interrupted, and takes nothing that belongs to another."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from rich.console import Console

from evals.cases import Case, RouterCase
from evals.fakes import StubTarget
from evals.rows import Label, Row, parse_row
from evals.runner import CaseFailed
from evals.runs import CASES, HEAD, begin_run, open_run
from evals.targets.base import Observation
from graphs.settings import SAMPLE
from handrail.scaffold import write_assistant
from policies.errors import ConfigError, InputError
from tests.evals.stubs import SUITE, done, prepared, right_but, run_stub, write_suite
from tools.assistants import load_assistant

STUB = StubTarget(answer=right_but({3}))
KILLED = """
import sys
from pathlib import Path
from evals.fakes import StubTarget
from tests.evals.stubs import right_but, run_stub
run_stub(Path(sys.argv[1]), Path(sys.argv[2]), StubTarget(answer=right_but({3}), seconds=0.002))
"""
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Counting:
    """A stub that remembers what it was asked, and breaks down after so many cases."""

    stub: StubTarget
    most: int = 10_000
    asked: list[str] = field(default_factory=list)

    async def run(self, case: Case[RouterCase]) -> Observation:
        """Answer, or break."""
        if len(self.asked) == self.most:
            raise RuntimeError("no more today")
        self.asked.append(case.data.id)
        return await self.stub.run(case)


def test_a_row_survives_its_line() -> None:
    row = Row(
        place=1,
        repeat=2,
        id="a",
        dataset="cases.jsonl",
        file="/x/cases.jsonl",
        line=7,
        tags=("t",),
        input={"turns": ["hello"]},
        expected={"intent": None},
        output={"intent": "a"},
        scores={"accuracy": 1.0},
        label=Label(None, "a"),
        wrong="a; not out of scope",
        latency_ms=1.5,
        cost=0.01,
        trace_id="f" * 32,
    )
    assert parse_row(row.to_line()) == row
    assert parse_row(row.slim().to_line()).input is None


def test_a_run_keeps_its_cases_and_what_they_showed(tmp_path: Path) -> None:
    report = run_stub(write_suite(tmp_path, 10), tmp_path / "run", STUB, repeat=2)
    run = open_run(tmp_path / "run")
    head: dict[str, Any] = run.head
    assert sorted(done(run)) == sorted((str(number), repeat) for number in range(10) for repeat in (0, 1))
    assert (head["status"], head["passed"], head["rows"], head["wrong"]) == ("finished", True, 20, 2)
    assert head["metrics"]["accuracy"]["value"] == report.figures["accuracy"].value == 0.9
    assert set(head["tags"]["accuracy"]) == {"even", "odd"}
    assert set(head["versions"]) == {"handrail", "python", "assistant", "git_commit", "git_changed"}
    assert set(head["digests"]) == {"suite", "cases", "intents"}
    assert (head["settings"]["repeat"], head["expected_rows"], head["seed"]) == (2, 20, 20_251)
    assert head["curves"]["roc"] == {"score": "in_scope", "truth": "known"}


def test_an_interrupted_run_goes_on_without_repeating_a_case(tmp_path: Path) -> None:
    path, out = write_suite(tmp_path, 20), tmp_path / "run"
    first = Counting(STUB, most=12)
    with pytest.raises(CaseFailed, match="no more today"):
        run_stub(path, out, first)  # type: ignore[arg-type]  # as good as the stub
    before = open_run(out).head
    assert (before["status"], before["seconds"] > 0) == ("running", True)
    second = Counting(STUB)
    report = run_stub(path, out, second, resume=True)  # type: ignore[arg-type]
    assert (len(first.asked), len(second.asked)) == (12, 8)
    assert sorted(first.asked + second.asked, key=int) == [str(number) for number in range(20)]
    assert (report.count, report.figures["accuracy"].value) == (20, 0.95)
    assert report.seconds > before["seconds"]


def test_a_run_that_never_got_to_a_case_is_begun_anew(tmp_path: Path) -> None:
    path, out = write_suite(tmp_path, 5), tmp_path / "run"
    with pytest.raises(CaseFailed):
        run_stub(path, out, Counting(STUB, most=0))  # type: ignore[arg-type]
    write_suite(tmp_path, 6)
    assert run_stub(path, out, STUB).count == 6


def test_a_run_that_is_finished_is_not_run_again(tmp_path: Path) -> None:
    path, out = write_suite(tmp_path, 5), tmp_path / "run"
    run_stub(path, out, STUB)
    before = (out / HEAD).read_bytes()
    again = Counting(STUB, most=0)
    report = run_stub(path, out, again)  # type: ignore[arg-type]
    assert (report.figures["accuracy"].value, (out / HEAD).read_bytes()) == (0.8, before)


def test_what_is_finished_is_shown_without_a_bar(tmp_path: Path) -> None:
    path, out = write_suite(tmp_path, 5), tmp_path / "run"
    assert "measuring" in shown(path, out)
    again = shown(path, out)
    assert again.startswith(f"{out} holds this run, finished; nothing is run again.")
    assert again.count("\n") == 1


def shown(path: Path, out: Path) -> str:
    """Run a suite and return what was printed beside its results."""
    screen = Console(file=io.StringIO(), width=200)
    run_stub(path, out, STUB, screen=screen)
    return screen.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@dataclass
class Interrupted(Counting):
    """A stub at whose last case somebody presses Ctrl-C."""

    async def run(self, case: Case[RouterCase]) -> Observation:
        """Answer, or be interrupted and wait for what comes of it."""
        if len(self.asked) == self.most:
            signal.raise_signal(signal.SIGINT)
            await anyio.sleep_forever()
        return await super().run(case)


@pytest.mark.parametrize(
    ("kept", "then"), [(True, "the same command goes on"), (False, "nothing is kept without --out")]
)
def test_ctrl_c_says_how_far_it_came_and_what_becomes_of_it(tmp_path: Path, kept: bool, then: str) -> None:
    path, out, screen = write_suite(tmp_path, 20), tmp_path / "run", Console(file=io.StringIO(), width=200)
    # A shell that starts something in the background lets it ignore this signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_stub(path, out, Interrupted(STUB, most=12), screen=screen, kept=kept)  # type: ignore[arg-type]
    finally:
        signal.signal(signal.SIGINT, before)
    last = screen.file.getvalue().splitlines()[-1]  # type: ignore[attr-defined]
    assert last == f"stub: stopped after 12 of 20; {then}."
    assert run_stub(path, out, STUB).count == 20


def test_a_line_that_was_cut_off_counts_as_not_run(tmp_path: Path) -> None:
    path, out = write_suite(tmp_path, 5), tmp_path / "run"
    run_stub(path, out, STUB)
    cases = out / CASES
    cases.write_bytes(cases.read_bytes()[:-20])
    assert len(done(open_run(out))) == 4
    again = Counting(STUB)
    report = run_stub(path, out, again)  # type: ignore[arg-type]
    assert (len(again.asked), report.count) == (1, 5)


def test_a_line_that_is_no_row_is_told_with_its_number(tmp_path: Path) -> None:
    run_stub(write_suite(tmp_path, 3), tmp_path / "run", STUB)
    cases = tmp_path / "run" / CASES
    cases.write_bytes(b'{"id": 1}\n' + cases.read_bytes())
    with pytest.raises(InputError, match=r"cases\.jsonl:1: this is no row of a run"):
        done(open_run(tmp_path / "run"))


def test_a_run_of_other_cases_or_another_suite_or_other_settings_is_refused(tmp_path: Path) -> None:
    path, out = write_suite(tmp_path, 5), tmp_path / "run"
    run_stub(path, out, STUB)
    with pytest.raises(ConfigError, match="another repeat"):
        run_stub(path, out, STUB, repeat=2)
    write_suite(tmp_path, 5, SUITE.replace("stub", "other"))
    with pytest.raises(ConfigError, match="another suite"):
        run_stub(path, out, STUB)
    write_suite(tmp_path, 6)
    with pytest.raises(ConfigError, match=r"another cases, intents\. Name another folder with --out"):
        run_stub(path, out, STUB)
    head = orjson.loads((out / HEAD).read_bytes())
    head["versions"]["assistant"] = "older"
    (out / HEAD).write_bytes(orjson.dumps(head))
    write_suite(tmp_path, 5)
    with pytest.raises(ConfigError, match="another assistant"):
        run_stub(path, out, STUB)


ASSISTED = "name: stub\ntarget: {}\nassistant: shop\ndataset: cases.jsonl\nmetrics: [latency]\n"


@pytest.mark.parametrize("target", ["router", "guard:injection", "conversation", "attack", "retriever"])
def test_a_run_over_other_articles_is_refused(tmp_path: Path, target: str) -> None:
    knowledge = tmp_path / "shop" / "knowledge"
    write_assistant(tmp_path / "shop")
    (knowledge / "hours.md").write_text("# Opening hours\n\nWe are open from nine to five.\n")
    suite = ASSISTED.format(target)
    if target == "retriever":
        suite = suite.replace("assistant: shop", "knowledge: shop/knowledge")
    path, out = write_suite(tmp_path, 5, suite), tmp_path / "run"
    run_stub(path, out, STUB)
    assert run_stub(path, out, STUB, resume=True).count == 5
    (knowledge / "hours.md").rename(knowledge / "open.md")
    with pytest.raises(ConfigError, match="holds a run with another knowledge"):
        run_stub(path, out, STUB)
    (knowledge / "hours.md").write_text("# Opening hours\n\nWe are open from nine to six.\n")
    (knowledge / "open.md").unlink()
    with pytest.raises(ConfigError, match="holds a run with another knowledge"):
        run_stub(path, out, STUB)


def test_a_suite_that_names_no_assistant_is_tied_to_the_articles_of_the_sample(tmp_path: Path) -> None:
    suite = "name: stub\ntarget: guard:injection\ndataset: cases.jsonl\nmetrics: [latency]\n"
    run_stub(write_suite(tmp_path, 2, suite), tmp_path / "run", STUB)
    head = open_run(tmp_path / "run").head
    assert set(head["digests"]) == {"suite", "cases", "knowledge"}
    assert head["versions"]["assistant"] == load_assistant(SAMPLE).version


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no run to resume"):
        run_stub(write_suite(tmp_path, 2), tmp_path / "run", STUB, resume=True)


def test_two_processes_do_not_write_one_run(tmp_path: Path) -> None:
    path, out = write_suite(tmp_path, 2), tmp_path / "run"
    ready = prepared(path, STUB)
    settings = {"repeat": 1, "concurrency": 4}
    with begin_run(out, ready, settings), pytest.raises(InputError, match="another process writes this run"):
        run_stub(path, out, STUB)


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run"):
        open_run(tmp_path)
    (tmp_path / HEAD).write_bytes(b'{"format": 99}')
    with pytest.raises(InputError, match="the format is not 1"):
        open_run(tmp_path)


def test_a_run_that_was_killed_goes_on_without_repeating_a_case(tmp_path: Path) -> None:
    path, out = write_suite(tmp_path, 400), tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), str(out)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    limit = time.monotonic() + 60
    while not (out / CASES).exists() or (out / CASES).read_bytes().count(b"\n") < 40:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < limit, "it did not get far enough"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = done(open_run(out))
    assert 40 <= len(before) < 400
    again = Counting(STUB)
    report = run_stub(path, out, again)  # type: ignore[arg-type]
    assert set(again.asked).isdisjoint(name for name, _ in before)
    assert (len(again.asked) + len(before), report.count) == (400, 400)
    assert sorted(int(name) for name, _ in done(open_run(out))) == list(range(400))


def test_memory_does_not_grow_with_what_comes_out(tmp_path: Path) -> None:
    """Outputs of 20 MB and of 2 MB need the same memory: they go to the disk at once."""
    peaks = []
    for size in (5_000, 50_000):
        path = write_suite(tmp_path / str(size), 400)
        tracemalloc.start()
        report = run_stub(path, tmp_path / f"run-{size}", StubTarget(answer=right_but(set()), filling="x" * size))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert report.count == 400
    assert peaks[1] < peaks[0] + 2_000_000
