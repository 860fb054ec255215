"""A developer's test runs a suite, and fails with what the suite says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEST = """
def test_it_is_good_enough(handrail_suite):
    found = handrail_suite("suite.yaml")
    assert found.value("accuracy") == 1.0
    assert [case["id"] for case in found.cases] == ["1", "2"]
"""
SUITE = """\
name: tiny
target: router
encoder: hashing
intents: intents.jsonl
dataset: cases.jsonl
metrics: [accuracy]
gates: {accuracy: ">= %s"}
"""
INTENTS = "".join(
    json.dumps({"id": f"{name} {word}", "input": f"{text} {word}", "expected": {"intent": name}}) + "\n"
    for name, text in (("tracking", "where is my parcel"), ("refund", "i want my money back"))
    for word in ("please", "now", "today", "again")
)
CASES = """\
{"id": "1", "input": "where is my parcel", "expected": {"intent": "tracking"}}
{"id": "2", "input": "i want my money back", "expected": {"intent": "refund"}}
"""


def run_test(folder: Path, limit: str) -> subprocess.CompletedProcess[str]:
    """Run a test file that uses the fixture, in a project of its own."""
    for name, text in {
        "test_it.py": TEST,
        "suite.yaml": SUITE % limit,
        "cases.jsonl": CASES,
        "intents.jsonl": INTENTS,
    }.items():
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "handrail.pytest_plugin", "-p", "no:cacheprovider"]
    told = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")} | told
    return subprocess.run(
        [*command, "test_it.py"], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("limit", "told"), [("0.5", "1 passed"), ("2.0", "FAILED"), ("good", "there is no metric")]
)
def test_a_suite_passes_or_fails_a_test(tmp_path: Path, limit: str, told: str) -> None:
    done = run_test(tmp_path, limit)
    assert (done.returncode == 0) == (limit == "0.5"), done.stdout + done.stderr
    assert told in done.stdout


def test_pytest_finds_the_plugin_and_it_brings_nothing_heavy() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"handrail": "handrail.pytest_plugin"}
    program = (
        "import sys, handrail.pytest_plugin\n"
        "print([name for name in ('evals', 'graphs', 'tools', 'numpy', 'typer') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
