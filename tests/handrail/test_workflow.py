"""Lines of a file become runs: wrong ones are named before anything runs, results come in order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from rich.console import Console

from handrail.door import Door
from handrail.workflow import Line, read_lines, require_fitting, run_lines, show_workflows
from policies.errors import InputError

pytestmark = pytest.mark.anyio
JSON = dict[str, Any]


class Runs:
    """Runs a workflow that comes to what its input says, the earlier the later; a key is run once."""

    def __init__(self) -> None:
        self.keys: dict[str, JSON] = {}

    async def check_inputs(self, _name: str, inputs: Sequence[Any]) -> list[JSON]:
        """Refuse numbers."""
        return [
            {"index": index, "pointer": "/end", "detail": "Not a text"}
            for index, each in enumerate(inputs)
            if isinstance(each["end"], int)
        ]

    async def run_workflow(self, _name: str, given: JSON, *, key: str) -> JSON:
        """Run it."""
        if key not in self.keys:
            await anyio.sleep(0.05 - 0.01 * len(self.keys))
            self.keys[key] = {
                "run_id": f"run_{len(self.keys)}",
                "status": "waiting" if given["end"] == "review" else "finished",
                "outcome": given["end"],
                "output": None,
                "reasons": [],
                "review_id": None,
            }
        return self.keys[key]


def lines(*ends: str) -> list[Line]:
    return [Line(number, {"end": end}, 10) for number, end in enumerate(ends, start=1)]


async def run(runs: Runs, *ends: str, again: bool = False) -> tuple[int, list[JSON], str]:
    """Run lines; returns the exit code, the results and what is said of them."""
    target, said = StringIO(), StringIO()
    door, console = cast(Door, runs), Console(file=said)
    code = await run_lines(door, console, "errand", lines(*ends), target, again=again)
    return code, [json.loads(line) for line in target.getvalue().splitlines()], said.getvalue().strip()


async def test_results_come_in_the_order_of_the_lines() -> None:
    code, found, said = await run(Runs(), "done", "done", "review")
    assert [(each["line"], each["outcome"]) for each in found] == [(1, "done"), (2, "done"), (3, "review")]
    assert (code, said) == (0, "3 lines: 2 done, 1 waiting for a person.")


async def test_a_failed_run_is_told_by_the_exit_code() -> None:
    code, _, said = await run(Runs(), "done", "failed")
    assert (code, said) == (2, "2 lines: 1 done, 1 failed.")


async def test_a_repeated_call_finds_its_runs_unless_asked_to_run_anew() -> None:
    runs = Runs()
    first = await run(runs, "done", "done")
    assert (await run(runs, "done", "done"), len(runs.keys)) == (first, 2)
    await run(runs, "done", "done", again=True)
    assert len(runs.keys) == 4


async def test_wrong_lines_are_named_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    path.write_text('{"end": "done"}\n\n{"end": 1}\n')
    with pytest.raises(InputError) as error:
        await require_fitting(cast(Door, Runs()), "errand", path, read_lines(path))
    assert error.value.message == f"{path}:3: at /end Not a text."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"end": 1}\nno\n{', "{path}:2: this is not JSON: "),
        ('{"end": NaN}', "{path}:1: this is not JSON: NaN is no number of JSON."),
        ("\n \n", "{path}: there is nothing in it."),
        ('"' + "x" * 200_001 + '"', "{path}:1: the line has 200003 characters, more than 200000."),
    ],
    ids=["broken", "not a number", "empty", "too long"],
)
async def test_what_can_not_be_read_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_lines(path)
    assert said.format(path=path) in error.value.message


async def test_workflows_are_listed_and_that_there_are_none_is_said() -> None:
    said = StringIO()
    errand = {"name": "errand", "description": "Runs one.", "input": {"required": ["end"]}}
    show_workflows([], Console(file=said))
    show_workflows([errand], Console(file=said))
    assert said.getvalue().splitlines() == [
        "This assistant has no workflows: assistant.yaml names none under `workflows`.",
        "errand: Runs one. It needs: end.",
    ]
