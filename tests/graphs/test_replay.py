"""A reader who comes too late for some events is told so once, then gets what is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest
from cryptography.fernet import Fernet

from graphs.hub import Hub
from tools.clock import CountedIds, FixedClock
from tools.storage import conversations, events
from tools.storage.database import open_database
from tools.storage.events import PAGE, NewEvent
from tools.storage.sealing import Sealer
from tools.storage.store import Store, StoredEvent, Workspace, stamp

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)


@pytest.fixture(name="clock")
def clock_fixture() -> FixedClock:
    return FixedClock()


@pytest.fixture(name="hub")
def hub_fixture() -> Hub:
    return Hub()


@pytest.fixture(name="workspace")
async def workspace_fixture(tmp_path: Path, hub: Hub, clock: FixedClock) -> AsyncIterator[Workspace]:
    async with open_database(tmp_path / "replay.db") as database:
        store = Store(
            database=database,
            clock=clock,
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=hub.publish,
        )
        yield store.in_workspace("acme")


@pytest.fixture(name="conversation")
async def conversation_fixture(workspace: Workspace) -> str:
    made = await workspace.write(lambda tx: conversations.create(tx, assistant="a", customer={}))
    return made.id


async def say(workspace: Workspace, conversation: str, count: int) -> None:
    new = [NewEvent(type="usage", data={})] * count
    await workspace.write(lambda tx: events.append(tx, conversation, new))


async def trim(workspace: Workspace, older_than: timedelta) -> None:
    before = stamp(workspace.store.clock.now() - older_than)
    while await workspace.store.database.write(partial(events.trim, before=before)):
        pass


async def take(stream: AsyncIterator[list[StoredEvent]]) -> list[tuple[str, int]]:
    """Return the next batch as types and numbers."""
    with anyio.fail_after(30):
        return [(event.type, event.seq) for event in await anext(stream)]


async def test_what_is_kept_follows_one_resync(
    hub: Hub, workspace: Workspace, conversation: str, clock: FixedClock
) -> None:
    await say(workspace, conversation, 3)
    clock.advance(2 * DAY)
    await say(workspace, conversation, 2)
    await trim(workspace, DAY)
    async with aclosing(hub.follow(workspace, conversation, after=1)) as stream:  # type: ignore[type-var]
        assert await take(stream) == [("resync", 3), ("usage", 4), ("usage", 5)]
        await say(workspace, conversation, 1)
        assert await take(stream) == [("usage", 6)]


async def test_who_lacks_nothing_that_is_gone_is_told_nothing(
    hub: Hub, workspace: Workspace, conversation: str, clock: FixedClock
) -> None:
    await say(workspace, conversation, 3)
    clock.advance(2 * DAY)
    await say(workspace, conversation, 2)
    await trim(workspace, DAY)
    async with aclosing(hub.follow(workspace, conversation, after=3)) as stream:  # type: ignore[type-var]
        assert await take(stream) == [("usage", 4), ("usage", 5)]


async def test_where_nothing_is_kept_the_resync_comes_at_once_and_new_events_after_it(
    hub: Hub, workspace: Workspace, conversation: str, clock: FixedClock
) -> None:
    await say(workspace, conversation, 3)
    clock.advance(2 * DAY)
    await trim(workspace, DAY)
    async with aclosing(hub.follow(workspace, conversation, after=0)) as stream:  # type: ignore[type-var]
        assert await take(stream) == [("resync", 3)]
        await say(workspace, conversation, 2)
        assert await take(stream) == [("usage", 4), ("usage", 5)]
    async with aclosing(hub.follow(workspace, conversation, after=5)) as stream:  # type: ignore[type-var]
        await say(workspace, conversation, 1)
        assert await take(stream) == [("usage", 6)]


async def test_rows_that_go_between_two_pages_are_told_of(
    hub: Hub, workspace: Workspace, conversation: str, clock: FixedClock
) -> None:
    await say(workspace, conversation, PAGE + 10)
    async with aclosing(hub.follow(workspace, conversation, after=0)) as stream:  # type: ignore[type-var]
        assert len(await take(stream)) == PAGE
        clock.advance(2 * DAY)
        await trim(workspace, DAY)
        assert await take(stream) == [("resync", PAGE + 10)]


async def test_a_hole_that_a_clock_put_back_has_left_is_told_of(
    hub: Hub, workspace: Workspace, conversation: str, clock: FixedClock
) -> None:
    await say(workspace, conversation, 1)
    clock.advance(-2 * DAY)
    await say(workspace, conversation, 1)
    clock.advance(2 * DAY)
    await say(workspace, conversation, 1)
    await trim(workspace, DAY)
    async with aclosing(hub.follow(workspace, conversation, after=0)) as stream:  # type: ignore[type-var]
        assert await take(stream) == [("usage", 1), ("resync", 2), ("usage", 3)]


async def test_a_reader_who_saw_what_a_failover_lost_goes_on_from_what_there_is(
    hub: Hub, workspace: Workspace, conversation: str
) -> None:
    await say(workspace, conversation, 2)
    async with aclosing(hub.follow(workspace, conversation, after=7)) as stream:  # type: ignore[type-var]
        first = await anext(stream)
        assert [(each.type, each.seq) for each in first] == [("resync", 2)]
        await say(workspace, conversation, 1)
        assert [each.seq for each in await anext(stream)] == [3]
