"""The doorbell between processes: what is committed rings, what is undone does not, and a broken line says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from policies.errors import Conflict
from tools.clock import CountedIds, FixedClock
from tools.storage import conversations, events
from tools.storage.database import Database, open_database
from tools.storage.doorbell import listen
from tools.storage.events import NewEvent
from tools.storage.postgres import conninfo
from tools.storage.sealing import Sealer
from tools.storage.store import Ring, Store, Tx

pytestmark = pytest.mark.anyio
CUT = text("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'handrail doorbell'")


def store_over(database: Database) -> Store:
    return Store(
        database=database,
        clock=FixedClock(),
        ids=CountedIds(),
        sealer=Sealer(Fernet.generate_key()),
        publish=lambda _: None,
    )


class Line:
    """Collects what is rung, and tells when the line is up."""

    def __init__(self) -> None:
        self.rings: list[Ring] = []
        self.times_up = 0
        self._changed = anyio.Event()

    def heard(self, ring: Ring) -> None:
        """Keep a ring."""
        self.rings.append(ring)
        self._change()

    def missed(self) -> None:
        """Count that the line is up."""
        self.times_up += 1
        self._change()

    def _change(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds."""
        with anyio.fail_after(30):
            while not true():
                await self._changed.wait()


@asynccontextmanager
async def doorbell(url: str) -> AsyncIterator[Line]:
    """Listen until the context ends."""
    line = Line()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(listen, conninfo(url), line.heard, missed=line.missed))
        await line.until(lambda: line.times_up == 1)
        yield line
        tasks.cancel_scope.cancel()


def say(tx: Tx, conversation_id: str, *, fail: bool = False) -> None:
    events.append(tx, conversation_id, [NewEvent(type="usage", data={})] * 2)
    tx.rings.append(Ring("stop", "run_1"))
    if fail:
        raise Conflict("no")


async def test_what_is_committed_rings_and_what_is_undone_does_not(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    async with open_database(url) as database, doorbell(url) as line:
        workspace = store_over(database).in_workspace("acme")
        made = await workspace.write(lambda tx: conversations.create(tx, assistant="a", customer={}))
        with pytest.raises(Conflict):
            await workspace.write(lambda tx: say(tx, made.id, fail=True))
        await workspace.write(lambda tx: say(tx, made.id))
        await line.until(lambda: len(line.rings) == 2)
    assert line.rings == [Ring("event", made.id, 2), Ring("stop", "run_1")]


async def test_a_line_that_was_cut_comes_back_and_says_that_rings_may_be_lost(
    new_postgres: Callable[[], str],
) -> None:
    url = new_postgres()
    async with open_database(url) as database, doorbell(url) as line:
        await database.read(lambda connection: connection.execute(CUT).all())
        await line.until(lambda: line.times_up == 2)
        workspace = store_over(database).in_workspace("acme")
        made = await workspace.write(lambda tx: conversations.create(tx, assistant="a", customer={}))
        await workspace.write(lambda tx: say(tx, made.id))
        await line.until(lambda: bool(line.rings))
    assert line.rings[0] == Ring("event", made.id, 2)


def test_a_text_that_is_no_ring_is_none() -> None:
    assert Ring.parse(str(Ring("event", "con_1", 7))) == Ring("event", "con_1", 7)
    assert [Ring.parse(each) for each in ("", "event con_1", "event con_1 x", "a b 1 2")] == [None] * 4
