"""Suites of any size over the stub target, and a program that runs one until it is killed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
from rich.console import Console

from evals.cli import Asked, run_prepared
from evals.fakes import Answer, StubTarget, stubbed
from evals.runner import RunReport
from evals.runs import Run, begin_run
from evals.suite import load_suite
from evals.targets.base import Prepared

LABELS = 5
SUITE = "name: stub\ntarget: router\nintents: cases.jsonl\ndataset: cases.jsonl\nmetrics: [accuracy]\n"


def write_suite(folder: Path, count: int, suite: str = SUITE) -> Path:
    """Write a suite of so many cases; case ``i`` has the intent ``i % 5`` and the tag ``even`` or ``odd``."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: Sequence[dict[str, object]] = [
        {
            "id": str(number),
            "input": f"message {number}",
            "expected": {"intent": str(number % LABELS)},
            "tags": ["odd" if number % 2 else "even"],
        }
        for number in range(count)
    ]
    (folder / "cases.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    (folder / "suite.yaml").write_text(suite)
    return folder / "suite.yaml"


def right_but(wrong: range | set[int]) -> Answer:
    """Answer every case of ``write_suite`` but these."""
    return lambda case: "wrong" if int(case.data.id) in wrong else str(int(case.data.id) % LABELS)


def prepared(path: Path, target: StubTarget) -> Prepared:
    """Prepare a suite over the stub."""
    return stubbed(load_suite(path), target)


def run_stub(
    path: Path,
    out: Path,
    target: StubTarget,
    *,
    repeat: int = 1,
    resume: bool = False,
    kept: bool = True,
    screen: Console | None = None,
) -> RunReport:
    """Run a suite over the stub into a folder, as the command does."""
    ready = prepared(path, target)
    run = begin_run(out, ready, {"repeat": repeat, "concurrency": 4}, resume=resume)
    return run_prepared(ready, run, Asked(suites=[path], out=out, kept=kept), out, screen)


def done(run: Run) -> list[tuple[str, int]]:
    """Return which cases a run holds, and which of their repeats."""
    return [(row.id, row.repeat) for row in run]
