"""The tests that come with the sample of invoices hold, and what it shows stays short."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from graphs.workflows.definitions import load_workflows
from tools.assistants import load_assistant

FOLDER = Path(__file__).resolve().parent.parent.parent / "handrail" / "samples" / "invoices"


def _its_tests() -> dict[str, Any]:
    """Load the sample's tests as a developer's pytest would, with their folder on the import path."""
    spec = spec_from_file_location("sample_test_invoices", FOLDER / "test_invoices.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.path.insert(0, str(FOLDER))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return {name: value for name, value in vars(module).items() if name.startswith("test_")}


TESTS = _its_tests()


@pytest.mark.parametrize("name", TESTS)
def test_its_own_tests_hold(name: str) -> None:
    TESTS[name]()


def test_a_workflow_and_its_tests_take_less_than_150_lines() -> None:
    lines = [(FOLDER / name).read_text().splitlines() for name in ("invoices.py", "test_invoices.py")]
    assert sum(map(len, lines)) < 150


def test_the_folder_is_an_assistant_with_the_workflow() -> None:
    found = load_workflows(load_assistant(FOLDER))
    workflow = found["match-invoice"]
    assert (workflow.queue, workflow.priority) == ("accounting", "high")
    lines = (FOLDER / "invoices.jsonl").read_text().splitlines()
    given = [workflow.input.model_validate_json(line) for line in lines]
    assert len(given) == 3
