"""``handrail workflow``: an assistant's own workflows, run over the lines of a file."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from handrail.door import Door
from handrail.terminal import entered
from policies.errors import InputError

if TYPE_CHECKING:
    from graphs.settings import Settings

JSON = dict[str, Any]
AT_ONCE = 16
LARGEST_LINE = 200_000
CHECKED_AT_ONCE = 150_000
"""Characters of lines that one request checks: a server reads 256 KiB."""
_SHOWN = ("run_id", "status", "outcome", "output", "reasons", "review_id")


@dataclass(frozen=True)
class Line:
    """One input of a file."""

    number: int
    input: Any
    size: int

    def key(self, name: str, salt: str) -> str:
        """Return what makes a repeated call find the run of the first: workflow, place and content."""
        said = json.dumps([name, self.number, self.input, salt], sort_keys=True)
        return f"line-{hashlib.sha256(said.encode()).hexdigest()}"


def read_lines(path: Path) -> list[Line]:
    """Return the inputs of a file of JSON lines, empty ones left out; raises ``InputError`` with file and line."""
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: can't be read: {error}.", remedy="Name a file of JSON lines in UTF-8."
        ) from error
    found, wrong = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(Line(number, json.loads(line, parse_constant=_refuse), len(line)))
        except ValueError as error:
            wrong.append(f"{path}:{number}: this is not JSON: {error}.")
        if len(line) > LARGEST_LINE:
            wrong.append(f"{path}:{number}: the line has {len(line)} characters, more than {LARGEST_LINE}.")
    if wrong:
        raise InputError("\n".join(wrong), remedy="Mend the lines named; nothing was run.")
    if not found:
        raise InputError(f"{path}: there is nothing in it.", remedy="Write one input on each line.")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


async def run_file(
    settings: Settings, err: Console, name: str, path: Path, *, out: Path | None, again: bool
) -> int:
    """Run a workflow on each line of a file and write the results in their order; returns the exit code.

    All lines are checked before the first is run. A repeated call finds the runs of the first, for a day, unless
    ``again``: so one that was cut off is simply repeated.
    """
    lines = read_lines(path)
    async with entered(settings) as door:
        await require_fitting(door, name, path, lines)
        with ExitStack() as files:
            target = files.enter_context(out.open("w", encoding="utf-8")) if out else sys.stdout
            return await run_lines(door, err, name, lines, target, again=again)


async def run_lines(
    door: Door, err: Console, name: str, lines: Sequence[Line], target: TextIO, *, again: bool
) -> int:
    """Run a workflow on inputs that were checked, and say how they ended; returns the exit code."""
    results = _Results(target)
    await _run_all(door, err, name, lines, secrets.token_hex(8) if again else "", results)
    waits, counts = results.counts.pop("review", 0), results.counts
    told = [f"{counts[each]} {each}" for each in sorted(counts)] + (
        [f"{waits} waiting for a person"] if waits else []
    )
    err.print(f"{len(lines)} lines: {', '.join(told)}.", markup=False, soft_wrap=True)
    return 0 if not counts.keys() - {"done"} else 2


async def require_fitting(door: Door, name: str, path: Path, lines: Sequence[Line]) -> None:
    """Make sure that the workflow takes every line; raises ``InputError`` with file and line where it does not."""
    wrong = []
    for piece in _pieces(lines):
        for each in await door.check_inputs(name, [line.input for line in piece]):
            place = f" at {each['pointer']}" if each["pointer"] else ""
            wrong.append(f"{path}:{piece[each['index']].number}:{place} {each['detail']}.")
    if wrong:
        raise InputError("\n".join(wrong), remedy="Mend the lines named; nothing was run.", code="workflow.input")


def _pieces(lines: Sequence[Line]) -> Iterator[list[Line]]:
    piece: list[Line] = []
    for line in lines:
        if piece and (len(piece) == 500 or sum(each.size for each in piece) + line.size > CHECKED_AT_ONCE):
            yield piece
            piece = []
        piece.append(line)
    yield piece


@dataclass
class _Results:
    """Writes results in the order of their lines, each as soon as those before it are there."""

    target: TextIO
    counts: Counter[str] = field(default_factory=Counter)
    _next: int = 0
    _held: dict[int, JSON] = field(default_factory=dict)

    def add(self, place: int, line: Line, run: JSON) -> None:
        """Take the result of one line."""
        self.counts[str(run["outcome"])] += 1
        self._held[place] = {"line": line.number, **{each: run[each] for each in _SHOWN}}
        while self._next in self._held:
            print(json.dumps(self._held.pop(self._next), ensure_ascii=False), file=self.target, flush=True)
            self._next += 1


async def _run_all(
    door: Door, err: Console, name: str, lines: Sequence[Line], salt: str, results: _Results
) -> None:
    waiting = iter(enumerate(lines))
    columns = (SpinnerColumn(), TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task(name, total=len(lines))

        async def work() -> None:
            for place, line in waiting:
                results.add(place, line, await door.run_workflow(name, line.input, key=line.key(name, salt)))
                bar.advance(task)

        async with anyio.create_task_group() as group:
            for _ in range(min(AT_ONCE, len(lines))):
                group.start_soon(work)


async def list_workflows(settings: Settings, out: Console) -> int:
    """Print the workflows of an assistant and what each takes; returns the exit code."""
    async with entered(settings) as door:
        show_workflows(await door.workflows(), out)
    return 0


def show_workflows(found: Sequence[JSON], out: Console) -> None:
    """Print workflows and what each takes, or that there are none."""
    if not found:
        out.print("This assistant has no workflows: assistant.yaml names none under `workflows`.", soft_wrap=True)
    for each in found:
        required = ", ".join(each["input"].get("required", ())) or "nothing"
        out.print(f"{each['name']}: {each['description']} It needs: {required}.", markup=False, soft_wrap=True)
