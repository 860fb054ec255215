"""Old events go by age, a bounded number at a time, and never under a run that has not ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tools.clock import CountedIds, FixedClock
from tools.storage import conversations, events, runs
from tools.storage.database import open_database
from tools.storage.events import NewEvent
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Tx, Workspace, stamp

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)


@pytest.fixture(name="clock")
def clock_fixture() -> FixedClock:
    return FixedClock()


@pytest.fixture(name="where", params=["sqlite", "postgres"])
def where_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path / "events.db"
    url: str = request.getfixturevalue("new_postgres")()
    return url


@pytest.fixture(name="store")
async def store_fixture(where: Path | str, clock: FixedClock) -> AsyncIterator[Store]:
    async with open_database(where) as database:
        yield Store(
            database=database,
            clock=clock,
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _: None,
        )


@pytest.fixture(name="workspace")
def workspace_fixture(store: Store) -> Workspace:
    return store.in_workspace("acme")


async def begin(workspace: Workspace) -> str:
    made = await workspace.write(lambda tx: conversations.create(tx, assistant="a", customer={}))
    return made.id


async def say(workspace: Workspace, conversation_id: str, count: int, run_id: str | None = None) -> None:
    new = [NewEvent(type="usage", data={})] * count
    await workspace.write(lambda tx: events.append(tx, conversation_id, new, run_id=run_id))


async def ask(workspace: Workspace, conversation_id: str) -> str:
    values = {
        "conversation_id": conversation_id,
        "assistant_version": "v",
        "conversation_version": 1,
        "input": {"question": "q"},
        "trace_id": "t",
        "principal": "p",
    }
    run = await workspace.write(lambda tx: runs.create(tx, run_id=tx.ids.new("run"), values=values))
    await say(workspace, conversation_id, 2, run.id)
    return run.id


async def kept(workspace: Workspace, conversation_id: str) -> list[int]:
    found = await workspace.read(lambda tx: events.of_conversation(tx, conversation_id, after=0))
    return [event.seq for event in found]


async def trim(store: Store, days: int, limit: int = events.TRIM) -> int:
    before = stamp(store.clock.now() - timedelta(days=days))
    return await store.database.write(partial(events.trim, before=before, limit=limit))


async def test_events_older_than_a_time_go_in_all_workspaces(store: Store, clock: FixedClock) -> None:
    here, there = store.in_workspace("acme"), store.in_workspace("other")
    ours, theirs = await begin(here), await begin(there)
    await say(here, ours, 3)
    await say(there, theirs, 3)
    clock.advance(2 * DAY)
    await say(here, ours, 2)
    assert await trim(store, days=1) == 6
    assert await kept(here, ours) == [4, 5]
    assert await kept(there, theirs) == []


async def test_an_event_that_is_exactly_as_old_is_kept(
    store: Store, workspace: Workspace, clock: FixedClock
) -> None:
    conversation_id = await begin(workspace)
    await say(workspace, conversation_id, 1)
    clock.advance(DAY)
    assert await trim(store, days=1) == 0
    assert await kept(workspace, conversation_id) == [1]


async def test_the_oldest_go_first_and_no_more_than_asked(
    store: Store, workspace: Workspace, clock: FixedClock
) -> None:
    conversation_id = await begin(workspace)
    for _ in range(5):
        await say(workspace, conversation_id, 1)
        clock.advance(DAY)
    assert await trim(store, days=1, limit=3) == 3
    assert await kept(workspace, conversation_id) == [4, 5]
    assert await trim(store, days=1, limit=3) == 1
    assert await kept(workspace, conversation_id) == [5]


@pytest.mark.parametrize("status", runs.UNFINISHED)
async def test_a_conversation_with_a_run_that_has_not_ended_keeps_all(
    store: Store, workspace: Workspace, clock: FixedClock, status: str
) -> None:
    conversation_id = await begin(workspace)
    await say(workspace, conversation_id, 2)
    run_id = await ask(workspace, conversation_id)
    await workspace.write(lambda tx: stand(tx, run_id, status))
    clock.advance(40 * DAY)
    assert await trim(store, days=30) == 0
    assert await kept(workspace, conversation_id) == [1, 2, 3, 4]
    await workspace.write(lambda tx: runs.end(tx, run_id, "cancelled"))
    assert await trim(store, days=30) == 4


def stand(tx: Tx, run_id: str, status: str) -> None:
    if status != "queued":
        claimed = runs.claim(tx, run_id)
        runs.update_claimed(tx, run_id, claimed.epoch, status=status)


async def test_another_workspace_with_the_same_conversation_holds_nothing_back(
    store: Store, workspace: Workspace, clock: FixedClock
) -> None:
    conversation_id = await begin(workspace)
    await say(workspace, conversation_id, 2)
    await ask(store.in_workspace("other"), await twin(store, conversation_id))
    clock.advance(2 * DAY)
    assert await trim(store, days=1) == 2


async def twin(store: Store, conversation_id: str) -> str:
    """Begin a conversation with the same id elsewhere."""
    other = Store(
        database=store.database,
        clock=store.clock,
        ids=CountedIds(),
        sealer=store.sealer,
        publish=store.publish,
    )
    assert await begin(other.in_workspace("other")) == conversation_id
    return conversation_id


async def test_numbers_are_never_given_out_again(store: Store, workspace: Workspace, clock: FixedClock) -> None:
    conversation_id = await begin(workspace)
    await say(workspace, conversation_id, 3)
    clock.advance(2 * DAY)
    await trim(store, days=1)
    await say(workspace, conversation_id, 1)
    assert await kept(workspace, conversation_id) == [4]
