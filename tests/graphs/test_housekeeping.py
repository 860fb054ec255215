"""One round of house-keeping deletes what is over, keeps what is not, and survives a part that fails."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint

from graphs.housekeeping import Swept, keep_house
from graphs.segments import Segments
from graphs.support import build_support_graph
from graphs.team import Team
from tools.clock import CountedIds, FixedClock
from tools.jobs.embedded import EmbeddedJobs
from tools.models.ports import Account, Usage
from tools.storage import conversations, events, idempotency, ledger, runs
from tools.storage.audit.keys import LedgerKey
from tools.storage.checkpoints import open_checkpoints
from tools.storage.database import open_database
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.sealing import Sealer
from tools.storage.spending import StoredSpending
from tools.storage.store import Store, Tx, Workspace

pytestmark = pytest.mark.anyio
DAYS = 30


@pytest.fixture(name="clock")
def clock_fixture() -> FixedClock:
    return FixedClock()


@pytest.fixture(name="store")
async def store_fixture(tmp_path: Path, clock: FixedClock) -> AsyncIterator[Store]:
    async with open_database(tmp_path / "house.db") as database:
        yield Store(
            database=database,
            clock=clock,
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _: None,
        )


@pytest.fixture(name="opened")
async def opened_fixture() -> AsyncIterator[AsyncExitStack]:
    """Hold what a test opens, and may close itself before its end."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(name="segments")
async def segments_fixture(tmp_path: Path, store: Store, clock: FixedClock, opened: AsyncExitStack) -> Segments:
    async def no_team(_version: str) -> Team:
        raise AssertionError("House-keeping works on no segment.")

    return Segments(
        store=store,
        graph=build_support_graph(),
        checkpoints=await opened.enter_async_context(open_checkpoints(tmp_path / "checkpoints.db")),
        jobs=EmbeddedJobs(store.database, clock),
        team_of=no_team,
        deadline=1.0,
        attempts=1,
    )


async def a_turn(workspace: Workspace, segments: Segments, name: str, *, ended: bool) -> str:
    """Store what a turn leaves: a key, two events, a checkpoint; returns the conversation."""

    def work(tx: Tx) -> str:
        conversation = conversations.create(tx, assistant="a", customer={})
        values = {
            "conversation_id": conversation.id,
            "assistant_version": "v",
            "conversation_version": 1,
            "input": {"question": "q"},
            "trace_id": "t",
            "principal": "p",
        }
        runs.create(tx, run_id=name, values=values)
        events.append(tx, conversation.id, [NewEvent(type="usage", data={})] * 2, run_id=name)
        idempotency.remember(tx, principal="p", route="r", key=name, body={}, result={})
        if ended:
            runs.end(tx, name, "answered")
        return conversation.id

    conversation_id = await workspace.write(work)
    config: RunnableConfig = {"configurable": {"thread_id": name, "checkpoint_ns": ""}}
    saver = segments.checkpoints.saver(workspace.id, name, 0)
    await saver.aput(config, empty_checkpoint(), {"source": "input", "step": -1, "parents": {}}, {})
    return conversation_id


async def kept(workspace: Workspace, conversation_id: str) -> int:
    return len(await workspace.read(lambda tx: events.of_conversation(tx, conversation_id, after=0)))


async def test_a_round_deletes_what_is_over_and_nothing_else(
    store: Store, segments: Segments, clock: FixedClock
) -> None:
    workspace = store.in_workspace("acme")
    old = await a_turn(workspace, segments, "old", ended=True)
    waiting = await a_turn(workspace, segments, "waiting", ended=False)
    clock.advance(timedelta(days=DAYS, seconds=1))
    new = await a_turn(workspace, segments, "new", ended=True)
    assert await keep_house(store, segments, DAYS) == Swept(keys=2, checkpoints=2, events=2)
    assert [await kept(workspace, each) for each in (old, waiting, new)] == [0, 2, 2]
    assert await segments.checkpoints.threads() == {"waiting"}
    assert await keep_house(store, segments, DAYS) == Swept(keys=0, checkpoints=0, events=0)


async def test_more_events_than_a_batch_go_in_one_round(
    store: Store, segments: Segments, clock: FixedClock
) -> None:
    workspace = store.in_workspace("acme")
    conversation = await a_turn(workspace, segments, "long", ended=True)
    many = [NewEvent(type="usage", data={})] * events.TRIM
    await workspace.write(lambda tx: events.append(tx, conversation, many))
    clock.advance(timedelta(days=DAYS, seconds=1))
    assert (await keep_house(store, segments, DAYS)).events == events.TRIM + 2
    assert await kept(workspace, conversation) == 0


async def test_a_part_that_fails_is_logged_and_stops_no_other(
    store: Store,
    segments: Segments,
    clock: FixedClock,
    opened: AsyncExitStack,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await a_turn(store.in_workspace("acme"), segments, "old", ended=True)
    clock.advance(timedelta(days=DAYS, seconds=1))
    await opened.aclose()
    with caplog.at_level(logging.WARNING, "handrail.housekeeping"):
        assert await keep_house(store, segments, DAYS) == Swept(keys=1, checkpoints=0, events=2)
    assert [record.getMessage() for record in caplog.records] == ["house-keeping of checkpoints waits"]


async def test_each_workspaces_heads_are_signed_once_a_day(
    store: Store, segments: Segments, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    key, decisions = LedgerKey(bytes(32)), [Decision(node="test", kind="test", body={})]
    for name in ("acme", "other"):
        await store.in_workspace(name).write(lambda tx: ledger.append(tx, "workspace", None, decisions))
    assert [(await keep_house(store, segments, DAYS, key)).signed for _ in range(2)] == [2, 0]
    clock.advance(timedelta(days=1))
    with caplog.at_level(logging.WARNING, "handrail.housekeeping"):
        assert (await keep_house(store, segments, DAYS, LedgerKey(bytes(range(32))))).signed == 0
    assert "The ledger key is not the one" in caplog.text
    assert (await keep_house(store, segments, DAYS, key)).signed == 2


async def test_calls_that_nobody_has_settled_for_an_hour_are_booked(
    store: Store, segments: Segments, clock: FixedClock
) -> None:
    spending = StoredSpending(store)
    account = Account(workspace_id="acme", conversation_id="con_1", run_id="run_1")
    await spending.hold(account, Usage(output_tokens=10, money=1.0))
    clock.advance(timedelta(minutes=59))
    await spending.hold(account, Usage(output_tokens=10, money=1.0))
    assert (await keep_house(store, segments, DAYS)).booked == 0
    clock.advance(timedelta(minutes=2))
    assert [(await keep_house(store, segments, DAYS)).booked for _ in range(2)] == [1, 0]
    assert len(await spending.unsettled("acme", clock.now())) == 1
