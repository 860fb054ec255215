"""A run to Langfuse: items of a dataset, an experiment over them and scores.

What was sent is sent again to the same place, so a push that was interrupted is simply repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import anyio
import orjson
from langfuse.api import DatasetItem

from evals.experiments import OURS, OWN, Cases, Experiment, Item, item_id
from evals.langfuse import Connection
from evals.pulling import names_of
from evals.runs import Run
from policies.errors import HandrailError, InputError
from policies.types import JSON

AT_ONCE = 8
"""Requests at the same time."""
BATCH = 100
BATCH_BYTES = 700_000
"""Langfuse refuses bodies of more than a megabyte."""
UNFIT = "pii"
"""The target whose cases are worth nothing without the personal data in them."""
T = TypeVar("T")


class Announced(Protocol):
    """Told how far a push is."""

    def __call__(self, what: str, total: int, /) -> Callable[[int], None]:
        """Begin a part of it, and return what is to be told how many more of that part are done."""
        ...


@dataclass(kw_only=True)
class Pushed:
    """What a push has done."""

    dataset: str
    experiment: str
    address: str
    """Where the experiment can be seen."""
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    masked: int = 0
    """How many cases hold placeholders where personal data stood."""
    results: int = 0
    scores: int = 0

    def __str__(self) -> str:
        """Return it in words."""
        items = f"{self.new} new, {self.changed} changed, {self.unchanged} unchanged items"
        masked = f"; personal data was replaced by placeholders in {self.masked}" if self.masked else ""
        found = f"{self.results} results, {self.scores} scores"
        return (
            f"Dataset {self.dataset!r}: {items}{masked}.\nExperiment {self.experiment!r}: {found}.\n{self.address}"
        )


def check_pushable(run: Run) -> None:
    """Raise ``InputError`` if a run is not to be sent to anybody, or not yet."""
    name, figures = run.head["name"], f"Share its figures, which are in {run.folder}/run.json."
    if run.head["private"]:
        told = "its cases are held back from those who work on the product, and Langfuse would show them"
        raise InputError(f"{run.folder}: the suite {name!r} is private: {told}.", remedy=figures)
    if run.head["target"] == UNFIT:
        told = "say where personal data stands, and that does not leave this machine"
        raise InputError(f"{run.folder}: the cases of {name!r} {told}.", remedy=figures)
    if not run.finished:
        remedy = f"Finish it with `handrail eval run {run.head['suite']} --out {run.folder}`."
        raise InputError(f"{run.folder}: this run is not finished.", remedy=remedy)


async def push(run: Run, dataset: str, connection: Connection, announced: Announced) -> Pushed:
    """Make a run's cases items of a dataset, and the run an experiment over it with its scores."""
    cases = Cases(run)
    project = await connection.project_id()
    dataset_id = await connection.dataset_id(dataset) or await connection.add_dataset(dataset)
    there = await connection.items(dataset)
    ids = _places(map(cases.name, cases.rows()), dataset, there)
    experiment = Experiment(run, cases, project, dataset_id, ids)
    pushed = Pushed(
        dataset=dataset,
        experiment=experiment.name,
        address=f"{connection.url}/project/{project}/experiments/results?baseline={experiment.id}",
    )
    done = announced("cases", cases.count)

    async def put(item: Item) -> None:
        await _put(item, ids[item.name], there, connection, pushed)
        done(1)

    await _each(map(cases.item, cases.rows()), put)
    pushed.results = await _send(experiment.spans(), connection.send_spans, announced("results", cases.results))
    pushed.scores = await _send(experiment.scores(), connection.send_scores, announced("scores", cases.scores))
    return pushed


def _places(names: Iterable[str], dataset: str, there: dict[str, DatasetItem]) -> dict[str, str]:
    """Return the id of each case's item: one that was made in Langfuse and pulled from there keeps its own."""
    known = names_of(there.values())
    found = {}
    for name in names:
        own = item_id(dataset, name)
        found[name] = str(known[name].id) if name in known and own not in there else own
    return found


async def _put(
    item: Item, place: str, there: dict[str, DatasetItem], connection: Connection, pushed: Pushed
) -> None:
    """Add or replace an item, unless it stands there just so: Langfuse would keep a new version of it."""
    old = there.get(place)
    content = item.content | {"metadata": _metadata(item.content["metadata"], old)}
    pushed.masked += item.masked
    if old and content == {
        "input": old.input,
        "expected_output": old.expected_output,
        "metadata": old.metadata or {},
    }:
        pushed.unchanged += 1
        return
    await connection.put_item(pushed.dataset, place, content)
    pushed.changed += old is not None
    pushed.new += old is None


def _metadata(ours: JSON, old: DatasetItem | None) -> JSON:
    """Return what an item is to say about itself; what others have said there stays."""
    if old is None:
        return ours
    theirs = old.metadata if isinstance(old.metadata, dict) else {}
    if old.id.startswith(OURS):
        return {name: it for name, it in theirs.items() if name not in OWN} | ours
    return theirs | {name: it for name, it in ours.items() if not (name == "id" and it == old.id)}


async def _each(things: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Do work for each thing, some at a time; the first error ends it."""
    left = iter(things)
    failed: list[HandrailError] = []

    async def some() -> None:
        try:
            for each in left:
                await work(each)
        except HandrailError as error:
            failed.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(some)
    if failed:
        raise failed[0]


async def _send(
    things: Iterable[JSON], send: Callable[[list[JSON]], Awaitable[None]], done: Callable[[int], None]
) -> int:
    """Send things in batches and return how many there were."""
    count = 0

    async def one(batch: list[JSON]) -> None:
        nonlocal count
        await send(batch)
        count += len(batch)
        done(len(batch))

    await _each(_batches(things), one)
    return count


def _batches(things: Iterable[JSON]) -> Iterator[list[JSON]]:
    batch: list[JSON] = []
    size = 0
    for each in things:
        own = len(orjson.dumps(each))
        if batch and (len(batch) == BATCH or size + own > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += own
    if batch:
        yield batch
