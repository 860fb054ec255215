"""What ``handrail eval push`` and ``handrail eval pull`` do: cases and results to and from Langfuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from evals.langfuse import RETRIES, connected
from evals.pulling import pull, write_pulled
from evals.pushing import Announced, check_pushable, push
from evals.runs import find_runs
from graphs.settings import read_settings
from graphs.tracing import telemetry_settings
from policies.errors import ConfigError, InputError
from policies.types import JSON
from tools.telemetry.opening import Langfuse


def push_command(
    folder: Path, dataset: str | None, screen: Console | None = None, *, retries: int = RETRIES
) -> int:
    """Send a run, or several in a folder, with progress on standard error; raises ``HandrailError``.

    Returns the exit code. Every run is checked before any is sent.
    """
    settings = langfuse_settings()
    runs = find_runs(folder)
    for run in runs:
        check_pushable(run)

    async def work(announced: Announced) -> list[str]:
        async with connected(settings, retries=retries) as connection:
            return [str(await push(run, dataset or str(run.head["name"]), connection, announced)) for run in runs]

    with _progress() as announced:
        found = anyio.run(work, announced)
    for told in found:
        (screen or Console()).print(told, markup=False, highlight=False, soft_wrap=True)
    return 0


def pull_command(
    dataset: str, out: Path, screen: Console | None = None, *, force: bool, retries: int = RETRIES
) -> int:
    """Write the items of a dataset as cases and return the exit code; raises ``HandrailError``."""
    settings = langfuse_settings()
    if out.exists() and not force:
        raise InputError(f"{out} is there already.", remedy="Name another file, or add --force to replace it.")

    async def work() -> list[JSON]:
        async with connected(settings, retries=retries) as connection:
            return await pull(dataset, connection)

    cases = anyio.run(work)
    write_pulled(out, cases)
    (screen or Console()).print(f"{len(cases)} cases in {out}.", markup=False, highlight=False, soft_wrap=True)
    return 0


def langfuse_settings() -> Langfuse:
    """Return where Langfuse is; raises ``ConfigError`` if its keys are not set."""
    found = telemetry_settings(read_settings()).langfuse
    if found is None:
        raise ConfigError(
            "The keys of Langfuse are not set.",
            remedy="Set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY to those of a project, and LANGFUSE_BASE_URL "
            "to the server's address unless it is Langfuse's own cloud.",
        )
    return found


@contextmanager
def _progress() -> Iterator[Announced]:
    """Show bars on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def announced(what: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(what, total=total)
            return lambda count: progress.advance(task, count)

        yield announced
