"""A process killed while an effect waits for a person, or after one has approved it: nothing is done twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from policies.types import JSON
from tests.journeys.refunds import LARGE, SENT, opened, write_folder
from tests.journeys.shop import NewPlace
from tests.journeys.till import PROCESSES

pytestmark = pytest.mark.anyio
HANDED_OVER = ("handed_over", "A colleague will answer you here.")


@dataclass
class Dies:
    """Faults that end the process, as kill -9 does, at one place."""

    place: str | None = None

    async def at(self, place: str) -> None:
        """Say where the run is."""
        if place == self.place:
            os.kill(os.getpid(), signal.SIGKILL)


# Where the process dies, and what is left once the shop was opened again: how often it was done, how the receipt
# stands, and how the run ended.
BEFORE_APPROVAL = {
    "effect": (1, ["done"], ("answered", SENT)),
    "pause.done": (1, ["done"], ("answered", SENT)),
}
AFTER_APPROVAL = {
    "claimed": (1, ["done"], ("answered", SENT)),
    "act": (1, ["done"], ("answered", SENT)),
    "act.done": (0, ["unknown"], HANDED_OVER),
    "called": (1, ["unknown"], HANDED_OVER),
    "draft": (1, ["done"], ("answered", SENT)),
    "deliver.done": (1, ["done"], ("answered", SENT)),
}


def kinds(places: Iterable[str], hardest: str) -> list[tuple[str, str]]:
    """Return each place with its kind of database; on PostgreSQL, whose leases are long, the hardest alone."""
    return [*(("sqlite", place) for place in places), ("postgres", hardest)]


@pytest.fixture(name="folder", scope="module")
def folder_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("kills"))


async def _ask(folder: Path, place: JSON, dies: str, approved: bool) -> None:
    faults = Dies(None if approved else dies)
    async with opened(folder, place, faults=faults) as counter:
        conversation = await counter.begin()
        accepted = await counter.product.service.post_message(counter.product.principal, conversation, LARGE)
        (place["data"] / "run").write_text(accepted.run_id)
        await counter.settled()
        if dies == "called":
            (counter.calls.parent / "dies").parent.mkdir(parents=True, exist_ok=True)
            (counter.calls.parent / "dies").touch()
        faults.place = dies
        await counter.decide(accepted.run_id, "approve")


def _run(folder: Path, place: JSON, dies: str, approved: bool) -> None:
    anyio.run(_ask, folder, place, dies, approved)


async def killed(folder: Path, place: JSON, dies: str, *, approved: bool) -> str:
    """Ask in a process of its own that dies at a place, before or after the approval; returns the run."""
    process = PROCESSES.Process(target=_run, args=(folder, place, dies, approved))
    process.start()
    await anyio.to_thread.run_sync(process.join)
    assert process.exitcode == -signal.SIGKILL
    process.close()
    data = Path(place["data"])
    await anyio.Path(data / "tools" / "tea-shop" / "dies").unlink(missing_ok=True)
    return await anyio.Path(data / "run").read_text()


@pytest.mark.parametrize(("new_place", "dies"), kinds(BEFORE_APPROVAL, "pause.done"), indirect=["new_place"])
async def test_a_process_that_dies_before_the_approval(folder: Path, new_place: NewPlace, dies: str) -> None:
    place = {**new_place(), "lease_seconds": 1}
    run = await killed(folder, place, dies, approved=False)
    async with opened(folder, place) as counter:
        with anyio.fail_after(60):
            while (await counter.ending(run))[0] != "review":  # noqa: ASYNC110
                await anyio.sleep(0.02)
        await counter.decide(run, "approve")
        left = (len(counter.done), await counter.receipts(run), await counter.ending(run))
    assert left == BEFORE_APPROVAL[dies]


@pytest.mark.parametrize(("new_place", "dies"), kinds(AFTER_APPROVAL, "called"), indirect=["new_place"])
async def test_a_process_that_dies_after_the_approval(folder: Path, new_place: NewPlace, dies: str) -> None:
    place = {**new_place(), "lease_seconds": 1}
    run = await killed(folder, place, dies, approved=True)
    async with opened(folder, place) as counter:
        with anyio.fail_after(60):
            async for _ in counter.product.service.run_events(counter.product.principal, run):
                pass
            while (await counter.ending(run))[0] in (None, "review"):  # noqa: ASYNC110
                await anyio.sleep(0.02)
        left = (len(counter.done), await counter.receipts(run), await counter.ending(run))
    assert left == AFTER_APPROVAL[dies]
