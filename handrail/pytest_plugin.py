"""The pytest fixture ``handrail_suite``: run a suite inside a test, which fails when a gate does.

    def test_the_assistant_is_good_enough(handrail_suite):
        handrail_suite("../evals/questions.yaml")

The suite runs in a process of its own, so that it meets neither the packages nor the settings of the app's tests;
nothing of Handrail is imported before that.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_SHOWN = 6_000


@dataclass(frozen=True, kw_only=True)
class SuiteRun:
    """What a suite has shown; its gates hold."""

    metrics: dict[str, dict[str, Any]]
    """Figures by name, each with ``value``, ``low``, ``high`` and ``count``."""
    gates: list[dict[str, Any]]
    cases: list[dict[str, Any]]
    """Every case with input, output, scores and what is wrong."""

    def value(self, metric: str) -> float:
        """Return the value of a metric."""
        return float(self.metrics[metric]["value"])


RunSuite = Callable[..., SuiteRun]


@pytest.fixture
def handrail_suite(request: pytest.FixtureRequest, tmp_path: Path) -> RunSuite:
    """Return a function that runs a suite; a path is relative to the test's file.

    It takes ``data`` (what ``${DATA}`` in suites stands for), ``repeat`` and ``baseline``, as
    ``handrail eval run`` does, and returns a ``SuiteRun``.
    """

    def run(
        path: str | Path, *, data: Path | None = None, repeat: int | None = None, baseline: Path | None = None
    ) -> SuiteRun:
        made = tmp_path / "handrail-suite.json"
        command = [sys.executable, "-m", "handrail", "eval", "run", str(request.path.parent / path)]
        for option, value in {"data": data, "repeat": repeat, "baseline": baseline, "json": made}.items():
            command += [] if value is None else [f"--{option}", str(value)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            what = "a gate failed" if done.returncode == 2 else "the suite could not be run"
            pytest.fail(f"{path}: {what}.\n{(done.stdout + done.stderr)[-_SHOWN:]}", pytrace=False)
        found = json.loads(made.read_bytes())
        return SuiteRun(metrics=found["metrics"], gates=found["gates"], cases=found["cases"])

    return run
