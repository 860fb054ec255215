"""What every place for checkpoints must hold to: runs go on where they stopped, stale attempts write nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import anyio
import anyio.to_thread
import pytest
from cryptography.fernet import Fernet
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt

from evals.postgres import private_postgres
from policies.errors import Fenced
from tests.contracts.test_store import a_conversation, a_run
from tools.clock import CountedIds, FixedClock
from tools.storage import checkpoints as checkpoints_module
from tools.storage import runs
from tools.storage.checkpoints import POOL_SIZE, Checkpoints, open_checkpoints, set_up_postgres
from tools.storage.database import open_database
from tools.storage.postgres import conninfo
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Workspace

pytestmark = pytest.mark.anyio


class Said(TypedDict, total=False):
    """The state of a small graph."""

    word: str
    answer: str


Graph = CompiledStateGraph[Said, None, Said, Said]


@dataclass(frozen=True)
class Place:
    """Where checkpoints are, with the rows that fence them."""

    checkpoints: Checkpoints
    workspace: Workspace

    async def claimed(self) -> tuple[str, int]:
        """Make a run and claim it; returns its id and epoch."""
        run = await a_run(self.workspace, await a_conversation(self.workspace))
        return run.id, (await self.workspace.write(lambda tx: runs.claim(tx, run.id))).epoch

    def graph(self, run_id: str, epoch: int) -> Graph:
        """Return a graph that asks once, over the saver of an attempt."""
        built = StateGraph(Said)
        built.add_node("say", lambda _state: {"word": "tea"})
        built.add_node("ask", lambda state: {"answer": interrupt(state["word"])})
        built.add_edge(START, "say")
        built.add_edge("say", "ask")
        built.add_edge("ask", END)
        return built.compile(checkpointer=self.checkpoints.saver(self.workspace.id, run_id, epoch))


@pytest.fixture(name="place", params=["sqlite", "postgres"])
async def place_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    shared = request.param == "postgres"
    url: Callable[[], str] = request.getfixturevalue("new_postgres") if shared else lambda: ""
    rows: Path | str = url() if shared else tmp_path / "rows.db"
    async with (
        open_database(rows) as database,
        open_checkpoints(conninfo(rows) if isinstance(rows, str) else tmp_path / "checkpoints.db") as checkpoints,
    ):
        store = Store(
            database=database,
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _: None,
        )
        yield Place(checkpoints, store.in_workspace("acme"))


def thread(run_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": run_id}}


async def test_another_attempt_goes_on_from_the_question(place: Place) -> None:
    run_id, epoch = await place.claimed()
    asked = await place.graph(run_id, epoch).ainvoke({}, thread(run_id), durability="exit")
    assert [each.value for each in asked["__interrupt__"]] == ["tea"]

    again = (await place.workspace.write(lambda tx: runs.claim(tx, run_id))).epoch
    answered = await place.graph(run_id, again).ainvoke(Command(resume="milk"), thread(run_id), durability="exit")
    assert answered == {"word": "tea", "answer": "milk"}


async def test_pruning_a_run_leaves_the_others(place: Place) -> None:
    kept, gone = await place.claimed(), await place.claimed()
    for run_id, epoch in (kept, gone):
        await place.graph(run_id, epoch).ainvoke({}, thread(run_id), durability="exit")
    assert await place.checkpoints.threads() == {kept[0], gone[0]}
    await place.checkpoints.prune(gone[0])
    assert await place.checkpoints.threads() == {kept[0]}
    await place.checkpoints.prune(gone[0])


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
async def test_a_stale_attempt_can_store_nothing(place: Place) -> None:
    run_id, epoch = await place.claimed()
    await place.workspace.write(lambda tx: runs.claim(tx, run_id))
    with pytest.raises(Fenced):
        await place.graph(run_id, epoch).ainvoke({}, thread(run_id), durability="exit")
    assert await place.checkpoints.threads() == set()


async def test_a_restart_of_the_server_costs_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a machine with much else to do a server takes its time to come back.
    monkeypatch.setattr(checkpoints_module, "POOL_SECONDS", 60.0)
    with private_postgres() as server:
        line = conninfo(server.create("restarted"))
        await set_up_postgres(line)
        async with open_checkpoints(line) as checkpoints:
            async with anyio.create_task_group() as tasks:
                for _ in range(POOL_SIZE):
                    tasks.start_soon(checkpoints.threads)
            await anyio.to_thread.run_sync(server.stop)
            await anyio.to_thread.run_sync(server.start)
            assert [await checkpoints.threads() for _ in range(POOL_SIZE)] == [set()] * POOL_SIZE
