"""The command line of the soak: parts, counts, backends; progress on standard error, JSON on standard output."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from handrail.soak.disconnects import Cutting
from handrail.soak.kills import Killing
from handrail.soak.nursery import Nursery, open_nursery
from handrail.soak.place import NewDatabase, Place, databases, open_place
from handrail.soak.turns import Turning
from handrail.soak.waiting import Waiting

JSON = dict[str, Any]
PARTS = ("kills", "disconnects", "turns", "waiting")
Tick = Callable[[int], None]
Trial = Callable[[Place, Nursery, Tick], Awaitable[JSON]]
SECONDS = {"kills": 1800, "disconnects": 600, "turns": 1800, "waiting": 1800}
"""A part that takes longer is broken off."""
LOG = 4_000
"""How much of the processes' log is shown where a part could not go on."""


def trial(part: str, wanted: argparse.Namespace) -> tuple[Trial, int]:
    """Return what a part does over one place, and how far it counts."""
    if part == "kills":
        half = max(1, wanted.kills // 2)
        return lambda p, n, t: Killing(place=p, nursery=n, kills=half, tick=t).run(), half
    if part == "disconnects":
        count = wanted.disconnects
        return lambda p, n, t: Cutting(place=p, nursery=n, cuts=count, tick=t).run(), count
    if part == "turns":
        count, every = wanted.turns, max(20, wanted.turns // 5)
        whole = (count // every + 1) * every + every // 10
        return lambda p, n, t: Turning(place=p, nursery=n, turns=count, every=every, tick=t).run(), whole
    count, warm = wanted.waiting, max(20, wanted.waiting // 10)
    return lambda p, n, t: Waiting(place=p, nursery=n, runs=count, warm=warm, tick=t).run(), count + warm


async def run_part(
    part: str, wanted: argparse.Namespace, new: NewDatabase | None, folder: Path, tick: Tick
) -> JSON:
    """Run one part over a fresh place. Half of the kills are done over an assistant that has effects."""
    work, _ = trial(part, wanted)
    results = []
    for effects in (False, True) if part == "kills" else (False,):
        async with open_nursery(folder / "log") as nursery, open_place(folder, new, effects=effects) as place:
            with anyio.fail_after(SECONDS[part]):
                results.append(await work(place, nursery, tick))
    return results[0] if len(results) == 1 else {"without_effects": results[0], "with_effects": results[1]}


def soak(wanted: argparse.Namespace, folder: Path, progress: Progress, found: JSON) -> None:
    """Run all parts that are wanted, one after the other; ``found`` has what each came to."""
    for backend in ("sqlite", "postgres") if wanted.backend == "both" else (wanted.backend,):
        with _maker(backend, folder) as new:
            for part in wanted.only:
                task = progress.add_task(f"{part}, {backend}", total=trial(part, wanted)[1])
                tick: Tick = lambda at, task=task: progress.update(task, completed=at)  # type: ignore[misc]  # noqa: E731
                result = found.setdefault(part, {})
                try:
                    result[backend] = anyio.run(run_part, part, wanted, new, folder, tick)
                except Exception as error:
                    result[backend] = {"broken": causes(error), "log": (folder / "log").read_text()[-LOG:]}


def causes(error: BaseException) -> list[str]:
    """Return what went wrong in plain words, each error of a group by itself."""
    if isinstance(error, BaseExceptionGroup):
        return [each for inner in error.exceptions for each in causes(inner)]
    return [f"{type(error).__name__}: {error}"]


@contextmanager
def _maker(backend: str, folder: Path) -> Iterator[NewDatabase | None]:
    if backend == "sqlite":
        yield None
        return
    with databases(folder, durable=True) as new:
        yield new


def broken(found: Any) -> list[str]:
    """Return every promise that did not hold, wherever it stands in a result."""
    if isinstance(found, dict):
        return [*found.get("broken", []), *(each for value in found.values() for each in broken(value))]
    return []


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m handrail.soak", description=__doc__)
    parser.add_argument("--backend", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given more than once")
    parser.add_argument("--kills", type=int, default=200, help="half of them over an assistant with effects")
    parser.add_argument("--disconnects", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=5_000)
    parser.add_argument("--waiting", type=int, default=10_000)
    wanted = parser.parse_args(arguments)
    wanted.only = wanted.only or list(PARTS)
    return wanted


def main() -> None:
    """Run the soak, print its figures, and exit 1 when a promise is broken."""
    wanted = parse()
    found: JSON = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="handrail-soak-") as folder,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        try:
            soak(wanted, Path(folder), progress, found)
        except KeyboardInterrupt:
            found["broken"] = ["It was interrupted before its end."]
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
    problems = broken(found)
    print(json.dumps({"machine": machine, **found, "kept": not problems}, indent=2))  # noqa: T201
    for each in problems:
        print(f"broken: {each}", file=sys.stderr)  # noqa: T201
    sys.exit(1 if problems else 0)
