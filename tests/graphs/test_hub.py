"""Whoever follows a conversation gets each event once and in order, however often the line breaks."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
from cryptography.fernet import Fernet

from graphs.hub import RING, Hub
from tools.clock import CountedIds, FixedClock
from tools.storage import conversations, events
from tools.storage.database import open_database
from tools.storage.events import NewEvent
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Workspace

pytestmark = pytest.mark.anyio
EVENTS = 600


@pytest.fixture(name="hub")
def hub_fixture() -> Hub:
    return Hub()


@pytest.fixture(name="workspace")
async def workspace_fixture(tmp_path: Path, hub: Hub) -> AsyncIterator[Workspace]:
    async with open_database(tmp_path / "hub.db") as database:
        store = Store(
            database=database,
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=hub.publish,
        )
        yield store.in_workspace("acme")


async def begin(workspace: Workspace) -> str:
    made = await workspace.write(lambda tx: conversations.create(tx, assistant="a", customer={}))
    return made.id


async def say(workspace: Workspace, conversation_id: str, count: int) -> None:
    new = [NewEvent(type="usage", data={})] * count
    await workspace.write(lambda tx: events.append(tx, conversation_id, new), durable=False)


async def test_random_disconnects_lose_and_repeat_nothing(hub: Hub, workspace: Workspace) -> None:
    conversation_id = await begin(workspace)
    dice = random.Random(7)
    seen: dict[int, list[int]] = {}

    async def reader(number: int) -> None:
        got = seen.setdefault(number, [])
        while len(got) < EVENTS:
            patience = dice.randint(1, 9)
            async with aclosing(hub.follow(workspace, conversation_id, after=len(got))) as stream:  # type: ignore[type-var]
                async for batch in stream:
                    got.extend(event.seq for event in batch)
                    patience -= 1
                    if patience == 0 or len(got) >= EVENTS:
                        break
                    await anyio.sleep(dice.random() * 0.002)

    async def writers() -> None:
        left = EVENTS
        while left:
            count = min(left, dice.randint(1, 7))
            await say(workspace, conversation_id, count)
            left -= count

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(reader, number)
            tasks.start_soon(writers)

    assert seen == {number: list(range(1, EVENTS + 1)) for number in range(8)}


async def test_a_reader_who_falls_behind_the_ring_reads_the_rows(hub: Hub, workspace: Workspace) -> None:
    conversation_id = await begin(workspace)
    await say(workspace, conversation_id, 1)
    async with aclosing(hub.follow(workspace, conversation_id, after=0)) as stream:  # type: ignore[type-var]
        got = [event.seq for event in await anext(stream)]
        for _ in range(3):
            await say(workspace, conversation_id, RING)
        while len(got) < 1 + 3 * RING:
            got += [event.seq for event in await anext(stream)]
    assert got == list(range(1, 2 + 3 * RING))


async def test_nothing_is_kept_for_a_conversation_that_nobody_follows(hub: Hub, workspace: Workspace) -> None:
    conversation_id = await begin(workspace)
    async with aclosing(hub.follow(workspace, conversation_id, after=0)) as stream:  # type: ignore[type-var]
        await say(workspace, conversation_id, 1)
        await anext(stream)
    assert hub._channels == {}
