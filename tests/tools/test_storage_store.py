"""A write is finished and told of, however often its caller is cancelled, as asyncio does it or as anyio does."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from cryptography.fernet import Fernet

from policies.errors import Conflict
from tools.clock import CountedIds, FixedClock
from tools.storage import conversations
from tools.storage.database import open_database
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Tx

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_callers_write_is_finished_and_told_of(tmp_path: Path, fails: bool) -> None:
    told: list[str] = []
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(tx: Tx) -> None:
        loop.call_soon_threadsafe(begun.set)
        time.sleep(0.1)
        conversations.create(tx, assistant="a", customer={})
        tx.after.append(lambda: told.append("committed"))
        if fails:
            raise Conflict("no")

    async with open_database(tmp_path / "store.db") as database:
        store = Store(
            database=database,
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _: None,
        )
        caller = loop.create_task(store.in_workspace("acme").write(slowly))
        await begun.wait()
        for _ in range(3):
            caller.cancel()
            await anyio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await caller
        await anyio.lowlevel.checkpoint()
    assert told == ([] if fails else ["committed"])
